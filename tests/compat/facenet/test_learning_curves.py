from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus.compat.facenet.learning_curves import (
    FIGURES,
    Run,
    curve_of,
    plot_learning_curves,
    read_run,
)
from vultus.errors import DataFileError, OutputError, RangeError

EPOCHS, REACHED, STEPS = 20, 15, 600


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """One run of 15 of 20 epochs with 600 steps each."""
    h5py = pytest.importorskip("h5py", reason="pip install 'vultus[facenet]'")
    folder = tmp_path / "logs" / "20180402-114759"
    folder.mkdir(parents=True)
    with h5py.File(folder / "stat.h5", "w") as file:
        accuracy = np.zeros(EPOCHS, "f4")
        accuracy[:REACHED] = 0.95 + np.arange(REACHED) / 1000
        loss = np.zeros(EPOCHS * STEPS, "f4")
        loss[: REACHED * STEPS] = 2.0
        loss[0] = 502.0
        rate = np.zeros(EPOCHS, "f4")
        rate[:REACHED] = 0.05
        file.create_dataset("lfw_accuracy", data=accuracy)
        file.create_dataset("loss", data=loss)
        file.create_dataset("learning_rate", data=rate)
    (folder / "arguments.txt").write_text(
        "weight_decay: 0.0005\nlearning_rate: -1\nepoch_size: 600\nembedding_size: 512\n"
        "data_dir: a: b\nno colon\n"
    )
    return tmp_path / "logs"


def test_the_accuracy(logs: Path):
    run = read_run(logs / "20180402-114759", "vggface2, wd=5e-4")
    curve = curve_of(FIGURES["lfw_accuracy"], run)
    assert curve is not None
    assert curve.x.tolist() == [600.0 * epoch for epoch in range(1, REACHED + 1)]
    assert curve.y == pytest.approx(0.95 + np.arange(REACHED) / 1000, abs=1e-6)
    # The last epoch and the ten before it: 0.954 to 0.964.
    assert curve.legend == "20180402-114759: vggface2, wd=5e-4 (95.90%)"


def test_losses_are_smoothed(logs: Path):
    curve = curve_of(FIGURES["loss"], read_run(logs / "20180402-114759"))
    assert curve is not None
    assert len(curve.y) == REACHED * STEPS
    assert curve.x[[0, -1]].tolist() == [1 / STEPS, REACHED]
    assert curve.y[[0, 1, 499, 500]].tolist() == pytest.approx([502.0, 252.0, 3.0, 2.0])
    assert curve.legend == "20180402-114759"


def test_zeros_are_gaps():
    run = Run("r", "", {"loss": np.array([4.0, 0.0, 2.0, 0.0])}, {})
    curve = curve_of(FIGURES["loss"], run)
    assert curve is not None
    assert np.array_equal(curve.y, [4.0, np.nan, 3.0], equal_nan=True)
    assert curve.x.tolist() == [0.001, 0.002, 0.003]  # facenet's epoch of 1000 steps


def test_no_values_no_curve():
    assert curve_of(FIGURES["loss"], Run("r", "", {"loss": np.zeros(9)}, {})) is None
    assert curve_of(FIGURES["loss"], Run("r", "", {}, {})) is None


def test_pictures_and_words(logs: Path, tmp_path: Path, heard):
    pytest.importorskip("matplotlib", reason="pip install 'vultus[facenet]'")
    runs = [("20180402-114759", "vggface2")]
    (one,) = plot_learning_curves(logs, runs, tmp_path / "a.png", talk=heard.talk)
    with Image.open(one) as picture:
        assert picture.size == (900, 600)
    assert heard.lines == ["20180402-114759: wd=0.0005, lr=-1, data_dir=a: b, emb_size=512"]
    figures = ("lfw_accuracy", "learning_rate")
    several = plot_learning_curves(logs, runs, tmp_path / "b.svg", figures, talk=heard.talk)
    assert [path.name for path in several] == ["b-lfw_accuracy.svg", "b-learning_rate.svg"]
    assert b"<svg" in several[0].read_bytes()[:1000]


def test_bad_input(logs: Path, tmp_path: Path, heard):
    pytest.importorskip("matplotlib", reason="pip install 'vultus[facenet]'")
    run = [("20180402-114759", "")]
    with pytest.raises(RangeError, match=r"a figure is one of lfw_accuracy, .* got nonsense"):
        plot_learning_curves(logs, run, tmp_path / "a.png", ["nonsense"], talk=heard.talk)
    with pytest.raises(RangeError, match="at least one run"):
        plot_learning_curves(logs, [], tmp_path / "a.png", talk=heard.talk)
    with pytest.raises(DataFileError, match="no run has values for center_loss"):
        plot_learning_curves(logs, run, tmp_path / "a.png", ["center_loss"], talk=heard.talk)
    with pytest.raises(DataFileError, match=r"stat\.h5 cannot be read"):
        plot_learning_curves(logs, [("none", "")], tmp_path / "a.png", talk=heard.talk)
    with pytest.raises(OutputError, match="cannot be written"):
        plot_learning_curves(logs, run, tmp_path / "a.nonsense", talk=heard.talk)
    (logs / "20180402-114759" / "stat.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataFileError, match=r"stat\.h5 cannot be read"):
        plot_learning_curves(logs, run, tmp_path / "a.png", talk=heard.talk)


def test_what_is_no_list_of_numbers(tmp_path: Path):
    h5py = pytest.importorskip("h5py", reason="pip install 'vultus[facenet]'")
    with h5py.File(tmp_path / "stat.h5", "w") as file:
        file.create_dataset("loss", data=["text"], dtype=h5py.string_dtype())
    with pytest.raises(DataFileError, match="loss is no list of numbers"):
        read_run(tmp_path)
