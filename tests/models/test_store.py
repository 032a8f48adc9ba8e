from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from vultus.errors import (
    CardError,
    ModelError,
    ModelMissingError,
    OutputError,
    UnknownModelError,
    WeightDamagedError,
)
from vultus.models import ModelCard, Registry, Store, parse_card


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "brought.onnx"
    path.write_bytes(content)
    return path


@pytest.fixture
def registry(home: Path, make_card: Callable[..., str]) -> Registry:
    (home / "cards").mkdir(parents=True)
    (home / "cards" / "some-net.toml").write_text(make_card())
    return Registry()


def _stored(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "weights").glob("*"))


def test_where_things_live_by_default(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Store().root == home
    monkeypatch.delenv("VULTUS_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert Store().root.name == "vultus"


@pytest.mark.parametrize(
    ("value", "offline"), [("1", True), ("true", True), ("0", False), ("No", False), ("", False)]
)
def test_offline_by_environment(monkeypatch: pytest.MonkeyPatch, value: str, offline: bool) -> None:
    monkeypatch.setenv("VULTUS_OFFLINE", value)
    assert Store().offline is offline
    assert Store(offline=not offline).offline is not offline


def test_a_packed_weight_is_read_at_once(home: Path) -> None:
    card = Registry().get("mtcnn")
    data = Store().read(card, "pnet")
    assert hashlib.sha256(data).hexdigest() == card.weight("pnet").sha256
    assert Store().has(card)
    assert not home.exists()


def test_a_missing_weight_names_the_command(card: ModelCard) -> None:
    scrfd = Registry().get("scrfd-10g")
    with pytest.raises(ModelMissingError) as caught:
        Store().read(scrfd)
    assert caught.value.message == (
        "scrfd-10g needs scrfd_10g_kps.onnx, which is not on this machine"
    )
    assert caught.value.remedy == "run `vultus models pull scrfd-10g`"
    with pytest.raises(ModelMissingError) as caught:
        Store().read(card)
    assert caught.value.remedy == (
        "get some_net.onnx from Somebody (https://example.org/net), "
        "then run `vultus models add FILE`"
    )
    assert not Store().has(card)
    assert Store().path(card.weight()) is None


def test_a_file_is_recognised_and_copied(
    home: Path, file: Path, content: bytes, registry: Registry
) -> None:
    state = Store().add(file, registry=registry)
    assert (state.card, state.role, state.file) == ("some-net", "net", "some_net.onnx")
    assert state.state == "ok"
    assert state.path == home / "weights" / hashlib.sha256(content).hexdigest()
    file.unlink()
    assert Store().read(registry.get("some-net")) == content
    assert Store().has(registry.get("some-net"))
    assert len(_stored(home)) == 1


def test_adding_twice_or_over_a_damaged_copy_is_fine(
    home: Path, file: Path, content: bytes, registry: Registry
) -> None:
    path = Store().add(file).path
    assert path is not None
    path.write_bytes(b"damaged")
    assert Store().add(file).state == "ok"
    assert Store().add(file).state == "ok"
    assert path.read_bytes() == content
    assert len(_stored(home)) == 1


def test_a_damaged_copy_stays_and_is_named(file: Path, registry: Registry) -> None:
    path = Store().add(file).path
    assert path is not None
    path.write_bytes(b"damaged")
    card = registry.get("some-net")
    with pytest.raises(WeightDamagedError) as caught:
        Store().read(card)
    assert caught.value.fields == {
        "path": str(path),
        "expected": card.weight().sha256,
        "actual": hashlib.sha256(b"damaged").hexdigest(),
    }
    assert path.read_bytes() == b"damaged"
    assert [state.state for state in Store().verify(card)] == ["damaged"]
    path.unlink()
    assert [(s.state, s.path, s.actual) for s in Store().verify(card)] == [("missing", None, None)]


def test_a_damaged_package_must_be_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.resources

    card = Registry().get("mtcnn")
    package = tmp_path / "package"
    (package / "weights").mkdir(parents=True)
    (package / "weights" / "mtcnn_pnet.onnx").write_bytes(b"damaged")
    monkeypatch.setattr(importlib.resources, "files", lambda _: package)
    with pytest.raises(WeightDamagedError, match="pip install --force-reinstall vultus"):
        Store().read(card, "pnet")
    with pytest.raises(WeightDamagedError, match="pip install --force-reinstall vultus"):
        Store().pull(card)
    with pytest.raises(ModelMissingError, match="pip install --force-reinstall vultus"):
        Store().read(card, "onet")


def test_an_unknown_file_needs_a_card(tmp_path: Path, home: Path) -> None:
    (tmp_path / "what.onnx").write_bytes(b"what")
    with pytest.raises(UnknownModelError) as caught:
        Store().add(tmp_path / "what.onnx")
    assert hashlib.sha256(b"what").hexdigest() in caught.value.message
    assert "--card CARD.toml" in caught.value.remedy
    assert not home.exists()
    with pytest.raises(ModelMissingError, match=r"none\.onnx cannot be read: No such file"):
        Store().add(tmp_path / "none.onnx")


def test_a_card_of_ones_own_is_kept(
    tmp_path: Path, home: Path, file: Path, content: bytes, make_card: Callable[..., str]
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(make_card())
    state = Store().add(file, mine)
    assert (state.card, state.state) == ("some-net", "ok")
    assert (home / "cards" / "some-net.toml").read_text() == make_card()
    assert Store().read(Registry().get("some-net")) == content
    assert Store().add(file, mine).state == "ok"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sha256": "ab" * 32}, "must name a weight with SHA-256 .*, got abab"),
        ({"sha256": ""}, "must name a weight with SHA-256 .*, got none; write `sha256 = "),
        ({"name": "mtcnn"}, "must use free names, got mtcnn, which mtcnn has already"),
        ({"name": "buffalo-l"}, "got buffalo-l, which arcface-r50 has already"),
        ({"more": "packed = true\n"}, "must not set `packed`"),
    ],
)
def test_a_card_must_fit(
    file: Path, home: Path, make_card: Callable[..., str], options: dict[str, str], message: str
) -> None:
    mine = file.with_name("mine.toml")
    mine.write_text(make_card(**options))
    with pytest.raises(CardError, match=message):
        Store().add(file, mine)
    assert not home.exists()


def test_a_packed_file_needs_no_copy(home: Path) -> None:
    path = Store().path(Registry().get("mtcnn").weight("pnet"))
    assert path is not None
    state = Store().add(path)
    assert (state.card, state.role, state.state) == ("mtcnn", "pnet", "ok")
    assert not home.exists()


def test_weights_can_be_removed(home: Path, file: Path, registry: Registry) -> None:
    card = registry.get("some-net")
    store = Store()
    store.add(file)
    part = home / "weights" / f"{card.weight().sha256}.part"
    part.write_bytes(b"half")
    assert store.remove(card) == (home / "weights" / card.weight().sha256, part)
    assert _stored(home) == []
    assert store.remove(card) == ()
    with pytest.raises(ModelError, match="mtcnn is part of the package and cannot be removed"):
        store.remove(Registry().get("mtcnn"))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, file: Path) -> None:
    (tmp_path / "wall").write_text("")
    shutil.copy(file, tmp_path / "mine.onnx")
    registry = Registry(home=tmp_path)
    scrfd = registry.get("scrfd-10g")
    store = Store(root=tmp_path / "wall" / "home", mirror="http://127.0.0.1:9")
    with pytest.raises(OutputError, match=r"wall/home/weights cannot be written: Not a directory"):
        store.pull(scrfd)


def test_a_full_disk_is_named_and_leaves_nothing(
    home: Path, file: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        Store().add(file, registry=registry)
    assert _stored(home) == []


def test_an_unverified_weight_is_never_read(home: Path, make_card: Callable[..., str]) -> None:
    card = parse_card(make_card(sha256=""), "some-net.toml")
    (home / "weights").mkdir(parents=True)
    assert Store().path(card.weight()) is None
    with pytest.raises(ModelMissingError):
        Store().read(card)
    assert Store().remove(card) == ()
