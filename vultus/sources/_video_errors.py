"""How videos and cameras fail, by name."""

from __future__ import annotations

from vultus.errors import InputError, VultusError

__all__ = [
    "CameraError",
    "CameraLostError",
    "NoVideoStreamError",
    "VideoDamagedError",
    "VideoError",
    "VideoFormatError",
    "VideoNotFoundError",
    "VideoTooLargeError",
    "VideoTooSmallError",
]


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
