from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vultus.server.places import Places
from vultus.server.secrets import Secrets
from vultus.server.store import Store, open_store
from vultus.server.store.faces import FaceTokens, HeldFace

SECRETS = Secrets(b"0123456789abcdef0123456789abcdef")
A, B = "a" * 32, "b" * 32


@pytest.fixture(params=["sqlite", "postgres"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    source = str(tmp_path / "people.vultus")
    if request.param == "postgres":
        source = request.getfixturevalue("postgres_source")
    opened = open_store(Places(source), SECRETS)
    yield opened
    opened.close()


on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture
def faces(store: Store) -> FaceTokens:
    return FaceTokens(store, SECRETS)


def face(token: str = A, first: float = 1.0, **about: object) -> HeldFace:
    return HeldFace(token, "space", np.array([first, 0.5], np.float32), 2.0, about)


def test_a_held_face_is_found_for_an_hour(faces: FaceTokens):
    faces.hold("acme", [face(score=0.5)], now_s=1000.0)
    found = faces.find("acme", A, now_s=4599.9)
    assert found is not None
    assert found.held is not None
    assert found.held.vector.tolist() == [1.0, 0.5]
    assert (found.held.space, found.held.raw_norm) == ("space", 2.0)
    assert found.about == {"score": 0.5}
    assert found.numbers == ()
    assert faces.find("acme", A, now_s=4600.0) is None


def test_seen_again_it_lives_anew(faces: FaceTokens):
    faces.hold("acme", [face(first=1.0)], now_s=0.0)
    faces.hold("acme", [face(first=3.0), face(first=4.0)], now_s=3000.0)
    found = faces.find("acme", A, now_s=6000.0)
    assert found is not None
    assert found.held is not None
    assert found.held.vector.tolist() == [4.0, 0.5]


def test_tenants_do_not_see_one_another(faces: FaceTokens):
    faces.hold("acme", [face()], now_s=0.0)
    faces.enrolled("acme", B, [1], {})
    assert faces.find("other", A, now_s=1.0) is None
    assert faces.find("other", B, now_s=1.0) is None
    faces.forget("other", [A], [1])
    assert faces.find("acme", A, now_s=1.0) is not None
    assert faces.find("acme", B, now_s=1.0) is not None


def test_enrolled_faces_have_numbers_and_no_end(faces: FaceTokens):
    faces.enrolled("acme", A, [4, 2], {"where": 1})
    found = faces.find("acme", A, now_s=1e12)
    assert found is not None
    assert (found.held, found.numbers, found.about) == (None, (2, 4), {"where": 1})
    faces.enrolled_if_unknown("acme", A, 2)
    faces.enrolled_if_unknown("acme", A, 5)
    found = faces.find("acme", A)
    assert found is not None
    assert found.numbers == (2, 4, 5)


@on_sqlite
def test_of_an_enrolled_face_nothing_is_kept(faces: FaceTokens, tmp_path: Path):
    faces.enrolled("acme", A, [4, 2], {"where": 1})
    with sqlite3.connect(tmp_path / "people.server.db") as plain:
        assert plain.execute("SELECT DISTINCT vector FROM face_token").fetchall() == [(None,)]
    plain.close()


def test_both_at_once(faces: FaceTokens):
    faces.enrolled("acme", A, [7], {})
    faces.hold("acme", [face()], now_s=0.0)
    found = faces.find("acme", A, now_s=1.0)
    assert found is not None
    assert found.held is not None
    assert found.numbers == (7,)
    later = faces.find("acme", A, now_s=9999.0)
    assert later is not None
    assert (later.held, later.numbers) == (None, (7,))


def test_forgetting_takes_the_face_and_its_samples(faces: FaceTokens):
    faces.hold("acme", [face(A), face(B)], now_s=0.0)
    faces.enrolled("acme", A, [1, 2], {})
    faces.forget("acme", [A], [1])
    found = faces.find("acme", A, now_s=1.0)
    assert found is not None
    assert (found.held, found.numbers) == (None, (2,))
    assert faces.find("acme", B, now_s=1.0) is not None
    faces.forget("acme", [], [])
    faces.forget("acme", ["c" * 32] * 1200, range(3, 1300))
    assert faces.find("acme", A) is not None


@on_sqlite
def test_what_is_over_is_erased_from_the_files(faces: FaceTokens, tmp_path: Path):
    def kept() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.glob("people.server.db*"))

    mark = np.array([1234.5, 0.25], np.float32)
    faces.hold("acme", [HeldFace(A, "space", mark, 1.0, {})], now_s=0.0)
    faces.enrolled("acme", B, [1], {})
    assert faces.erase_ended(3599.0) == 0
    assert mark.tobytes() in kept()
    assert faces.erase_ended(3600.0) == 1
    assert mark.tobytes() not in kept()
    assert faces.find("acme", B) is not None


def test_holding_erases_what_is_over(faces: FaceTokens):
    faces.hold("acme", [face(A)], now_s=0.0)
    faces.hold("acme", [face(B)], now_s=5000.0)
    assert faces.erase_ended(5000.0) == 0


def test_tokens_are_keyed_and_of_one_tenant(faces: FaceTokens, store: Store):
    token = faces.token_of("acme", b"digest", "1,2,3,4")
    assert len(token) == 32
    assert int(token, 16)
    assert token == faces.token_of("acme", b"digest", "1,2,3,4")
    others = {
        faces.token_of("acme", b"digest", "1,2,3,5"),
        faces.token_of("other", b"digest", "1,2,3,4"),
        FaceTokens(store, Secrets(b"x" * 32)).token_of("acme", b"digest", "1,2,3,4"),
    }
    assert len(others | {token}) == 4
