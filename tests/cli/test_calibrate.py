from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.cli._options import SIGNING_VARIABLE
from vultus.decide import load_calibration
from vultus.gallery import NewSample, SqliteGallery
from vultus.types import Embedding, EmbeddingSpace


def refused(ended: Any) -> str:
    """The code of the error that ended a command run with --json."""
    assert ended.code == 4
    return str(json.loads(ended.out.splitlines()[-1])["error"]["code"])


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SIGNING_VARIABLE, raising=False)


def fill(path: Path, space: EmbeddingSpace, people: int = 40, each: int = 3) -> None:
    """Faces about a direction per person."""
    random = np.random.default_rng(0)
    centres = np.repeat(random.standard_normal((people, space.dimension)), each, axis=0)
    found = centres + 0.3 * random.standard_normal(centres.shape)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    with SqliteGallery(path) as gallery:
        gallery.add_many(
            NewSample(f"p{i // each}", Embedding(vector.astype(np.float32), space))
            for i, vector in enumerate(found)
        )


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    fill(tmp_path / "g.db", EmbeddingSpace("test", "0" * 64, 16, "none"))
    return tmp_path / "g.db"


class TestOfAGallery:
    def test_json(self, vultus, gallery: Path, tmp_path: Path):
        out = tmp_path / "c.json"
        ended = vultus("calibrate", gallery, "--out", out, "--rounds", 20, "--json")
        assert (ended.code, ended.err) == (0, "")
        said = json.loads(ended.out)
        # 120 faces: 40 · 3 genuine pairs of 120 · 119 / 2.
        assert (said["subjects"], said["images"]) == (40, 120)
        assert (said["genuine"], said["impostor"]) == (120, 7020)
        assert (said["calibration"], said["failed"]) == (str(out), 0)
        assert said["space"] == "test/000000000000/16/none"
        made = load_calibration(out)
        rows = {row["fmr"]: row for row in said["thresholds"]}
        assert list(rows) == [1e-1, 1e-2, 5e-3, 1e-3, 1e-4, 1e-5]
        assert rows[1e-2]["threshold"] == pytest.approx(made.threshold(1e-2).value, abs=1e-6)
        low, high = rows[1e-2]["fmr_interval"]
        assert low <= 1e-2 <= high
        assert rows[1e-5]["threshold"] is None  # 7,020 pairs cannot show 1 in 100,000
        assert rows[1e-5]["reason"]

    def test_for_people(self, vultus, gallery: Path, tmp_path: Path):
        out = tmp_path / "c.json"
        ended = vultus("calibrate", gallery, "-o", out, "--rounds", 20, "--data", "our staff")
        lines = ended.out.splitlines()
        assert lines[0] == (f"{out}: 40 people, 120 pictures, 120 genuine and 7,020 impostor pairs")
        assert lines[2].startswith("  fmr=0.01: from 0.")
        assert lines[-1].startswith("  fmr=1e-05: insufficient data; ")
        assert load_calibration(out).data == "our staff"

    def test_faces_that_wait_for_another_model_are_left_out(
        self, vultus, gallery: Path, tmp_path: Path
    ):
        other = EmbeddingSpace("other", "1" * 64, 8, "none")
        random = np.random.default_rng(5).standard_normal((90, 8)).astype(np.float32)
        with SqliteGallery(gallery) as opened:
            opened.add_space(other)
            opened.put_embeddings(
                other,
                [
                    (i + 1, Embedding(vector / np.linalg.norm(vector), other))
                    for i, vector in enumerate(random)
                ],
            )
            opened.activate(other, allow_missing=True)
        words = ("calibrate", gallery, "-o", tmp_path / "c.json", "--rounds", 20, "--json")
        said = json.loads(vultus(*words).out)
        assert (said["subjects"], said["images"]) == (30, 90)

    def test_too_few_people(self, vultus, tmp_path: Path):
        fill(tmp_path / "s.db", EmbeddingSpace("test", "0" * 64, 16, "none"), people=5)
        words = ("calibrate", tmp_path / "s.db", "-o", tmp_path / "c.json", "--json")
        assert refused(vultus(*words)) == "insufficient-data"
        assert not (tmp_path / "c.json").exists()

    def test_refused(self, vultus, gallery: Path, tmp_path: Path):
        SqliteGallery(tmp_path / "empty.db").close()
        words = ("calibrate", tmp_path / "empty.db", "-o", tmp_path / "c.json", "--json")
        assert refused(vultus(*words)) == "gallery-empty"
        words = ("calibrate", tmp_path / "none.db", "-o", tmp_path / "c.json", "--json")
        assert refused(vultus(*words)) == "gallery-file"
        words = ("calibrate", gallery, "-o", tmp_path / "no" / "c.json", "--rounds", 20, "--json")
        assert refused(vultus(*words)) == "output-failed"

    @pytest.mark.parametrize(
        "options",
        [["--pairs", "pairs.txt"], ["--face", "left"], ["--rounds", "5"]],
        ids=" ".join,
    )
    def test_wrong_usage(self, vultus, gallery: Path, tmp_path: Path, options):
        assert vultus("calibrate", gallery, "-o", tmp_path / "c.json", *options).code == 2


class TestSigned:
    @pytest.fixture
    def own_space(self, recognizer, tmp_path: Path) -> Path:
        """A gallery of made-up people in the space of the default model."""
        fill(tmp_path / "g.db", recognizer.embedder.space)
        return tmp_path / "g.db"

    def test_whoever_has_the_key_reads_it(
        self, vultus, own_space: Path, tmp_path: Path, samples: Path, monkeypatch
    ):
        out, photo = tmp_path / "c.json", samples / "photos" / "obama2.jpg"
        compare = ("compare", photo, photo, "--threshold", "fmr=1e-2", "--calibration", out)
        monkeypatch.setenv(SIGNING_VARIABLE, "secret")
        assert vultus("calibrate", own_space, "-o", out, "--rounds", 20).code == 0
        said = json.loads(vultus(*compare, "--json").out)
        made = load_calibration(out, key=b"secret")
        assert said["threshold"] == pytest.approx(made.threshold(1e-2).value, abs=1e-6)
        monkeypatch.setenv(SIGNING_VARIABLE, "another")
        assert refused(vultus(*compare, "--json")) == "calibration-invalid"
        monkeypatch.delenv(SIGNING_VARIABLE)
        assert refused(vultus(*compare, "--json")) == "calibration-invalid"

    def test_where_there_is_a_key_an_unsigned_one_is_refused(
        self, vultus, own_space: Path, tmp_path: Path, samples: Path, monkeypatch
    ):
        out, photo = tmp_path / "c.json", samples / "photos" / "obama2.jpg"
        assert vultus("calibrate", own_space, "-o", out, "--rounds", 20).code == 0
        compare = ("compare", photo, photo, "--calibration", out, "--json")
        assert vultus(*compare).code == 0
        monkeypatch.setenv(SIGNING_VARIABLE, "secret")
        assert refused(vultus(*compare)) == "calibration-invalid"


def test_a_folder(vultus, samples: Path, tmp_path: Path, monkeypatch):
    """Which pictures are embedded, and how; too few people are told after that."""
    asked: list[Any] = []

    def embedded(named: Any, how: Any, **_: object) -> None:
        asked.extend([[(person, path.name) for person, path in named], how])
        raise KeyboardInterrupt

    monkeypatch.setattr("vultus.cli.calibrate.embedded_people", embedded)
    words = ("calibrate", samples / "known", "-o", tmp_path / "c.json", "--face", "center")
    vultus(*words, "--min-face", 50, "--no-mirror", "--embedder", "sface")
    named, how = asked
    assert named == [("Barack Obama", "Barack Obama.jpg"), ("Joe Biden", "Joe Biden.jpg")]
    assert (how.model, how.min_face_px, how.mirror, how.face) == ("sface", 50.0, False, "center")


def test_a_folder_of_two_people_is_too_few(vultus, samples: Path, tmp_path: Path):
    words = ("calibrate", samples / "known", "-o", tmp_path / "c.json", "-j", 1, "--json")
    assert refused(vultus(*words)) == "insufficient-data"
