"""Presentation attacks: folders and lists of living faces and attacks, scored and counted.

NUAA's layout: Tan, Li, Liu and Jiang 2010, "Face liveness detection from a single image with
sparse low rank bilinear discriminative model": ``ClientRaw`` and ``ImposterRaw`` with a folder per
person, and lists ``client_train_raw.txt`` … whose paths have backslashes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vultus.detect import Detector
from vultus.errors import DataFileError, InputError, InsufficientDataError
from vultus.evaluate._plain import plain
from vultus.evaluate.metrics.attacks import AttackReport, PadScores, attack_report
from vultus.evaluate.metrics.bootstrap import Resampling
from vultus.sources import load_frame, walk_images
from vultus.types import Face

__all__ = [
    "LivenessEvaluation",
    "Presentation",
    "Scorer",
    "evaluate_liveness",
    "read_folders",
    "read_nuaa",
    "scored",
]

_NUAA_FOLDERS = {"client": "ClientRaw", "imposter": "ImposterRaw"}
_PRINT = "print"
_ATTACK = "attack"


@dataclass(frozen=True, slots=True)
class Presentation:
    """One picture that was held before a camera.

    Attributes:
        picture: The file.
        person: Whom it shows; the file's own name where that is not known.
        species: Kind of attack; ``None`` for a living face.
    """

    picture: Path
    person: str
    species: str | None


class Scorer(Protocol):
    """What tells how alive faces look."""

    name: str

    def scores(self, faces: Sequence[Face]) -> NDArray[np.float64]:
        """(n,) scores in [0, 1], higher for living faces."""
        ...


def read_nuaa(folder: Path, side: Literal["train", "test"]) -> list[Presentation]:
    """The presentations of one of NUAA's lists.

    Args:
        folder: Holds ``ClientRaw``, ``ImposterRaw`` and the lists.
        side: Which lists; their people overlap in part, as published.

    Raises:
        DataFileError: A list cannot be read, or names what is no picture of the folder.
    """
    found = []
    for kind, name in _NUAA_FOLDERS.items():
        listed = folder / f"{kind}_{side}_raw.txt"
        try:
            lines = listed.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DataFileError(f"{listed} cannot be read: {error}", path=str(listed)) from error
        for number, line in enumerate(lines, 1):
            parts = line.strip().replace("\\", "/").split("/")
            if parts == [""]:
                continue
            if len(parts) != 2 or ".." in parts:
                raise DataFileError(
                    f"{listed}:{number} must be PERSON\\FILE, got {line.strip()!r}",
                    path=str(listed),
                    line=number,
                )
            picture = folder / name / parts[0] / parts[1]
            species = None if kind == "client" else _PRINT
            found.append(Presentation(picture, parts[0], species))
    return found


def read_folders(real: Path, attack: Path) -> list[Presentation]:
    """Living faces of one folder, attacks of another.

    Pictures may lie in a folder per person. Folders within `attack` are species (``print``,
    ``screen`` …, with folders per person in them or not), unless one is called like a person of
    `real`: then all of them are people.

    Raises:
        InsufficientDataError: A folder holds no picture.
    """
    live = [Presentation(path, _person(real, path), None) for path in _pictures(real)]
    people = {one.person for one in live if one.picture.parent != real}
    pictures = [(path, path.relative_to(attack).parts) for path in _pictures(attack)]
    of_people = any(parts[0] in people for _, parts in pictures if len(parts) > 1)
    attacks = []
    for path, parts in pictures:
        species = _ATTACK if of_people or len(parts) == 1 else parts[0]
        base = attack if species == _ATTACK else attack / species
        attacks.append(Presentation(path, _person(base, path), species))
    return live + attacks


def _pictures(folder: Path) -> list[Path]:
    found = list(walk_images(folder))
    if not found:
        raise InsufficientDataError(f"{folder} holds no pictures", path=str(folder))
    return found


def _person(base: Path, picture: Path) -> str:
    parts = picture.relative_to(base).parts
    return parts[0] if len(parts) > 1 else picture.stem


@dataclass(frozen=True, slots=True, eq=False)
class LivenessEvaluation:
    """What a liveness model gets wrong on presentations whose truth is known.

    Attributes:
        model: Its name.
        report: The error rates.
        no_face: Pictures without a face, or unreadable, with the reason: no verdict, so they are
            in none of the rates.
        live_scores: (n,) for plots and calibrations.
        attack_scores: Species to scores, likewise.
        wrong: Pictures that were taken for the other, with what they are (``live`` or the
            species) and their score, the worst first.
    """

    model: str
    report: AttackReport
    no_face: tuple[tuple[str, str], ...]
    live_scores: NDArray[np.float64] = field(repr=False)
    attack_scores: dict[str, NDArray[np.float64]] = field(repr=False)
    wrong: tuple[tuple[str, str, float], ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the scores."""
        return {**self.report.to_dict(), "model": self.model, "no_face": plain(self.no_face)}


def scored(
    presentations: Sequence[Presentation],
    detector: Detector,
    scorer: Scorer,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.float64], list[tuple[str, str]]]:
    """Score the largest face of each picture.

    Args:
        presentations: The pictures.
        detector: Finds the faces.
        scorer: Scores them.
        progress: Called with how many are done, of how many.

    Returns:
        (n,) scores, NaN where there is none; and the pictures without one, with the reason.
    """
    scores = np.full(len(presentations), np.nan)
    missing = []
    for i, presentation in enumerate(presentations):
        try:
            faces = detector.detect(load_frame(presentation.picture))
        except InputError as error:
            missing.append((str(presentation.picture), error.code))
        else:
            if faces:
                face = max(faces, key=lambda one: one.visible_area_px)
                scores[i] = scorer.scores([face])[0]
            else:
                missing.append((str(presentation.picture), "no-face"))
        if progress is not None:
            progress(i + 1, len(presentations))
    return scores, missing


def evaluate_liveness(
    presentations: Sequence[Presentation],
    detector: Detector,
    scorer: Scorer,
    threshold: float,
    *,
    how: Resampling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LivenessEvaluation:
    """Measure a liveness model.

    Args:
        presentations: Living faces and attacks.
        detector: Finds the faces; the largest of a picture counts.
        scorer: The model.
        threshold: From which score on a face is live.
        how: Of the intervals over people.
        progress: As in `scored`.

    Raises:
        InsufficientDataError: No living face, or no attack, could be scored.
    """
    scores, missing = scored(presentations, detector, scorer, progress)
    kept = [i for i in range(len(scores)) if np.isfinite(scores[i])]
    live = [i for i in kept if presentations[i].species is None]
    attack = [i for i in kept if presentations[i].species is not None]
    species = tuple(str(presentations[i].species) for i in attack)
    pad = PadScores(
        scores[live],
        scores[attack],
        tuple(presentations[i].person for i in live),
        tuple(presentations[i].person for i in attack),
        species,
    )
    by_species = {
        name: pad.attack[[own == name for own in species]] for name in sorted(set(species))
    }
    report = attack_report(pad, threshold, how)
    wrong = [
        (str(presentations[i].picture), presentations[i].species or "live", float(scores[i]))
        for i in kept
        if (scores[i] >= threshold) != (presentations[i].species is None)
    ]
    wrong.sort(key=lambda one: -abs(one[2] - threshold))
    return LivenessEvaluation(
        scorer.name, report, tuple(missing), pad.live, by_species, tuple(wrong)
    )
