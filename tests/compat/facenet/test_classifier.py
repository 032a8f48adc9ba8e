from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from vultus.classify import Classifier, TrainOptions, train
from vultus.compat.facenet import classifier as module
from vultus.compat.facenet.classifier import (
    ClassifierOptions,
    best_classes,
    classifier,
    load_classifier,
)
from vultus.compat.facenet.predict import predict
from vultus.errors import (
    DataFileError,
    InputError,
    InsufficientDataError,
    RangeError,
    SpaceMismatchError,
)
from vultus.types import EmbeddingSpace

MODEL = "dlib-resnet-v1"
SPACE = EmbeddingSpace("test", "ab" * 32, 8, "arcface-112")


@pytest.fixture(scope="module")
def trained(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sklearn", reason="pip install 'vultus[evaluate]'")
    from vultus.compat.facenet.talk import Talk

    path = tmp_path_factory.mktemp("classifier") / "my_classifier.pkl"  # whatever it is called
    said: list[str] = []
    done = classifier("TRAIN", tree, MODEL, path, talk=Talk(said.append, said.append))
    assert done is None
    assert "".join(said).splitlines() == [
        "Number of classes: 2",
        "Number of images: 5",
        "Loading feature extraction model",
        f"Model filename: {MODEL}",
        "Calculating features for images",
        "Training classifier",
        f'Saved classifier model to file "{path}"',
    ]
    return path


def test_what_is_saved(trained: Path, plain):
    made = Classifier.load(trained)
    assert made.people == ("Barack Obama", "Joe Biden")  # spaces for underscores
    assert made.kind == "logistic"
    assert made.space == plain.embedder.space
    assert trained.read_bytes()[:2] == b"PK"  # arrays in a ZIP file, no pickle


def test_classify(trained: Path, tree: Path, heard):
    accuracy = classifier("CLASSIFY", tree, MODEL, trained, talk=heard.talk)
    assert accuracy == 1.0
    assert heard.lines[5:7] == [
        "Testing classifier",
        f'Loaded classifier model from file "{trained}"',
    ]
    names = ["Barack Obama"] * 3 + ["Joe Biden"] * 2
    for i, (line, name) in enumerate(zip(heard.lines[7:-1], names, strict=True)):
        words, probability = line.rsplit(" ", 1)
        assert words == f"   {i}  {name}:"
        assert 0.5 < float(probability) <= 1.0
    assert heard.lines[-1] == "Accuracy: 1.000"


def test_classes_by_name_not_by_number(trained: Path, tree: Path, tmp_path: Path, heard):
    """A test set with another class first; the original would compare the wrong numbers."""
    shutil.copytree(tree / "Joe_Biden", tmp_path / "set" / "Joe_Biden")
    shutil.copytree(tree / "Barack_Obama", tmp_path / "set" / "A_Stranger")
    accuracy = classifier("CLASSIFY", tmp_path / "set", MODEL, trained, talk=heard.talk)
    assert accuracy == pytest.approx(2 / 5)
    (note,) = heard.notes
    assert note.endswith("count as wrong: A Stranger")


class TestPredict:
    def test_words(self, trained: Path, photos: Path, heard):
        paths = [photos / "wall.jpg", photos / "rocket.jpg", photos / "obama3.jpg"]
        found = predict(paths, MODEL, trained, talk=heard.talk)
        assert [len(faces) for faces in found] == [3, 0, 1]
        assert heard.lines == [
            "Creating networks and loading parameters",
            f"Model filename: {MODEL}",
            f'Loaded classifier model from file "{trained}"',
            "",
            "",
            f"people in image {paths[0]} :",
            *(f"{one.name}: {one.probability:.3f}" for one in found[0]),
            "",
            f"people in image {paths[1]} :",
            "",
            f"people in image {paths[2]} :",
            f"Barack Obama: {found[2][0].probability:.3f}",
        ]

    def test_another_model(self, tmp_path: Path, photos: Path, heard):
        vectors = np.eye(8, dtype=np.float32)[[0, 1]]
        made = train(vectors, ["a", "b"], SPACE, "centroid", TrainOptions(1, None))
        made.save(tmp_path / "c")
        with pytest.raises(SpaceMismatchError, match="the classifier was trained on test/"):
            predict([photos / "obama2.jpg"], MODEL, tmp_path / "c", talk=heard.talk)
        assert heard.text == ""  # told before any work


class TestProbabilities:
    def logistic(self, people: int) -> tuple[Classifier, np.ndarray, np.ndarray]:
        pytest.importorskip("sklearn", reason="pip install 'vultus[evaluate]'")
        random = np.random.default_rng(1)
        labels = np.repeat(np.arange(people), 12)
        vectors = np.eye(8)[labels] + 0.5 * random.standard_normal((len(labels), 8))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        names = [f"p{label}" for label in labels]
        return train(vectors, names, SPACE, "logistic", TrainOptions(1, None)), vectors, labels

    @pytest.mark.parametrize("people", [2, 3, 5])
    def test_those_of_scikit_learn(self, people):
        made, vectors, labels = self.logistic(people)
        from sklearn.linear_model import LogisticRegression

        theirs = LogisticRegression(C=10.0, max_iter=2000).fit(vectors.astype(np.float64), labels)
        expected = theirs.predict_proba(vectors.astype(np.float64))
        found = best_classes(made, vectors)
        assert [one.name for one in found] == [f"p{i}" for i in expected.argmax(axis=1)]
        assert [one.probability for one in found] == pytest.approx(expected.max(axis=1), abs=1e-3)

    def test_no_faces(self):
        made, vectors, _ = self.logistic(2)
        assert best_classes(made, vectors[:0]) == []

    def test_other_kinds_give_their_confidence(self):
        random = np.random.default_rng(2)
        centres = np.repeat(np.eye(8), 6, axis=0)
        vectors = centres + 0.1 * random.standard_normal(centres.shape)
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        names = [f"p{i // 6}" for i in range(48)]
        made = train(vectors, names, SPACE, "centroid", TrainOptions(2, 0.1))
        from vultus.types import Embedding

        expected = made.predict([Embedding(vector, SPACE) for vector in vectors])
        found = best_classes(made, vectors)
        assert [one.name for one in found] == [one.nearest for one in expected]
        assert [one.probability for one in found] == pytest.approx(
            [one.confidence for one in expected]
        )

    def test_no_probabilities(self):
        vectors = np.eye(8, dtype=np.float32)[[0, 1]]
        made = train(vectors, ["a", "b"], SPACE, "centroid", TrainOptions(1, None))
        with pytest.raises(DataFileError, match="has no probabilities"):
            best_classes(made, vectors)


class TestFiles:
    @pytest.mark.parametrize("protocol", [0, 2, 4])
    def test_a_pickle_is_never_opened(self, tmp_path: Path, protocol):
        class Trap:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "sprung",))

        with (tmp_path / "c.pkl").open("wb") as file:
            pickle.dump((Trap(), ["a"]), file, protocol)
        with pytest.raises(DataFileError, match="is a pickle") as caught:
            load_classifier(tmp_path / "c.pkl")
        assert not (tmp_path / "sprung").exists()
        assert "classifier TRAIN" in caught.value.remedy

    def test_anything_else(self, tmp_path: Path):
        with pytest.raises(DataFileError, match="cannot be read"):
            load_classifier(tmp_path / "no.pkl")
        (tmp_path / "text").write_text("hello")
        with pytest.raises(DataFileError, match="is no classifier"):
            load_classifier(tmp_path / "text")


class TestSplit:
    @pytest.fixture
    def files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for name, count in {"a_b": 5, "c": 7, "few": 4}.items():
            (tmp_path / "set" / name).mkdir(parents=True)
            for i in range(count):
                (tmp_path / "set" / name / f"{i}.jpg").touch()

        def features(model, paths, talk):
            seen.append([f"{path.parent.name}/{path.name}" for path in paths])
            rows = np.eye(128)[[ord(path.parent.name[0]) for path in paths]]
            return rows + 0.01 * np.random.default_rng(0).standard_normal(rows.shape)

        seen: list[list[str]] = []
        monkeypatch.setattr(module, "features", features)
        self.seen = seen
        return tmp_path / "set"

    def test_parts_are_disjoint_and_the_same_every_time(self, files: Path, tmp_path: Path, heard):
        pytest.importorskip("sklearn", reason="pip install 'vultus[evaluate]'")
        options = ClassifierOptions(True, 160, 7, 5, 3)
        model = tmp_path / "c"
        for _ in range(2):
            classifier("TRAIN", files, MODEL, model, options, talk=heard.talk)
            accuracy = classifier("CLASSIFY", files, MODEL, model, options, talk=heard.talk)
            assert accuracy == 1.0
        training, testing = self.seen[:2]
        assert self.seen[2:] == [training, testing]
        assert set(training) & set(testing) == set()
        assert [name[0] for name in training] == ["a"] * 3 + ["c"] * 3
        assert [name[0] for name in testing] == ["a"] * 2 + ["c"] * 4
        assert heard.lines[:2] == ["Number of classes: 2", "Number of images: 6"]
        assert Classifier.load(model).people == ("a b", "c")

    def test_nobody_has_enough(self, files: Path, tmp_path: Path, heard):
        options = ClassifierOptions(use_split_dataset=True)
        with pytest.raises(InsufficientDataError, match="no class has 20 pictures"):
            classifier("TRAIN", files, MODEL, tmp_path / "c", options, talk=heard.talk)

    def test_more_for_training_than_there_are(self, files: Path, tmp_path: Path, heard):
        options = ClassifierOptions(True, 160, 1, 5, 5)
        with pytest.raises(RangeError, match="below min_images"):
            classifier("TRAIN", files, MODEL, tmp_path / "c", options, talk=heard.talk)


class TestBadData:
    def test_an_empty_class(self, tree: Path, tmp_path: Path, heard):
        shutil.copytree(tree, tmp_path / "set")
        (tmp_path / "set" / "Nobody").mkdir()
        words = "There must be at least one image for each class in the dataset; empty: Nobody"
        with pytest.raises(InsufficientDataError, match=words):
            classifier("TRAIN", tmp_path / "set", MODEL, tmp_path / "c", talk=heard.talk)

    def test_two_folders_of_one_name(self, tree: Path, tmp_path: Path, heard):
        shutil.copytree(tree / "Joe_Biden", tmp_path / "set" / "Joe_Biden")
        shutil.copytree(tree / "Joe_Biden", tmp_path / "set" / "Joe Biden")
        with pytest.raises(InputError, match="two classes would be called 'Joe Biden'"):
            classifier("TRAIN", tmp_path / "set", MODEL, tmp_path / "c", talk=heard.talk)

    def test_a_single_class(self, tree: Path, tmp_path: Path, heard):
        shutil.copytree(tree / "Joe_Biden", tmp_path / "set" / "Joe_Biden")
        with pytest.raises(InsufficientDataError, match="at least two people"):
            classifier("TRAIN", tmp_path / "set", MODEL, tmp_path / "c", talk=heard.talk)

    def test_a_file_that_is_no_picture(self, tree: Path, tmp_path: Path, heard):
        shutil.copytree(tree, tmp_path / "set")
        (tmp_path / "set" / "Joe_Biden" / "notes.txt").write_text("text")
        with pytest.raises(InputError, match=r"notes\.txt is no picture"):
            classifier("TRAIN", tmp_path / "set", MODEL, tmp_path / "c", talk=heard.talk)

    def test_a_negative_seed(self):
        with pytest.raises(RangeError, match="seed"):
            ClassifierOptions(seed=-1)
