"""IJB-B and IJB-C: files, templates and rates by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import DataFileError, InsufficientDataError, ShapeError
from vultus.evaluate.protocols.ijb import (
    IjbPictures,
    TemplatePairs,
    evaluate_identification,
    evaluate_verification,
    read_gallery,
    read_pictures,
    read_points,
    read_template_pairs,
    template_features,
)


def _file(folder: Path, text: str) -> Path:
    path = folder / "list.txt"
    path.write_text(text)
    return path


# -- files --------------------------------------------------------------------------------------


def test_reading_the_files(tmp_path: Path) -> None:
    pictures = read_pictures(_file(tmp_path, "1.jpg 1 69544\n2.jpg 1 -1\n3.jpg 7 5\n"))
    assert pictures.names == ("1.jpg", "2.jpg", "3.jpg")
    assert (pictures.template.tolist(), pictures.media.tolist()) == ([1, 1, 7], [69544, -1, 5])

    names, points, scores = read_points(_file(tmp_path, "1.jpg 1 2 3 4 5 6 7 8 9 10 0.5\n"))
    assert names == ("1.jpg",)
    assert points.tolist() == [[[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]]
    assert scores.tolist() == [0.5]

    pairs = read_template_pairs(_file(tmp_path, "1 7 1\n1 9 0\n"))
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([1, 1], [7, 9])
    assert pairs.same.tolist() == [True, False]

    gallery = read_gallery(
        _file(tmp_path, 'TEMPLATE_ID,SUBJECT_ID,FILENAME\n1,10,"a,b.jpg"\n1,10,c.jpg\n4,11,d.jpg\n')
    )
    assert [column.tolist() for column in gallery] == [[1, 4], [10, 11]]


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (read_pictures, "1.jpg 1\n", "line 1: expected `name template media`"),
        (read_pictures, "1.jpg x 3\n", "line 1"),
        (read_pictures, "\n", "names no pictures"),
        (read_points, "1.jpg 1 2 3\n", "line 1: expected a name and 11 numbers"),
        (read_points, "1.jpg 1 2 3 4 5 6 7 8 9 x 0.5\n", "line 1: points must be numbers"),
        (read_points, "1.jpg 1 2 3 4 5 6 7 8 9 nan 0.5\n", "line 1: expected a name"),
        (read_points, "", "names no pictures"),
        (read_template_pairs, "1 2\n", "two templates and 0 or 1"),
        (read_template_pairs, "1 2 3\n", "two templates and 0 or 1"),
        (read_template_pairs, "1 2 x\n", "cannot be read"),
        (read_template_pairs, "", "two templates and 0 or 1"),
        (read_gallery, "T,S\n1\n", "line 2: expected"),
        (read_gallery, "T,S\n1,2\n1,3\n", "line 3: template 1 has two subjects"),
        (read_gallery, "T,S\n", "names no templates"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, read, text: str, said: str) -> None:
    with pytest.raises(DataFileError, match=said):
        read(_file(tmp_path, text))


@pytest.mark.parametrize("read", [read_pictures, read_points, read_template_pairs, read_gallery])
def test_files_that_are_missing(tmp_path: Path, read) -> None:
    with pytest.raises(DataFileError, match="cannot be read"):
        read(tmp_path / "gone.txt")


# -- templates ----------------------------------------------------------------------------------


def _pictures(template: list[int], media: list[int]) -> IjbPictures:
    names = tuple(f"{i}.jpg" for i in range(len(template)))
    return IjbPictures(names, np.array(template), np.array(media))


def test_media_are_averaged_before_templates() -> None:
    features = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 3.0], [9.0, 9.0], [1.0, 1.0]])
    # Template 5: a still (1, 0) and a video of three frames of which one is (0, 3): mean (0, 5/3).
    # Their order in the file does not matter. Template 2: one picture, without a face.
    pictures = _pictures([5, 5, 5, 5, 2, 9], [1, 8, 8, 8, 3, 1])
    found = np.array([True, True, True, True, False, True])
    templates = template_features(features, pictures, found)
    assert templates.ids.tolist() == [2, 5, 9]
    assert templates.found.tolist() == [False, True, True]
    assert templates.vectors[1] == pytest.approx(np.array([1, 5 / 3]) / np.hypot(1, 5 / 3))
    order = [3, 5, 0, 4, 2, 1]
    again = template_features(
        features[order],
        _pictures(pictures.template[order].tolist(), pictures.media[order].tolist()),
        found[order],
    )
    assert again.vectors == pytest.approx(templates.vectors)
    with pytest.raises(ShapeError, match="one row per picture"):
        template_features(features[:5], pictures)


def _at(degrees: list[float]) -> np.ndarray:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_one_to_one_by_hand() -> None:
    # Templates 0 to 4 at 0, 10, 80, 90 degrees and one without a face.
    templates = template_features(
        _at([0, 10, 80, 90, 0]),
        _pictures([0, 1, 2, 3, 4], [0] * 5),
        np.array([True] * 4 + [False]),
    )
    pairs = TemplatePairs(
        np.array([0, 2, 0, 0, 0, 1, 1, 0]),
        np.array([1, 3, 2, 4, 3, 2, 3, 4]),
        np.array([1, 1, 1, 1, 0, 0, 0, 0], bool),
    )
    found = evaluate_verification(templates, pairs, (0.25, 1e-3))
    (point,) = found.report.points
    # Genuine: cos 10, cos 10, cos 80, never. Impostor: cos 90, cos 70, cos 80, never.
    assert point.threshold == pytest.approx(np.cos(np.radians(80)))
    assert (point.fmr, point.tar) == (0.25, 0.5)  # the genuine pair at cos 80 ties and stays out
    assert [lost.target_fmr for lost in found.report.out_of_reach] == [1e-3]
    assert (found.templates, found.without_face) == (5, (4,))
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["report"]["subjects"] is None


def test_pairs_of_unknown_templates() -> None:
    templates = template_features(_at([0, 10]), _pictures([0, 1], [0, 0]))
    with pytest.raises(DataFileError, match="template 7 has no picture") as told:
        evaluate_verification(
            templates, TemplatePairs(np.array([0, 0]), np.array([1, 7]), np.array([True, False]))
        )
    assert told.value.fields["template"] == 7


def test_one_to_many_by_hand() -> None:
    degrees = [0, 40, 90, 130, 5, 30, 92, 128, 0]
    templates = template_features(
        _at(degrees),
        _pictures(list(range(9)), [0] * 9),
        np.array([True] * 8 + [False]),
    )
    first = (np.array([0, 1]), np.array([10, 11]))
    second = (np.array([2, 3]), np.array([12, 13]))
    # 4 at 5: subject 10. 5 at 30: subject 10, who is farther than 11. 6, 7: the other gallery.
    # 8: subject 11, without a face.
    probes = (np.array([4, 5, 6, 7, 8]), np.array([10, 10, 12, 13, 11]))
    found = evaluate_identification(
        templates, [first, second], probes, ranks=(1, 2), fpirs=(0.5, 0.1), candidates=1
    )
    one, other = found.galleries
    assert (one["enrolled"], one["mated"], one["nonmated"]) == (2, 3, 2)
    assert one["rank_rates"] == pytest.approx({1: 1 / 3, 2: 2 / 3})
    assert (other["mated"], other["nonmated"]) == (2, 3)
    assert other["rank_rates"] == {1: 1.0, 2: 1.0}
    assert found.rank_rates == pytest.approx({1: 2 / 3, 2: 5 / 6})
    # First gallery: strangers are nearest at 52 and 88 degrees; FPIR 0.5 lets 52 in, so the
    # threshold lies above cos 88: of the mates at 5 (first), 30 (second) and none, one is found.
    assert one["points"][0.5].tpir == pytest.approx(1 / 3)
    # Second: strangers at 85, 60 and none; of three, one may pass: above cos 85, both mates do.
    assert other["points"][0.5].tpir == 1.0
    assert found.tpir == pytest.approx({0.5: 2 / 3})
    assert "FPIR 0.1 takes at least 10 non-mated searches" in found.out_of_reach[0.1]
    assert found.without_face == (8,)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["rank_rates"]["2"]


def test_someone_enrolled_without_a_face_is_never_found() -> None:
    templates = template_features(
        _at([0, 90, 1, 91]), _pictures([0, 1, 2, 3], [0] * 4), np.array([False, True, True, True])
    )
    found = evaluate_identification(
        templates,
        [(np.array([0, 1]), np.array([10, 11]))],
        (np.array([2, 3]), np.array([10, 11])),
        ranks=(1, 2, 99),
        fpirs=(),
    )
    assert found.galleries[0]["enrolled"] == 2
    assert found.rank_rates == {1: 0.5, 2: 0.5, 99: 0.5}
    with pytest.raises(InsufficientDataError, match="needs a gallery"):
        evaluate_identification(templates, [], (np.array([2]), np.array([10])))
