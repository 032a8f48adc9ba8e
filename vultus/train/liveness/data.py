"""Crops of living faces and of attacks in memory, and changes that keep what gives attacks away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.assess.liveness.nets import context_crop
from vultus.detect import Detector
from vultus.errors import InputError, InsufficientDataError
from vultus.evaluate.protocols.liveness import Presentation
from vultus.sources import load_frame
from vultus.types import Face

__all__ = ["CropSet", "augmented", "find_faces", "load_crops", "nuaa_session"]

Progress = Callable[[int, int], None]
Random = np.random.Generator


@dataclass(frozen=True, slots=True, eq=False)
class CropSet:
    """Faces whose truth is known.

    Attributes:
        pixels: (n, side, side, 3) uint8 RGB.
        live: (n,) bool.
        people: (n,) whom each shows.
        sessions: (n,) when or where each was taken, or its person: the groups that are held out,
            for a model must not learn them by heart.
        missing: Pictures without a face, or unreadable, with the reason.
    """

    pixels: NDArray[np.uint8] = field(repr=False)
    live: NDArray[np.bool_] = field(repr=False)
    people: tuple[str, ...] = field(repr=False)
    sessions: tuple[str, ...] = field(repr=False)
    missing: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.live)

    def part(self, rows: NDArray[Any]) -> CropSet:
        """Some of them, by number."""
        chosen = np.arange(len(self))[rows].tolist()
        return CropSet(
            self.pixels[chosen],
            self.live[chosen],
            tuple(self.people[i] for i in chosen),
            tuple(self.sessions[i] for i in chosen),
        )


def nuaa_session(one: Presentation) -> str:
    """The session of a picture of NUAA; lists for training have 01 and 02, for tests 03.

    Source: its file names, ``person_glasses_place_session_number``.
    """
    parts = one.picture.stem.split("_")
    return parts[-2] if len(parts) >= 4 else one.person


def find_faces(
    presentations: Sequence[Presentation],
    detector: Detector,
    progress: Progress | None = None,
) -> tuple[list[tuple[Presentation, Face]], list[tuple[str, str]]]:
    """The largest face of each picture, with so much around it as training takes.

    Returns:
        The pictures with their faces; the others with the reason.
    """
    found, missing = [], []
    for i, one in enumerate(presentations):
        try:
            faces = detector.detect(load_frame(one.picture))
        except InputError as error:
            missing.append((str(one.picture), error.code))
        else:
            if faces:
                found.append((one, max(faces, key=lambda face: face.visible_area_px)))
            else:
                missing.append((str(one.picture), "no-face"))
        if progress is not None:
            progress(i + 1, len(presentations))
    return found, missing


def load_crops(
    presentations: Sequence[Presentation],
    detector: Detector,
    side_px: int,
    scale: float,
    *,
    session_of: Callable[[Presentation], str] | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> CropSet:
    """Cut the largest face out of each picture.

    Args:
        presentations: Pictures whose truth is known.
        detector: Finds the faces.
        side_px: Of the crops.
        scale: Their side as a multiple of the box.
        session_of: When or where a picture was taken; its person where that is not known.
        limit: At most so many of living faces and so many of attacks, the first ones.
        progress: Called with how many are done, of how many.

    Raises:
        InsufficientDataError: No living face, or no attack, is left.
    """
    chosen = _limited(presentations, limit)
    # One picture at a time: whole pictures would take a hundred times as much memory.
    crops, kept, missing = [], [], []
    for i, one in enumerate(chosen):
        pairs, lost = find_faces([one], detector)
        missing += lost
        for own, face in pairs:
            box = face.box
            crops.append(context_crop(face.frame.image, box, scale, (side_px, side_px)))
            kept.append(own)
        if progress is not None:
            progress(i + 1, len(chosen))
    live = np.array([one.species is None for one in kept], bool)
    if not live.any() or live.all():
        raise InsufficientDataError(
            f"training takes living faces and attacks, found {int(live.sum())} and "
            f"{int((~live).sum())}",
            remedy="check the folders, or lower --min-face",
        )
    name = session_of or (lambda one: one.person)
    return CropSet(
        np.stack(crops),
        live,
        tuple(one.person for one in kept),
        tuple(name(one) for one in kept),
        tuple(missing),
    )


def _limited(presentations: Sequence[Presentation], limit: int | None) -> list[Presentation]:
    if limit is None:
        return list(presentations)
    live = [one for one in presentations if one.species is None]
    attacks = [one for one in presentations if one.species is not None]
    return live[:limit] + attacks[:limit]


def augmented(pixels: NDArray[np.uint8], random: Random) -> NDArray[np.float32]:
    """Change crops as another place and another moment would.

    Mirrored, shifted by up to a twentieth, brighter or darker, with more or less contrast and
    another gamma and tint. Left alone is what gives a print away: sharpness, noise, the pattern
    of the paper or the screen, compression. So nothing is blurred, sharpened, scaled by much,
    compressed, or covered with noise.

    Args:
        pixels: (n, s, s, 3) uint8.
        random: Where the changes come from.

    Returns:
        (n, 3, s, s) float32 in 0 to 255.
    """
    count, side = pixels.shape[0], pixels.shape[1]
    reach = max(1, side // 20)
    padded = np.pad(pixels, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    moved = np.empty_like(pixels)
    for i, (down, right) in enumerate(random.integers(0, 2 * reach + 1, (count, 2)).tolist()):
        part = padded[i, down : down + side, right : right + side]
        moved[i] = part[:, ::-1] if random.random() < 0.5 else part
    values = moved.astype(np.float32) / 255.0
    shape = (count, 1, 1, 1)
    values **= np.exp(random.uniform(-0.35, 0.35, shape)).astype(np.float32)
    middle = values.mean(axis=(1, 2), keepdims=True)
    values = (values - middle) * random.uniform(0.75, 1.25, shape).astype(np.float32) + middle
    values *= random.uniform(0.9, 1.1, (count, 1, 1, 3)).astype(np.float32)
    values += random.uniform(-0.1, 0.1, shape).astype(np.float32)
    changed = np.clip(values, 0.0, 1.0).transpose(0, 3, 1, 2) * np.float32(255.0)
    return np.ascontiguousarray(changed, np.float32)
