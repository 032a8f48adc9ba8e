from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus import load_frame
from vultus.compat.facenet.cluster import ClusterOptions, cluster, clustering
from vultus.compat.facenet.faces import margin_crop
from vultus.errors import InsufficientDataError, NoFaceError, OutputError, RangeError
from vultus.models import Registry

MODEL = "dlib-resnet-v1"


@pytest.fixture(scope="module")
def flat(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of one man, one of another, one of nobody."""
    root = tmp_path_factory.mktemp("cluster") / "flat"
    root.mkdir()
    shutil.copy(samples / "known" / "Barack Obama.jpg", root / "a.jpg")
    shutil.copy(samples / "photos" / "obama2.jpg", root / "b.jpg")
    shutil.copy(samples / "known" / "Joe Biden.jpg", root / "c.jpg")
    shutil.copy(samples / "photos" / "obama3.jpg", root / "d.jpg")
    shutil.copy(samples / "photos" / "rocket.jpg", root / "e.jpg")
    return root


def test_words_and_files(flat: Path, tmp_path: Path, plain, heard):
    found = cluster(MODEL, flat, tmp_path / "out", talk=heard.talk)
    assert found == [[0, 1, 3], [2]]
    assert heard.lines[0] == f"Model filename: {MODEL}"
    assert heard.lines[1:3] == ["", "Distance matrix"]
    assert heard.lines[8:] == [
        "",
        "No of clusters: 2",
        "Saving all clusters",
        "Cluster 0: [0 1 3]",
        "Cluster 1: [2]",
    ]
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in tmp_path.rglob("*.png"))
    assert files == ["0/1.png", "0/2.png", "0/3.png", "1/1.png"]
    frame = load_frame(flat / "c.jpg")
    crop = margin_crop(frame, plain.detect(frame)[0].box, 160, 44)
    assert crop is not None
    with Image.open(tmp_path / "out" / "1" / "1.png") as saved:
        assert (np.asarray(saved) == crop.image).all()  # the picture itself, not standardised


def test_the_threshold_is_the_models_own(flat: Path, tmp_path: Path, heard):
    (cosine,) = (
        t.value
        for t in Registry().get(MODEL).thresholds
        if (t.policy, t.preprocessing) == ("fmr=1e-3", "dlib-10")
    )
    cluster(MODEL, flat, tmp_path / "out", talk=heard.talk)
    assert heard.notes == [
        f"faces within a distance of {np.sqrt(2 - 2 * cosine):.4f} are neighbours "
        f"(fmr=1e-3 of {MODEL})"
    ]
    heard.notes.clear()
    everyone = cluster(
        MODEL, flat, tmp_path / "b", ClusterOptions(cluster_threshold=1.0), talk=heard.talk
    )
    assert everyone == [[0, 1, 2, 3]]  # facenet's default means nothing to this model
    assert heard.notes == []


def test_the_largest_alone(flat: Path, tmp_path: Path, heard):
    options = ClusterOptions(largest_cluster_only=True, image_size=64)
    cluster(MODEL, flat, tmp_path / "out", options, talk=heard.talk)
    assert heard.lines[-3:] == [
        "Cluster 0: [0 1 3]",
        "Cluster 1: [2]",
        "Saving largest cluster (Cluster: 0)",
    ]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["1.png", "2.png", "3.png"]
    with Image.open(tmp_path / "out" / "1.png") as saved:
        assert saved.size == (64, 64)


def test_finds_the_people_of_a_folder(shared_data: Path, tmp_path: Path, heard):
    """Five people, 88 small photos, nothing but the defaults."""
    (tmp_path / "flat").mkdir()
    people = set()
    for person in sorted((shared_data / "people").iterdir()):
        for path in sorted(person.iterdir()):
            shutil.copy(path, tmp_path / "flat" / f"{person.name}_{path.name}")
        people.add(person.name)
    found = cluster(MODEL, tmp_path / "flat", tmp_path / "out", talk=heard.talk)
    assert len(found) == len(people) == 5
    # Two photos show no face; the others follow one another by person, as the files do.
    assert [len(members) for members in found] == [13, 14, 21, 17, 21]
    assert [i for members in found for i in members] == list(range(86))


def test_noise_is_not_saved(flat: Path, tmp_path: Path, heard):
    options = ClusterOptions(min_cluster_size=2)
    assert cluster(MODEL, flat, tmp_path / "out", options, talk=heard.talk) == [[0, 1, 3]]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0"]
    none = ClusterOptions(min_cluster_size=9)
    heard.parts.clear()
    assert cluster(MODEL, flat, tmp_path / "none", none, talk=heard.talk) == []
    assert heard.lines[-1] == "No of clusters: 0"
    assert not (tmp_path / "none").exists()


def test_bad_input(flat: Path, photos: Path, tmp_path: Path, heard):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InsufficientDataError, match="it holds no file"):
        cluster(MODEL, tmp_path / "empty", tmp_path / "out", talk=heard.talk)
    shutil.copy(photos / "rocket.jpg", tmp_path / "empty")
    with pytest.raises(NoFaceError, match="none of 1 pictures shows a face"):
        cluster(MODEL, tmp_path / "empty", tmp_path / "out", talk=heard.talk)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        cluster(MODEL, flat, tmp_path / "file", talk=heard.talk)


@pytest.mark.parametrize(
    "options",
    [{"min_cluster_size": 0}, {"cluster_threshold": 0.0}, {"margin": -1}, {"image_size": 0}],
)
def test_options_out_of_range(options):
    with pytest.raises(RangeError, match=next(iter(options))):
        ClusterOptions(**options)


class TestClustering:
    def test_copies_by_rank(self, flat: Path, tmp_path: Path, heard):
        crops = tmp_path / "crops"
        crops.mkdir()
        for name in "abcd":
            shutil.copy(flat / f"{name}.jpg", crops)
        found = clustering(MODEL, crops, tmp_path / "out", talk=heard.talk)
        assert [[path.name for path in one] for one in found] == [
            ["a.jpg", "b.jpg", "d.jpg"],
            ["c.jpg"],
        ]
        assert heard.lines == [f"Model filename: {MODEL}", "Runnning forward pass on images"]
        assert (tmp_path / "out" / "0" / "b.jpg").read_bytes() == (flat / "b.jpg").read_bytes()
        assert [path.name for path in (tmp_path / "out" / "1").iterdir()] == ["c.jpg"]

    def test_a_threshold_of_ones_own(self, flat: Path, tmp_path: Path, heard):
        everyone = clustering(MODEL, flat, tmp_path / "out", 0.5, talk=heard.talk)
        assert [len(one) for one in everyone] == [5]
        (note,) = heard.notes
        assert note.startswith("no face was found in 1 of 5 pictures")
        assert note.endswith(f"{flat / 'e.jpg'}")

    def test_a_place_that_cannot_be_written(self, flat: Path, tmp_path: Path, heard):
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="cannot be written"):
            clustering(MODEL, flat, tmp_path / "file", talk=heard.talk)
