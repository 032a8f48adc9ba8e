"""Every way vultus can fail, as one tree.

Each error carries a stable ``code`` (for programs), a message that says what must hold and
what came, a ``remedy`` that says what to do, and the facts as ``fields``::

    VultusError
    ├── InputError                    the caller's data
    │   ├── ShapeError                array-shape
    │   ├── DtypeError                array-dtype
    │   ├── RangeError                value-range
    │   ├── DegenerateLandmarksError  landmarks-degenerate
    │   ├── NoLandmarksError          landmarks-missing
    │   ├── NoFaceError               no-face
    │   ├── SeveralFacesError         several-faces
    │   ├── RefusedFaceError          face-refused
    │   ├── DataFileError             data-file
    │   ├── InsufficientDataError     insufficient-data
    │   ├── ImageError                a picture that cannot be read
    │   │   ├── ImageNotFoundError    image-not-found
    │   │   ├── ImageEmptyError       image-empty
    │   │   ├── ImageFormatError      image-format
    │   │   ├── ImageDamagedError     image-damaged
    │   │   └── ImageTooLargeError    image-too-large
    │   └── VideoError                a video that cannot be read
    │       ├── VideoNotFoundError    video-not-found
    │       ├── VideoFormatError      video-format
    │       ├── NoVideoStreamError    video-no-stream
    │       ├── VideoDamagedError     video-damaged
    │       ├── VideoTooLargeError    video-too-large
    │       └── VideoTooSmallError    video-too-small
    ├── ModelError                    a weight, or what we know of it
    │   ├── UnknownModelError         model-unknown
    │   ├── ModelMissingError         model-missing
    │   ├── WeightDamagedError        weight-damaged
    │   ├── CardError                 card-invalid
    │   ├── DownloadError             download-failed
    │   └── OfflineError              offline
    ├── SpaceMismatchError            space-mismatch
    ├── GalleryError                  the store of known people
    │   ├── UnknownPersonError        person-unknown
    │   ├── UnknownGroupError         group-unknown
    │   ├── UnknownSampleError        sample-unknown
    │   ├── PersonExistsError         person-exists
    │   ├── GroupExistsError          group-exists
    │   ├── EmptyGalleryError         gallery-empty
    │   ├── DuplicateSampleError      sample-duplicate
    │   ├── GalleryFileError          gallery-file
    │   └── GalleryServerError        gallery-server
    ├── CameraError                   a camera that cannot be reached
    │   └── CameraLostError           camera-lost
    ├── CalibrationError              calibration-invalid
    ├── OutputError                   output-failed
    ├── MissingExtraError             extra-missing
    └── InferenceError                inference-failed
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "CalibrationError",
    "CameraError",
    "CameraLostError",
    "CardError",
    "DataFileError",
    "DegenerateLandmarksError",
    "DownloadError",
    "DtypeError",
    "DuplicateSampleError",
    "EmptyGalleryError",
    "GalleryError",
    "GalleryFileError",
    "GalleryServerError",
    "GroupExistsError",
    "ImageDamagedError",
    "ImageEmptyError",
    "ImageError",
    "ImageFormatError",
    "ImageNotFoundError",
    "ImageTooLargeError",
    "InferenceError",
    "InputError",
    "InsufficientDataError",
    "MissingExtraError",
    "ModelError",
    "ModelMissingError",
    "NoFaceError",
    "NoLandmarksError",
    "NoVideoStreamError",
    "OfflineError",
    "OutputError",
    "PersonExistsError",
    "RangeError",
    "RefusedFaceError",
    "SeveralFacesError",
    "ShapeError",
    "SpaceMismatchError",
    "UnknownGroupError",
    "UnknownModelError",
    "UnknownPersonError",
    "UnknownSampleError",
    "VideoDamagedError",
    "VideoError",
    "VideoFormatError",
    "VideoNotFoundError",
    "VideoTooLargeError",
    "VideoTooSmallError",
    "VultusError",
    "WeightDamagedError",
]


class VultusError(Exception):
    """Root of all errors that vultus raises on purpose.

    Args:
        message: What must hold and what came instead, in one sentence.
        remedy: What the user can do about it.
        fields: The facts behind the message (``expected``, ``actual``, ``path`` …), JSON-able.
    """

    code: ClassVar[str] = "vultus"
    remedy: str = ""

    def __init__(self, message: str, *, remedy: str | None = None, **fields: object) -> None:
        super().__init__(message)
        self.message = message
        if remedy is not None:
            self.remedy = remedy
        self.fields = fields

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.remedy, self.fields)


def _rebuild(
    cls: type[VultusError], message: str, remedy: str, fields: dict[str, object]
) -> VultusError:
    return cls(message, remedy=remedy, **fields)


class InputError(VultusError):
    """The data handed in cannot be used."""

    code = "input"


class ShapeError(InputError):
    """An array has the wrong shape."""

    code = "array-shape"


class DtypeError(InputError):
    """An array has the wrong element type."""

    code = "array-dtype"


class RangeError(InputError):
    """A value lies outside its allowed range, or is not finite."""

    code = "value-range"


class DegenerateLandmarksError(InputError):
    """Landmarks admit no similarity transform (they coincide)."""

    code = "landmarks-degenerate"


class NoLandmarksError(InputError):
    """A face has no landmarks, and what was asked for needs them."""

    code = "landmarks-missing"
    remedy = "use a detector that gives five points, or `Recognizer.detect`, which adds them"


class NoFaceError(InputError):
    """A face was required and none was found."""

    code = "no-face"
    remedy = "use a picture in which one face is clearly visible, or lower the minimum face size"


class SeveralFacesError(InputError):
    """Exactly one face was required and several were found."""

    code = "several-faces"
    remedy = "crop the picture to one person, or choose the largest face on purpose"


class RefusedFaceError(InputError):
    """The gate refused a face; the field ``reasons`` names why."""

    code = "face-refused"
    remedy = "take another picture as the reasons say, or choose a laxer gate on purpose"


class DataFileError(InputError):
    """A list, annotation or score file cannot be read, or contradicts itself or its pictures."""

    code = "data-file"
    remedy = "check the file against the format the documentation gives"


class InsufficientDataError(InputError):
    """Too little data for the number asked for; the fields say how much it takes."""

    code = "insufficient-data"


class ImageError(InputError):
    """A picture cannot be read."""

    code = "image"


class ImageNotFoundError(ImageError):
    """There is no such file, or it may not be read."""

    code = "image-not-found"
    remedy = "check the path and its permissions"


class ImageEmptyError(ImageError):
    """The file has no bytes, or the picture no pixels."""

    code = "image-empty"
    remedy = "copy the picture again from its source"


class ImageFormatError(ImageError):
    """The bytes are no picture of a format that vultus reads."""

    code = "image-format"
    remedy = (
        "use JPEG, PNG, WebP, BMP, TIFF or GIF (HEIC with the extra: pip install 'vultus[heic]')"
    )


class ImageDamagedError(ImageError):
    """The picture is cut short or its contents contradict its header."""

    code = "image-damaged"
    remedy = "copy the picture again from its source"


class ImageTooLargeError(ImageError):
    """The picture exceeds the limit on bytes or pixels."""

    code = "image-too-large"
    remedy = "shrink the picture, or raise the limit on purpose"


class VideoError(InputError):
    """A video cannot be read."""

    code = "video"


class VideoNotFoundError(VideoError):
    """There is no such file or image sequence, or it may not be read."""

    code = "video-not-found"
    remedy = "check the path and its permissions"


class VideoFormatError(VideoError):
    """The bytes are no video of a format that vultus reads, or give no time to its frames."""

    code = "video-format"
    remedy = "convert it to MP4 (H.264)"


class NoVideoStreamError(VideoError):
    """The file holds sound or subtitles, and no moving picture."""

    code = "video-no-stream"
    remedy = "use a file with a picture; one that is cut short may have lost it"


class VideoDamagedError(VideoError):
    """Not one frame of the video can be decoded."""

    code = "video-damaged"
    remedy = "copy the file again from its source"


class VideoTooLargeError(VideoError):
    """The frames have more pixels than allowed."""

    code = "video-too-large"
    remedy = "have the frames shrunk while they are read (max_side_px, --max-side)"


class VideoTooSmallError(VideoError):
    """The frames are too small for any face."""

    code = "video-too-small"
    remedy = "use a video whose frames are at least 16 px wide and high"


class CameraError(VultusError):
    """A camera cannot be reached, or what it sends is no video."""

    code = "camera"
    remedy = "check the address, user and password, and that the camera is switched on"


class CameraLostError(CameraError):
    """A camera stayed away longer than reconnecting was to be tried."""

    code = "camera-lost"


class ModelError(VultusError):
    """A model cannot be used."""

    code = "model"


class UnknownModelError(ModelError):
    """No card has this name."""

    code = "model-unknown"
    remedy = "`vultus models list` shows the known names"


class ModelMissingError(ModelError):
    """The card is known, its weight is not on this machine."""

    code = "model-missing"


class WeightDamagedError(ModelError):
    """The bytes of a weight do not have the digest its card states."""

    code = "weight-damaged"


class CardError(ModelError):
    """A model card cannot be read or contradicts itself."""

    code = "card-invalid"


class DownloadError(ModelError):
    """A weight could not be fetched."""

    code = "download-failed"


class OfflineError(ModelError):
    """A download was needed and the network is switched off on purpose."""

    code = "offline"
    remedy = "drop --offline / VULTUS_OFFLINE, or bring the file with `vultus models add FILE`"


class SpaceMismatchError(VultusError):
    """Embeddings of different spaces were compared."""

    code = "space-mismatch"
    remedy = "embed both pictures with the same model and options"


class GalleryError(VultusError):
    """The gallery cannot do what was asked."""

    code = "gallery"


class UnknownPersonError(GalleryError):
    """Nobody of this name is enrolled."""

    code = "person-unknown"


class UnknownGroupError(GalleryError):
    """No group of this name exists."""

    code = "group-unknown"


class UnknownSampleError(GalleryError):
    """No sample has this number."""

    code = "sample-unknown"


class PersonExistsError(GalleryError):
    """Somebody of this id is enrolled already."""

    code = "person-exists"
    remedy = "choose another id, or merge the two people"


class GroupExistsError(GalleryError):
    """A group of this name exists already."""

    code = "group-exists"
    remedy = "choose another name"


class EmptyGalleryError(GalleryError):
    """Nobody is enrolled at all."""

    code = "gallery-empty"
    remedy = "enrol somebody first: `vultus enroll GALLERY NAME PHOTO…`"


class DuplicateSampleError(GalleryError):
    """This very picture is enrolled for this person already."""

    code = "sample-duplicate"


class GalleryFileError(GalleryError):
    """The gallery's file is missing, foreign, damaged, newer than this version or locked."""

    code = "gallery-file"


class GalleryServerError(GalleryError):
    """The database or search engine behind a gallery cannot be reached or refuses to work."""

    code = "gallery-server"
    remedy = "check that it runs, its address and its credentials"


class CalibrationError(VultusError):
    """A calibration cannot be read, was changed, or belongs to another embedding space."""

    code = "calibration-invalid"


class OutputError(VultusError):
    """A result could not be written."""

    code = "output-failed"
    remedy = "check that the folder exists, may be written to, and has room"


class MissingExtraError(VultusError):
    """An optional library is needed and absent."""

    code = "extra-missing"


class InferenceError(VultusError):
    """A network could not be loaded or run."""

    code = "inference-failed"
