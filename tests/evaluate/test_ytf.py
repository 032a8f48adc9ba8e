"""YouTube Faces: the list, mean templates, folds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus.errors import DataFileError, RangeError
from vultus.evaluate.embeddings import EmbeddedPictures
from vultus.evaluate.protocols.youtube_faces import (
    evaluate_youtube_faces,
    mean_templates,
    read_splits,
)

HEAD = "split number, first name, second name, similarity, is same\n"
SPLITS = """1, Ada/0, Ada/3, 0.9, 1
1, Ada/0, Bob/1, 0.1, 0
2, Bob/1, Bob/2, 0.8, 1
2, Bob/2, Ada/3, 0.2, 0
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "splits.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", [HEAD + SPLITS, SPLITS])
def test_reading_splits(tmp_path: Path, text: str) -> None:
    pairs = read_splits(_file(tmp_path, text))
    assert pairs.videos == ("Ada/0", "Ada/3", "Bob/1", "Bob/2")
    assert pairs.rows.tolist() == [[0, 1], [0, 2], [2, 3], [3, 1]]
    assert pairs.same.tolist() == [True, False, True, False]
    assert pairs.fold.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (HEAD, "holds no pairs"),
        ("a, b, c, d\n", "line 1: the columns must be"),
        (HEAD + "1, Ada/0, Ada/3\n", "line 2: a pair has 4 columns"),
        (HEAD + "1, Ada/0, Ada/3, 0.5, 2\n", "line 2: a pair has a split's number"),
        (HEAD + "1, Ada/0, ../3, 0.5, 1\n", "line 2: a video is named Person/number"),
        (HEAD + "1, Ada, Ada/3, 0.5, 1\n", "line 2: a video is named Person/number"),
    ],
)
def test_lists_that_are_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataFileError, match=said):
        read_splits(_file(tmp_path, text))


def test_mean_templates() -> None:
    found = EmbeddedPictures.of(
        np.array([[1.0, 0.0], [0.0, 2.0], [9.0, 9.0], [1.0, 0.0], [-1.0, 0.0], [5.0, 5.0]]),
        "x",
        [True, True, False, True, True, False],
    )
    templates = mean_templates(found, [0, 0, 0, 1, 1, 2], 4)
    assert templates.vectors[0] == pytest.approx([0.5**0.5, 0.5**0.5])  # of unit vectors
    # Opposite frames cancel out; the third has no face; the fourth no frames.
    assert templates.found.tolist() == [True, False, False, False]
    assert templates.exists.tolist() == [True, True, True, False]


def _embed(sources, *, points=None):
    """Ada is at 0 degrees, Bob at 90, a frame off by its number; black pictures have no face."""
    angles = [
        (0 if path.parts[-3] == "Ada" else 90) + 5 * int(path.stem.split(".")[1])
        for path in sources
    ]
    found = [np.asarray(Image.open(path)).any() for path in sources]
    radians = np.radians(angles)
    return EmbeddedPictures.of(np.stack([np.cos(radians), np.sin(radians)], axis=1), "x", found)


def _video(root: Path, name: str, frames: int, shade: int = 9) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    for i in range(frames):
        Image.new("RGB", (8, 8), (shade,) * 3).save(folder / f"{folder.name}.{i}.png")


def test_from_frames(tmp_path: Path) -> None:
    pairs = read_splits(_file(tmp_path, HEAD + SPLITS))
    for name in ("Ada/0", "Ada/3", "Bob/1", "Bob/2"):
        _video(tmp_path / "db", name, 3)
    found = evaluate_youtube_faces(tmp_path / "db", pairs, _embed)
    assert found.figures.accuracy == 1.0
    assert (found.frames, found.frames_without_face, found.left_out) == (12, 0, 0)
    fewer = evaluate_youtube_faces(tmp_path / "db", pairs, _embed, most_frames=2)
    assert fewer.frames == 8
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["figures"]["auc"] == 1.0


def test_videos_that_are_missing_or_have_no_face(tmp_path: Path) -> None:
    text = SPLITS + "1, Ada/0, Ada/9, 0, 1\n2, Bob/1, Bob/5, 0, 1\n"
    pairs = read_splits(_file(tmp_path, text))
    for name in ("Ada/0", "Ada/3", "Bob/1", "Bob/2"):
        _video(tmp_path / "db", name, 2)
    _video(tmp_path / "db", "Bob/5", 2, shade=0)
    found = evaluate_youtube_faces(tmp_path / "db", pairs, _embed)
    assert (found.missing, found.no_face) == (("Ada/9",), ("Bob/5",))
    assert (found.left_out, found.rejected, found.frames_without_face) == (1, 1, 2)
    assert found.figures.pairs == 5
    assert sorted(found.figures.fold_accuracies) == pytest.approx([2 / 3, 1.0])


def test_a_wrong_folder_and_a_wrong_number(tmp_path: Path) -> None:
    pairs = read_splits(_file(tmp_path, SPLITS))
    with pytest.raises(DataFileError, match="has no frames of the videos"):
        evaluate_youtube_faces(tmp_path, pairs, _embed)
    with pytest.raises(RangeError, match="at least 1, got 0"):
        evaluate_youtube_faces(tmp_path, pairs, _embed, most_frames=0)
