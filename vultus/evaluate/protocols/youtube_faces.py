"""YouTube Faces: same or not, from the mean embedding of each video's frames.

Rules (Wolf, Hassner and Maoz 2011): 5,000 pairs of videos in 10 splits of 250 + 250, judged like
LFW's folds. A video's template is the mean of its frames' unit embeddings, scaled to unit length:
the plain average pooling that embeddings are usually compared by.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DataFileError, ImageNotFoundError, RangeError
from vultus.evaluate._plain import plain
from vultus.evaluate.embeddings import Embed, EmbeddedPictures, embed_pictures
from vultus.evaluate.protocols._compared import Templates, compare, judge
from vultus.evaluate.protocols._folds import Distance, FoldedAccuracy
from vultus.evaluate.protocols._text import read_lines, wrong_line
from vultus.sources import walk_images

__all__ = [
    "VideoPairs",
    "YoutubeFacesResult",
    "evaluate_templates",
    "evaluate_youtube_faces",
    "mean_templates",
    "read_splits",
]


@dataclass(frozen=True, slots=True, eq=False)
class VideoPairs:
    """Pairs of videos in the order of their file.

    Attributes:
        videos: Every video once, ``Person/number``.
        rows: (n, 2) which videos each pair names.
        same: (n,) whether it shows one person.
        fold: (n,) its split, from 0.
        path: The file, for messages.
    """

    videos: tuple[str, ...] = field(repr=False)
    rows: NDArray[np.intp] = field(repr=False)
    same: NDArray[np.bool_] = field(repr=False)
    fold: NDArray[np.intp] = field(repr=False)
    path: str


@dataclass(frozen=True, slots=True)
class YoutubeFacesResult:
    """What `evaluate_youtube_faces` found; see `LfwResult` for how failures count.

    Attributes:
        figures: Accuracy, AUC, EER, VAL.
        left_out: Pairs left out because a video has no frame on disk.
        rejected: Pairs never accepted because no frame of a video gave a face.
        missing: Videos without frames.
        no_face: Videos without a face in any frame.
        frames: Frames looked at.
        frames_without_face: Frames that gave no face, left out of the means.
        space: Id of the embedding space.
        seconds: From files to figures.
    """

    figures: FoldedAccuracy
    left_out: int
    rejected: int
    missing: tuple[str, ...]
    no_face: tuple[str, ...]
    frames: int
    frames_without_face: int
    space: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**plain(self), "figures": self.figures.to_dict()}


def read_splits(path: Path) -> VideoPairs:
    """Read ``splits.txt``: ``split number, first name, second name, …, is same``.

    Columns are separated by commas. Where the first line names them, they are found by the names
    ``split number``, ``first name``, ``second name`` and ``is same``; without such a line the
    first three and the last column are taken.

    Raises:
        DataFileError: The file cannot be read, or a line is wrong (see the field ``line``).
    """
    lines = [(n, line) for n, line in enumerate(read_lines(path), 1) if line.strip()]
    columns, start = _columns(path, lines)
    splits, pairs, same = [], [], []
    for number, line in lines[start:]:
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) <= max(columns[:3]) or len(cells) < 4:
            raise wrong_line(path, number, f"a pair has 4 columns or more, got {line!r}")
        split, first, second, label = (cells[column] for column in columns)
        if not split.isdecimal() or label not in {"0", "1"}:
            raise wrong_line(
                path, number, f"a pair has a split's number and 0 or 1 for same, got {line!r}"
            )
        for video in (first, second):
            parts = video.split("/")
            if len(parts) != 2 or {"", ".", ".."} & set(parts) or "\\" in video:
                raise wrong_line(path, number, f"a video is named Person/number, got {video!r}")
        splits.append(int(split))
        pairs.append((first, second))
        same.append(label == "1")
    if not pairs:
        raise DataFileError(f"{path} holds no pairs", path=str(path))
    videos = tuple(sorted({video for pair in pairs for video in pair}))
    index = {video: i for i, video in enumerate(videos)}
    return VideoPairs(
        videos,
        np.array([(index[a], index[b]) for a, b in pairs]),
        np.array(same, bool),
        np.unique(splits, return_inverse=True)[1],
        str(path),
    )


def evaluate_youtube_faces(
    frames: Path,
    pairs: VideoPairs,
    embed: Embed = embed_pictures,
    *,
    most_frames: int | None = None,
    distance: Distance = "euclidean",
    subtract_mean: bool = False,
) -> YoutubeFacesResult:
    """Run the protocol from frames to figures.

    Args:
        frames: ``frame_images_DB`` or ``aligned_images_DB``: ``<Person>/<number>/<frame>.jpg``.
        pairs: From `read_splits`.
        embed: Turns pictures into embeddings.
        most_frames: Frames of a video that are looked at, evenly spread; all when ``None``.
        distance: ``euclidean`` (squared) or ``cosine`` (angle / pi).
        subtract_mean: As in `evaluate_folds`.

    Raises:
        DataFileError: No pair has frames of both videos.
        RangeError: `most_frames` is below 1.
        InsufficientDataError: What is left has pairs of one kind, or one split.
    """
    began = time.perf_counter()
    listed = [_frames(frames / video, most_frames) for video in pairs.videos]
    every = [path for paths in listed for path in paths]
    if not every:
        raise DataFileError(
            f"{frames} has no frames of the videos that {pairs.path} names",
            remedy="name the folder that holds one folder per person",
            path=str(frames),
        )
    found = embed(every)
    of_video = np.repeat(np.arange(len(listed)), [len(paths) for paths in listed])
    templates = mean_templates(found, of_video, len(listed))
    figures, left_out, rejected = evaluate_templates(
        pairs, templates, str(frames), distance=distance, subtract_mean=subtract_mean
    )
    named = np.array(pairs.videos)
    return YoutubeFacesResult(
        figures,
        left_out,
        rejected,
        tuple(named[~templates.exists].tolist()),
        tuple(named[templates.exists & ~templates.found].tolist()),
        len(every),
        int((~found.found).sum()),
        found.space.id,
        time.perf_counter() - began,
    )


def mean_templates(
    found: EmbeddedPictures, of_video: NDArray[np.intp] | Sequence[int], videos: int
) -> Templates:
    """Mean of each video's unit embeddings, scaled to unit length; frames without a face left out.

    Args:
        found: One row per frame.
        of_video: (n,) which video each frame belongs to, from 0.
        videos: How many there are.
    """
    owner = np.asarray(of_video)
    total = np.zeros((videos, found.vectors.shape[1]))
    np.add.at(total, owner[found.found], found.vectors[found.found])
    lengths = np.linalg.norm(total, axis=1)
    has = lengths > 0
    total[has] /= lengths[has, None]
    exists = np.bincount(owner[found.exists], minlength=videos) > 0
    return Templates(total.astype(np.float32), has, exists)


def evaluate_templates(
    pairs: VideoPairs,
    templates: Templates,
    where: str,
    *,
    distance: Distance = "euclidean",
    subtract_mean: bool = False,
) -> tuple[FoldedAccuracy, int, int]:
    """Figures of templates in the order of `pairs.videos`, pairs left out, pairs rejected."""
    compared = compare(pairs.rows, pairs.same, templates, pairs.path, where)
    figures = judge(compared, pairs.fold, None, distance, subtract_mean)
    return figures, int((~compared.kept).sum()), int(compared.rejected.sum())


def _columns(path: Path, lines: list[tuple[int, str]]) -> tuple[list[int], int]:
    """Where split, first, second and same stand, and on which line the pairs begin."""
    if not lines:
        raise DataFileError(f"{path} is empty", path=str(path))
    names = [cell.strip().casefold() for cell in lines[0][1].split(",")]
    if names[0].isdecimal():
        return [0, 1, 2, -1], 0
    wanted = ("split", "first", "second", "is same")
    places = [[i for i, name in enumerate(names) if name.startswith(w)] for w in wanted]
    if not all(places):
        raise wrong_line(
            path, 1, f"the columns must be split number, first name, second name, is same; {names}"
        )
    return [place[0] for place in places], 1


def _frames(folder: Path, most: int | None) -> list[Path]:
    if most is not None and most < 1:
        raise RangeError(f"the frames of a video to look at must be at least 1, got {most}")
    try:
        every = list(walk_images(folder))
    except ImageNotFoundError:
        return []
    if most is None or len(every) <= most:
        return every
    return [every[i] for i in np.linspace(0, len(every) - 1, most).round().astype(int)]
