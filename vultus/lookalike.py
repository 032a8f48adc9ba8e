"""Who in a folder of known pictures does somebody look like? Detect, align, embed, rank.

The flow of InsightFace's examples: a detector of the RetinaFace family, the largest face, a
similarity transform of its five points onto the embedder's template, an ArcFace embedding, on
request added to that of the mirror image, and cosines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from vultus.decide import how_often
from vultus.draw import contact_sheet
from vultus.errors import CardError, EmptyGalleryError, NoFaceError, RangeError
from vultus.evaluate.embeddings import (
    EmbeddedPictures,
    EmbedOptions,
    Progress,
    embed_pictures,
)
from vultus.models import ModelCard, Registry, Store
from vultus.pipeline import Recognizer, largest_face, load
from vultus.sources import load_frame, people_tree
from vultus.types import EmbeddingSpace, Face, Image, Rate

__all__ = [
    "DETECTORS",
    "EMBEDDERS",
    "LeftOut",
    "Lookalike",
    "Lookalikes",
    "best_detector",
    "best_embedder",
    "draw_lookalikes",
    "find_lookalikes",
]

DETECTORS = (
    "scrfd-10g", "retinaface-r50", "scrfd-2.5g", "scrfd-500m",
    "retinaface-mnet025", "retinaface-mbnet025",
)  # fmt: skip
"""The RetinaFace family, most accurate first, by the average precision on WIDER FACE's medium
faces that their cards state (SCRFD-2.5G as measured here: `vultus.detect.auto`)."""

EMBEDDERS = (
    "adaface-ir101", "arcface-r50", "arcface-mbf", "adaface-ir18", "edgeface-s", "edgeface-xs",
    "dlib-mobilefacenet", "sface", "mobilefacenet",
)  # fmt: skip
"""Embedders with an angular margin, most accurate first: by IJB-C as published where it was, then
by LFW; see their cards."""

_DEFAULT_DETECTOR, _DEFAULT_EMBEDDER = "mtcnn", "dlib-resnet-v1"  # they ship with vultus
_CROP_OF_FACE = 1.8  # side of what is drawn over the longer side of the face's box
_THUMB_PX = 300
_ROW = 6  # pictures side by side


@dataclass(frozen=True, slots=True)
class Lookalike:
    """Somebody of the folder.

    Attributes:
        name: The folder's name, or that of a single picture's file.
        path: Their picture that is most alike.
        similarity: Cosine in [-1, 1].
        pictures: How many of their pictures were compared.
        fmr: How often two strangers are so alike; ``None`` where this was not measured for the
            embedder.
        same: Whether this is the same person by the embedder's threshold; ``None`` where it has
            none.
    """

    name: str
    path: Path
    similarity: float
    pictures: int
    fmr: Rate | None
    same: bool | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture of the folder that was not compared.

    Attributes:
        path: Where it lies.
        code: ``no-face``, ``same-picture``, or the code of what else is wrong.
        message: Why.
    """

    path: Path
    code: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Lookalikes:
    """The answer for one photo.

    Attributes:
        photo: The picture asked about.
        face: Its largest face.
        faces: How many it shows.
        matches: Most alike first; equal ones by name.
        people: How many people were compared.
        pictures: How many of their pictures.
        left_out: Pictures that were not.
        detector: Name of the detector's card.
        space: Of the embeddings; it names the embedder.
        flip: Whether each face was added to its mirror image.
        cached: How many embeddings were known from an earlier run.
    """

    photo: Path
    face: Face = field(repr=False)
    faces: int
    matches: tuple[Lookalike, ...]
    people: int
    pictures: int
    left_out: tuple[LeftOut, ...]
    detector: str
    space: EmbeddingSpace
    flip: bool
    cached: int


def best_detector(registry: Registry | None = None, store: Store | None = None) -> str:
    """The best detector of `DETECTORS` on this machine, or vultus's own."""
    registry, store = registry or Registry(), store or Store()
    return next((n for n in DETECTORS if store.has(registry.get(n))), _DEFAULT_DETECTOR)


def best_embedder(registry: Registry | None = None, store: Store | None = None) -> str:
    """The best embedder of `EMBEDDERS` on this machine, or vultus's own."""
    known, held = registry or Registry(), store or Store()

    def here(card: ModelCard) -> bool:
        return held.has(card) and all(here(known.get(part.model)) for part in card.composite)

    return next((n for n in EMBEDDERS if here(known.get(n))), _DEFAULT_EMBEDDER)


def find_lookalikes(
    photo: Path,
    among: Path,
    *,
    top: int = 5,
    detector: str | None = None,
    model: str | None = None,
    flip: bool = False,
    min_face_px: float = 40.0,
    cache_folder: Path | None = None,
    use_cache: bool = True,
    jobs: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Lookalikes:
    """Rank the people of a folder by how much they look like somebody.

    Of each picture the largest face counts, of each person the picture most alike. Embeddings of
    the folder are kept by the pictures' contents, so a second question is answered at once.

    Args:
        photo: A picture; should it lie in the folder itself, it is left out there.
        among: Folders are people, and so are single pictures; see `people_tree`.
        top: At most so many people, ≥ 1.
        detector: Name of a detector's card; `best_detector` when ``None``.
        model: Name of an embedder's card; `best_embedder` when ``None``.
        flip: Add each face's embedding to that of its mirror image.
        min_face_px: Smallest face side to look for, in pixels.
        cache_folder: As in `embed_pictures`.
        use_cache: Whether to keep embeddings.
        jobs: Pictures at a time; one per CPU when ``None``.
        progress: Called after each picture that is embedded.

    Raises:
        RangeError: `top` is below 1.
        NoFaceError: The photo shows no face.
        EmptyGalleryError: No picture of the folder shows one.
        ImageError: The photo or the folder cannot be read.
        ModelError: A model cannot be used.
    """
    if top < 1:
        raise RangeError(f"top must be at least 1, got {top}")
    detector, model = detector or best_detector(), model or best_embedder()
    named = [(name, path) for name, paths in people_tree(among) for path in paths]
    recognizer = load(detector=detector, embedder=model, mirror=flip, min_face_px=min_face_px)
    frame = load_frame(photo)
    faces = recognizer.detect(frame)
    if not faces:
        raise NoFaceError(f"{photo} must show a face, none was found", path=str(photo))
    face = largest_face(faces)
    known = embed_pictures(
        [path for _, path in named],
        EmbedOptions(model, detector, min_face_px, flip, "largest"),
        cache_folder=cache_folder,
        use_cache=use_cache,
        jobs=jobs,
        progress=progress,
    )
    own = hashlib.sha256(photo.read_bytes()).hexdigest()
    itself = [digest == own for digest in known.digests]
    matches, compared = _ranked(recognizer, face, named, known, itself)
    if not matches:
        raise EmptyGalleryError(
            f"no picture in {among} shows a face that could be compared",
            remedy="put one folder of pictures, or one picture, per person into it",
            path=str(among),
        )
    return Lookalikes(
        photo,
        face,
        len(faces),
        matches[:top],
        len(matches),
        compared,
        _left_out(named, known, itself),
        detector,
        known.space,
        flip,
        known.cached,
    )


def _ranked(
    recognizer: Recognizer,
    face: Face,
    named: Sequence[tuple[str, Path]],
    known: EmbeddedPictures,
    itself: Sequence[bool],
) -> tuple[tuple[Lookalike, ...], int]:
    """Everybody by falling similarity, and how many pictures were compared."""
    usable = known.found & ~np.array(itself, bool)
    query = recognizer.embed(face).vector
    similarities = np.clip(known.vectors.astype(np.float64) @ query, -1.0, 1.0)
    best: dict[str, int] = {}
    counts: dict[str, int] = {}
    for i in np.flatnonzero(usable).tolist():
        name = named[i][0]
        counts[name] = counts.get(name, 0) + 1
        if name not in best or similarities[i] > similarities[best[name]]:
            best[name] = i
    calibration, limit = recognizer.calibration, _limit(recognizer)
    found = []
    for name, i in best.items():
        similarity = float(similarities[i])
        found.append(
            Lookalike(
                name,
                named[i][1],
                similarity,
                counts[name],
                None if calibration is None else calibration.fmr_at(similarity),
                None if limit is None else similarity >= limit,
            )
        )
    found.sort(key=lambda match: (-match.similarity, match.name))
    return tuple(found), int(usable.sum())


def _limit(recognizer: Recognizer) -> float | None:
    """The embedder's threshold; ``None`` where none was measured."""
    try:
        return recognizer.threshold.value
    except CardError:
        return None


def _left_out(
    named: Sequence[tuple[str, Path]], known: EmbeddedPictures, itself: Sequence[bool]
) -> tuple[LeftOut, ...]:
    told = {failure.index: failure for failure in known.failures}
    found = []
    for i, (_, path) in enumerate(named):
        if i in told:
            found.append(LeftOut(path, told[i].code, told[i].message))
        elif itself[i]:
            found.append(LeftOut(path, "same-picture", f"{path} is the photo itself"))
    return tuple(found)


# -- the picture --------------------------------------------------------------------------------


def draw_lookalikes(found: Lookalikes, *, thumb_px: int = _THUMB_PX) -> Image:
    """The photo's face and those of the matches side by side, with names and similarities.

    Args:
        found: From `find_lookalikes`; the matches' pictures must still be there.
        thumb_px: Side of each, in pixels, ≥ 32.

    Raises:
        ImageError: A picture cannot be read any more.
    """
    if thumb_px < 32:
        raise RangeError(f"thumb_px must be at least 32, got {thumb_px}")
    detector = load(detector=found.detector)
    items = [(_face_crop(found.face, thumb_px), f"{found.photo.stem}\nthe photo")]
    for rank, match in enumerate(found.matches, 1):
        faces = detector.detect(match.path)
        image = _face_crop(largest_face(faces), thumb_px) if faces else load_frame(match.path).image
        items.append((image, f"{rank}. {match.name}\n{_caption(match)}"))
    return contact_sheet(items, columns=min(len(items), _ROW), thumb_px=thumb_px)


def _caption(match: Lookalike) -> str:
    said = f"similarity {match.similarity:.3f}"
    if match.fmr is None:
        return said
    return f"{said}\nstrangers: {how_often(match.fmr).partition(' (')[0]}"


def _face_crop(face: Face, side_px: int) -> Image:
    """The square around a face, inside the picture, at the size it is shown in."""
    image = face.frame.image
    height, width = image.shape[:2]
    side = min(round(_CROP_OF_FACE * max(face.box.width_px, face.box.height_px)), height, width)
    side = max(side, 1)
    x, y = face.box.center_xy
    left = int(np.clip(round(x - side / 2), 0, width - side))
    top = int(np.clip(round(y - side / 2), 0, height - side))
    crop = image[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > side_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(crop, (side_px, side_px), interpolation=how), np.uint8)
