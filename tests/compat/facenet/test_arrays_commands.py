"""``export-embeddings``, ``batch-represent`` and ``calculate-filtering-metrics``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from vultus.compat.facenet.batch_represent import batch_represent
from vultus.compat.facenet.export_embeddings import ExportOptions, export_embeddings
from vultus.compat.facenet.filtering_metrics import (
    calculate_filtering_metrics,
    distances_to_centers,
)
from vultus.errors import (
    ImageFormatError,
    InsufficientDataError,
    MissingExtraError,
    NoFaceError,
    OutputError,
    RangeError,
)

MODEL = "dlib-resnet-v1"
NAMES = ["Barack_Obama"] * 3 + ["Joe_Biden"] * 2


@pytest.fixture(scope="module")
def expected(tree: Path, plain) -> np.ndarray:
    """The embeddings of the data set's five pictures, each of one face."""
    paths = [path for path in sorted(tree.glob("*/*")) if not path.name.startswith(".")]
    return np.stack([plain.embed(plain.detect(path)[0]).vector for path in paths])


class TestExport:
    def test_files_and_words(self, tree: Path, tmp_path: Path, monkeypatch, expected, heard):
        monkeypatch.chdir(tmp_path)
        export_embeddings(MODEL, tree, ExportOptions(image_batch=2), talk=heard.talk)
        vectors = np.load("embeddings.npy", allow_pickle=False)
        assert (vectors.shape, vectors.dtype) == ((5, 128), np.float64)
        assert np.allclose(vectors, expected, atol=1e-5)
        labels = np.load("labels.npy", allow_pickle=False)
        assert (labels.tolist(), labels.dtype) == ([0, 0, 0, 1, 1], np.int64)
        assert np.load("label_strings.npy", allow_pickle=False).tolist() == NAMES
        assert heard.lines[:-1] == [
            f"Model filename: {MODEL}",
            "Number of images:  5",
            "Number of batches:  3",
            "Completed batch 1 of 3",
            "Completed batch 2 of 3",
            "Completed batch 3 of 3",
        ]
        assert re.fullmatch(r"Run time:  \d+\.\d+", heard.lines[-1])

    def test_names_of_ones_own(self, tree: Path, tmp_path: Path, heard):
        options = ExportOptions(
            embeddings_name=str(tmp_path / "e"),
            labels_name=str(tmp_path / "l.npy"),
            labels_strings_name=str(tmp_path / "s.npy"),
        )
        export_embeddings(MODEL, tree, options, talk=heard.talk)
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["e.npy", "l.npy", "s.npy"]  # as numpy.save names them

    def test_pictures_that_are_not_aligned(self, tree, tmp_path, monkeypatch, expected, heard):
        monkeypatch.chdir(tmp_path)
        vectors = export_embeddings(MODEL, tree, ExportOptions(False), talk=heard.talk)
        assert np.allclose(vectors, expected, atol=1e-5)
        assert heard.lines[3] == "Creating networks and loading parameters"

    def test_one_of_them_without_a_face(self, tree, photos, tmp_path, monkeypatch, heard):
        shutil.copytree(tree, tmp_path / "set")
        rocket = tmp_path / "set" / "Joe_Biden" / "rocket.jpg"
        shutil.copy(photos / "rocket.jpg", rocket)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(NoFaceError, match=rf"1 of 6 do not: {rocket}"):
            export_embeddings(MODEL, tmp_path / "set", ExportOptions(False), talk=heard.talk)
        assert not (tmp_path / "embeddings.npy").exists()
        # Taken for a crop, it has an embedding, and a word is said.
        vectors = export_embeddings(MODEL, tmp_path / "set", talk=heard.talk)
        assert vectors.shape == (6, 128)
        (note,) = heard.notes
        assert note.startswith("no face was found in 1 of 6 pictures")

    def test_bad_input(self, tree: Path, tmp_path: Path, monkeypatch, heard):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(RangeError, match="image_batch"):
            ExportOptions(image_batch=0)
        options = ExportOptions(embeddings_name="no/e.npy")
        with pytest.raises(OutputError, match="cannot be written"):
            export_embeddings(MODEL, tree, options, talk=heard.talk)
        with pytest.raises(InsufficientDataError):
            export_embeddings(MODEL, tmp_path, talk=heard.talk)
        (tmp_path / "set" / "a").mkdir(parents=True)
        (tmp_path / "set" / "a" / "b.png").write_bytes(b"text")
        with pytest.raises(ImageFormatError, match=r"b\.png"):
            export_embeddings(MODEL, tmp_path / "set", talk=heard.talk)


def test_batch_represent(tree: Path, tmp_path: Path, expected, heard):
    batch_represent(tree, tmp_path / "new" / "out", MODEL, talk=heard.talk)
    signatures = np.load(tmp_path / "new" / "out" / "signatures.npy", allow_pickle=False)
    gallery = np.load(tmp_path / "new" / "out" / "gallery.npy", allow_pickle=False)
    assert (signatures.shape, signatures.dtype) == ((5, 128), np.float64)
    assert np.allclose(signatures, expected, atol=1e-5)
    assert gallery.tolist() == [0, 0, 0, 1, 1]
    assert re.search(
        r"^Forward pass took avg of \d+\.\d{3}\[seconds/image\] for 5 images$",
        heard.text,
        re.MULTILINE,
    )
    assert heard.lines[-1] == (
        f"Finally saving embeddings and gallery to: {tmp_path / 'new' / 'out'}"
    )


class TestFilteringMetrics:
    def test_the_file(self, tree: Path, tmp_path: Path, expected, heard):
        h5py = pytest.importorskip("h5py", reason="pip install 'vultus[facenet]'")
        path = tmp_path / "data.h5"
        calculate_filtering_metrics(tree, MODEL, path, batch_size=2, talk=heard.talk)
        with h5py.File(path) as file:
            assert sorted(file) == ["class_names", "distance_to_center", "image_list", "label_list"]
            assert file["class_names"].asstr()[:].tolist() == ["Barack_Obama", "Joe_Biden"]
            assert file["image_list"].asstr()[0] == str(tree / "Barack_Obama" / "a.jpg")
            assert file["label_list"][:].tolist() == [0, 0, 0, 1, 1]
            found = file["distance_to_center"][:]
        for rows in (slice(0, 3), slice(3, 5)):
            centre = expected[rows].mean(axis=0)
            assert found[rows] == pytest.approx(
                [float(np.sqrt(((row - centre) ** 2).sum())) for row in expected[rows]], abs=1e-5
            )
        assert [re.sub(r"\d\.\d{3}", "T", line) for line in heard.lines] == [
            "Batch 0 in T seconds",
            "Batch 1 in T seconds",
            "Batch 2 in T seconds",
            f"Writing filtering data to {path}",
        ]

    def test_by_hand(self):
        vectors = np.array([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]])
        assert distances_to_centers(vectors, np.array([0, 0, 1])).tolist() == [1.0, 1.0, 0.0]

    def test_without_the_library(self, tree: Path, tmp_path: Path, monkeypatch, heard):
        monkeypatch.setitem(__import__("sys").modules, "h5py", None)
        with pytest.raises(MissingExtraError, match="h5py") as caught:
            calculate_filtering_metrics(tree, MODEL, tmp_path / "d.h5", talk=heard.talk)
        assert caught.value.remedy == "pip install 'vultus[facenet]'"

    def test_bad_input(self, tree: Path, tmp_path: Path, heard):
        pytest.importorskip("h5py", reason="pip install 'vultus[facenet]'")
        with pytest.raises(RangeError, match="batch_size"):
            calculate_filtering_metrics(tree, MODEL, tmp_path / "d", batch_size=0, talk=heard.talk)
        (tmp_path / "set" / "empty").mkdir(parents=True)
        with pytest.raises(InsufficientDataError, match="at least one image for each class"):
            calculate_filtering_metrics(tmp_path / "set", MODEL, tmp_path / "d", talk=heard.talk)
        with pytest.raises(OutputError, match="cannot be written"):
            calculate_filtering_metrics(tree, MODEL, tmp_path / "no" / "d.h5", talk=heard.talk)
