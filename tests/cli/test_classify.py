from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from vultus import Recognizer
from vultus.classify import Classifier
from vultus.cli._embedded import EmbeddedPeople
from vultus.types import EmbeddingSpace

SPACE = EmbeddingSpace("test", "ab" * 32, 16, "arcface-112")


def refused(ended: Any) -> str:
    """The code of the error that ended a command run with --json."""
    assert ended.code == 4
    return str(json.loads(ended.out.splitlines()[-1])["error"]["code"])


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of 40 people with 6 pictures each, one with a single one; none is looked at."""
    random = np.random.default_rng(1)
    people = [f"p{i // 6:02}" for i in range(240)] + ["Single"]
    centres = np.repeat(random.standard_normal((41, 16)), 6, axis=0)[:241]
    found = centres + 0.3 * random.standard_normal(centres.shape)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    for person in people:
        (tmp_path / "tree" / person).mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / person / "a.jpg").touch()

    def embedded(*_: object, **__: object) -> EmbeddedPeople:
        return EmbeddedPeople(found.astype(np.float32), people, [], SPACE, 0)

    monkeypatch.setattr("vultus.cli.classify.embedded_people", embedded)
    return tmp_path / "tree"


class TestTrain:
    @pytest.mark.parametrize("kind", ["svm", "svm-rbf", "logistic", "knn", "centroid"])
    def test_every_kind(self, vultus, made_up: Path, tmp_path: Path, kind):
        if kind not in ("knn", "centroid"):
            pytest.importorskip("sklearn", reason="pip install 'vultus[evaluate]'")
        model = tmp_path / "a.npz"
        ended = vultus("classify", "train", made_up, "-o", model, "--kind", kind, "--json")
        assert (ended.code, ended.err) == (0, "")
        said = json.loads(ended.out)
        assert (said["kind"], said["people"], said["images"]) == (kind, 40, 240)
        assert (said["model"], said["space"], said["failed"]) == (str(model), SPACE.id, 0)
        assert (said["left_out"], said["test"], said["seed"]) == (["Single"], None, 666)
        assert said["unknown_rate"] == 0.01
        assert Classifier.load(model).people == tuple(f"p{i:02}" for i in range(40))

    def test_for_people(self, vultus, made_up: Path, tmp_path: Path):
        words = ("classify", "train", made_up, "--out", tmp_path / "a.npz", "--kind", "knn")
        ended = vultus(*words, "--neighbours", 3, "--unknown-rate", 0.1, "--min-images", 6)
        first, left_out, held = ended.out.splitlines()
        assert first == f"{tmp_path / 'a.npz'}: knn, 40 people, 240 pictures"
        assert left_out == "too few pictures: Single"
        assert held.startswith("held out: of ")
        assert Classifier.load(tmp_path / "a.npz").settings == {"neighbours": 3.0}

    def test_pictures_kept_out_for_a_test(self, vultus, made_up: Path, tmp_path: Path):
        words = ("classify", "train", made_up, "-o", tmp_path / "a.npz", "--kind", "centroid")
        words += ("--min-images", 6, "--train-images", 4, "--seed", 7)
        said = json.loads(vultus(*words, "--json").out)
        test = said["test"]
        assert (said["images"], test["images"], said["seed"]) == (160, 80, 7)
        assert test["accuracy"] > 0.95  # the clusters lie far apart
        assert test["named_right"] + test["named_wrong"] + test["rejected"] == 80
        lines = vultus(*words, "--no-reject").out.splitlines()
        assert lines[-1] == (
            f"test: 80 pictures, accuracy {test['accuracy']:.4f} without rejection; "
            f"{round(80 * test['accuracy'])} right, {round(80 * (1 - test['accuracy']))} wrong, "
            "0 rejected with it"
        )

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            (["--min-images", "7"], "insufficient-data"),
            (["--min-images", "7", "--train-images", "3"], "insufficient-data"),
            (["--unknown-rate", "1"], "value-range"),
            (["--train-images", "2"], "value-range"),
        ],
        ids=lambda value: value if isinstance(value, str) else " ".join(value),
    )
    def test_refused(self, vultus, made_up: Path, tmp_path: Path, options, code):
        words = ("classify", "train", made_up, "-o", tmp_path / "a.npz", "--kind", "knn", "--json")
        assert refused(vultus(*words, *options)) == code
        assert not (tmp_path / "a.npz").exists()

    def test_wrong_usage(self, vultus, made_up: Path, tmp_path: Path):
        ended = vultus("classify", "train", made_up, "-o", tmp_path / "a.npz", "--kind", "tree")
        assert ended.code == 2
        assert vultus("classify", "train", made_up).code == 2

    def test_no_folder(self, vultus, tmp_path: Path):
        words = ("classify", "train", tmp_path / "no", "-o", tmp_path / "a.npz", "--json")
        assert refused(vultus(*words)) == "image-not-found"

    def test_a_place_that_cannot_be_written(self, vultus, made_up: Path, tmp_path: Path):
        words = ("classify", "train", made_up, "-o", tmp_path / "no" / "a.npz", "--kind", "knn")
        assert refused(vultus(*words, "--json")) == "output-failed"


@pytest.fixture(scope="module")
def tree(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people with three pictures each, Joe's made of one; and one that shows nobody."""
    folder = tmp_path_factory.mktemp("classify") / "tree"
    for person in ("Barack Obama", "Joe Biden"):
        (folder / person).mkdir(parents=True)
        shutil.copy(samples / "known" / f"{person}.jpg", folder / person)
    shutil.copy(samples / "photos" / "obama2.jpg", folder / "Barack Obama")
    with Image.open(samples / "known" / "Joe Biden.jpg") as picture:
        ImageEnhance.Brightness(picture).enhance(0.7).save(folder / "Joe Biden" / "dark.png")
    shutil.copy(samples / "photos" / "rocket.jpg", folder / "Joe Biden")
    return folder


@pytest.fixture(scope="module")
def model(recognizer: Recognizer, tree: Path, tmp_path_factory: pytest.TempPathFactory):
    from vultus.classify import TrainOptions, train
    from vultus.pipeline import largest_face

    named = [(p.parent.name, p) for p in sorted(tree.rglob("*.*")) if p.stem != "rocket"]
    faces = [largest_face(recognizer.detect(path)) for _, path in named]
    vectors = np.stack([e.vector for e in recognizer.embed(faces)])
    options = TrainOptions(unknown_rate=None)
    people = [person for person, _ in named]
    made = train(vectors, people, recognizer.embedder.space, "centroid", options)
    path = tmp_path_factory.mktemp("model") / "m.npz"
    made.save(path)
    return path


class TestPredict:
    def test_the_whole_way(self, vultus, tree: Path, tmp_path: Path, samples: Path):
        model = tmp_path / "m.npz"
        words = ("classify", "train", tree, "-o", model, "--kind", "centroid", "--no-reject")
        ended = vultus(*words, "--jobs", 1, "--json")
        assert ended.code == 3  # one picture shows nobody
        assert ended.err.startswith("warning: ")
        assert "rocket.jpg" in ended.err
        said = json.loads(ended.out)
        assert (said["people"], said["images"], said["failed"]) == (2, 4, 1)
        photo = samples / "photos" / "obama3.jpg"
        ended = vultus("classify", "predict", model, photo)
        assert ended.out.startswith(f"{photo}: Barack Obama (")

    def test_json(self, vultus, model: Path, samples: Path):
        photos = samples / "photos"
        ended = vultus(
            "classify", "predict", model, photos / "obama3.jpg", photos / "rocket.jpg", "--json"
        )
        assert ended.code == 0
        one, none = [json.loads(line) for line in ended.out.splitlines()]
        assert list(one) == ["image", "faces", "error"]
        (face,) = one["faces"]
        assert list(face) == [
            "box", "score", "landmarks", "name", "nearest", "decision_value", "confidence",
        ]  # fmt: skip
        assert face["score"] > 0.99  # the detector's
        assert (face["name"], face["nearest"]) == ("Barack Obama", "Barack Obama")
        assert 0.0 <= face["confidence"] <= 1.0
        assert (none["faces"], none["error"]) == ([], None)

    def test_pictures_that_fail(self, vultus, model: Path, samples: Path, tmp_path: Path):
        (tmp_path / "bad.jpg").write_bytes(b"no picture")
        photo = samples / "photos" / "rocket.jpg"
        ended = vultus("classify", "predict", model, photo, tmp_path / "bad.jpg")
        assert ended.code == 3
        assert ended.out == f"{photo}: no face\n"
        assert ended.err.startswith("error image-format: ")

    def test_no_classifier(self, vultus, tmp_path: Path, samples: Path):
        photo = samples / "photos" / "rocket.jpg"
        words = ("classify", "predict", tmp_path / "no.npz", photo, "--json")
        assert refused(vultus(*words)) == "data-file"

    def test_a_model_this_machine_does_not_have(
        self, vultus, made_up: Path, tmp_path: Path, samples: Path
    ):
        model = tmp_path / "a.npz"
        assert vultus("classify", "train", made_up, "-o", model, "--kind", "knn").code == 0
        photo = samples / "photos" / "rocket.jpg"
        assert refused(vultus("classify", "predict", model, photo, "--json")) == "model-unknown"
