from __future__ import annotations

import hashlib
import http.client
import ssl
import threading
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vultus.errors import (
    CardError,
    DownloadError,
    OfflineError,
    OutputError,
    VultusError,
    WeightDamagedError,
)
from vultus.models import ModelCard, Registry, Store, WeightFile, parse_card, space_of
from vultus.models._download import Limits, _AddressError, _BrokenError, _translated

QUICK = Limits(timeout_s=5.0, attempts=3, wait_s=0.0)
NAME = "/some_net.onnx"


@pytest.fixture
def store(server: Any) -> Store:
    return Store(mirror=server.url, limits=QUICK)


@pytest.fixture
def part(home: Path, card: ModelCard) -> Path:
    path = home / "weights" / f"{card.weight().sha256}.part"
    path.parent.mkdir(parents=True)
    return path


def _files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "weights").iterdir())


def test_a_weight_is_fetched_verified_and_kept(
    server: Any, store: Store, card: ModelCard, content: bytes, home: Path
) -> None:
    server.put(NAME)
    told: list[tuple[str, int, int | None]] = []
    (state,) = store.pull(card, lambda weight, done, total: told.append((weight.file, done, total)))
    assert (state.state, state.path) == ("ok", home / "weights" / card.weight().sha256)
    assert store.read(card) == content
    assert _files(home) == [card.weight().sha256]
    assert told[-1] == ("some_net.onnx", len(content), len(content))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    store.pull(card)
    assert len(server.requests) == 1


def test_a_mirror_may_use_any_name(server: Any, store: Store, make_card: Any) -> None:
    more = 'urls = ["https://example.org/a/first.onnx", "https://example.org/b/second.onnx"]\n'
    card = parse_card(make_card(more=more), "some-net.toml")
    server.put(f"/{card.weight().sha256}")
    store.pull(card)
    assert [path for path, _ in server.requests] == [
        "/some_net.onnx",
        "/first.onnx",
        "/second.onnx",
        f"/{card.weight().sha256}",
    ]


def test_addresses_come_after_the_mirror(
    store: Store, server: Any, make_card: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def spy(weight: WeightFile, urls: list[str], *_: object) -> None:
        seen.extend(urls)
        raise DownloadError("seen enough")

    monkeypatch.setattr("vultus.models._download.download", spy)
    card = parse_card(make_card(more='urls = ["https://example.org/a.onnx"]\n'), "some-net.toml")
    with pytest.raises(DownloadError):
        store.pull(card)
    digest = card.weight().sha256
    assert seen == [
        f"{server.url}/some_net.onnx",
        f"{server.url}/a.onnx",
        f"{server.url}/{digest}",
        "https://example.org/a.onnx",
    ]


def test_a_broken_transfer_is_resumed(
    server: Any, store: Store, card: ModelCard, content: bytes
) -> None:
    server.put(NAME, cuts=[400_000])
    store.pull(card)
    assert server.ranges == [None, "bytes=400000-"]
    assert store.read(card) == content


def test_a_transfer_that_keeps_breaking_ends_and_can_go_on_later(
    server: Any, store: Store, card: ModelCard, part: Path, content: bytes
) -> None:
    page = server.put(NAME, cuts=[1000, 1000, 1000])
    with pytest.raises(DownloadError) as caught:
        store.pull(card)
    assert "the connection ended after 3000 of 1048576 bytes" in caught.value.message
    assert "run the command again" in caught.value.remedy
    assert part.read_bytes() == content[:3000]
    page.cuts.clear()
    store.pull(card)
    assert server.ranges[:3] == [None, "bytes=1000-", "bytes=2000-"]
    assert server.requests[-1] == (NAME, "bytes=3000-")
    assert store.read(card) == content
    assert not part.exists()


def test_a_server_without_ranges_starts_over(
    server: Any, store: Store, card: ModelCard, part: Path, content: bytes
) -> None:
    server.put(NAME, ranges=False)
    part.write_bytes(content[:5000])
    store.pull(card)
    assert server.ranges == ["bytes=5000-"]
    assert store.read(card) == content


def test_a_range_from_another_place_is_not_trusted(
    server: Any, store: Store, card: ModelCard, part: Path, content: bytes
) -> None:
    server.put(NAME, wrong_range=True)
    part.write_bytes(content[:5000])
    store.pull(card)
    assert server.ranges == ["bytes=5000-", None]
    assert store.read(card) == content


def test_the_rest_of_another_version_starts_over_once(
    server: Any, store: Store, card: ModelCard, part: Path, content: bytes
) -> None:
    server.put(NAME)
    part.write_bytes(b"x" * 5000)
    store.pull(card)
    assert server.ranges == ["bytes=5000-", None]
    assert store.read(card) == content


def test_more_than_the_server_has_starts_over(
    server: Any, store: Store, card: ModelCard, part: Path, content: bytes
) -> None:
    server.put(NAME)
    part.write_bytes(content + b"more")
    store.pull(card)
    assert server.ranges == [f"bytes={len(content) + 4}-", None]
    assert store.read(card) == content


def test_a_complete_part_needs_no_transfer(
    server: Any, store: Store, card: ModelCard, part: Path, content: bytes
) -> None:
    part.write_bytes(content)
    store.pull(card)
    assert server.requests == []
    assert store.read(card) == content


@pytest.mark.parametrize("ranges", [True, False])
def test_other_content_is_refused(
    server: Any, store: Store, card: ModelCard, home: Path, ranges: bool
) -> None:
    for name in (NAME, f"/{card.weight().sha256}"):
        server.put(name, b"something else" * 1000, cuts=[100], ranges=ranges)
    with pytest.raises(WeightDamagedError) as caught:
        store.pull(card)
    actual = hashlib.sha256(b"something else" * 1000).hexdigest()
    assert f"{NAME}: SHA-256 {actual}" in caught.value.message
    assert caught.value.fields["expected"] == card.weight().sha256
    assert _files(home) == []


def test_a_file_of_another_size_is_refused_before_it_is_fetched(
    server: Any, store: Store, make_card: Any, part: Path
) -> None:
    card = parse_card(make_card(more="bytes = 1048577\n"), "some-net.toml")
    for name in (NAME, f"/{card.weight().sha256}"):
        server.put(name)
    with pytest.raises(WeightDamagedError, match="1048576 bytes, 1048577 expected"):
        store.pull(card)
    assert not part.exists()


def test_a_page_in_place_of_the_file_does_not_cost_the_part(
    server: Any, store: Store, make_card: Any, part: Path, content: bytes
) -> None:
    """A captive portal answers everything with its own page."""
    card = parse_card(make_card(more="bytes = 1048576\n"), "some-net.toml")
    part.write_bytes(content[:5000])
    page = server.put(NAME, b"<html>log in</html>", ranges=False)
    with pytest.raises(VultusError):
        store.pull(card)
    assert part.read_bytes() == content[:5000]
    page.content = content
    store.pull(card)
    assert store.read(card) == content


@pytest.mark.parametrize("announce", [True, False])
def test_size_is_bounded_when_the_card_states_none(
    server: Any, card: ModelCard, home: Path, announce: bool
) -> None:
    for name in (NAME, f"/{card.weight().sha256}"):
        server.put(name, announce=announce)
    store = Store(mirror=server.url, limits=Limits(wait_s=0.0, max_bytes=1000))
    with pytest.raises(WeightDamagedError, match="1000"):
        store.pull(card)
    assert _files(home) == []


def test_a_server_need_not_announce_the_size(
    server: Any, store: Store, card: ModelCard, content: bytes
) -> None:
    server.put(NAME, announce=False)
    totals: set[int | None] = set()
    store.pull(card, lambda _, __, total: totals.add(total))
    assert totals == {None}
    assert store.read(card) == content


def test_no_such_file(server: Any, store: Store, card: ModelCard, home: Path) -> None:
    with pytest.raises(DownloadError, match=r"some_net\.onnx: HTTP 404 Not Found"):
        store.pull(card)
    assert len(server.requests) == 2
    assert _files(home) == []


def test_a_busy_server_is_asked_again(server: Any, store: Store, card: ModelCard) -> None:
    server.put(NAME, statuses=[503, 429])
    store.pull(card)
    assert len(server.requests) == 3


def test_nobody_listens(card: ModelCard) -> None:
    with pytest.raises(DownloadError, match="refused"):
        Store(mirror="http://127.0.0.1:9", limits=QUICK).pull(card)


@pytest.mark.parametrize("place", ["http://127.0.0.1:1", "ftp://127.0.0.1", "file:///etc"])
def test_redirects_lead_to_https_only(
    server: Any, store: Store, card: ModelCard, place: str
) -> None:
    server.put(NAME, location=f"{place}/other.onnx")
    with pytest.raises(DownloadError, match=r"other\.onnx.* is not (https|allowed)"):
        store.pull(card)


def test_a_proxy_is_not_asked_for_this_machine(
    server: Any, store: Store, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    server.put(NAME)
    assert store.pull(card)[0].state == "ok"


def test_offline_means_offline(server: Any, card: ModelCard) -> None:
    server.put(NAME)
    with pytest.raises(OfflineError, match=r"some-net needs some_net\.onnx, and downloads are"):
        Store(mirror=server.url, offline=True).pull(card)
    assert server.requests == []
    Store(mirror=server.url, limits=QUICK).pull(card)
    assert Store(offline=True).pull(card)[0].state == "ok"


def test_without_an_address_the_origin_is_named(card: ModelCard) -> None:
    with pytest.raises(DownloadError) as caught:
        Store().pull(card)
    assert caught.value.message == "no address is known for some_net.onnx of some-net"
    assert "https://example.org/net" in caught.value.remedy
    assert "`vultus models add FILE`" in caught.value.remedy


@pytest.mark.parametrize(
    "mirror", ["ftp://a/", "file:///a", "models", "https://", "https://u:secret@a/", "http://a/?b"]
)
def test_a_mirror_is_a_plain_address(mirror: str) -> None:
    with pytest.raises(DownloadError, match="must be an http or https address") as caught:
        Store(mirror=mirror)
    assert "secret" not in str(caught.value)


def test_a_mirror_can_come_from_the_environment(
    server: Any, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VULTUS_MIRROR", f"{server.url}/deep/")
    server.put(f"/deep{NAME}")
    assert Store().pull(card)[0].state == "ok"


def test_an_unverified_weight_needs_a_digest_one_vouches_for(
    server: Any, store: Store, make_card: Callable[..., str], content: bytes, home: Path
) -> None:
    server.put(NAME)
    (home / "cards").mkdir(parents=True)
    (home / "cards" / "some-net.toml").write_text(make_card(sha256=""))
    card = Registry().get("some-net")
    with pytest.raises(DownloadError, match="has no verified SHA-256") as caught:
        store.pull(card)
    assert "vultus models pull some-net --sha256 DIGEST" in caught.value.remedy
    assert server.requests == []
    digest = hashlib.sha256(content).hexdigest()
    assert store.pull(card, sha256=digest.upper())[0].state == "ok"
    pinned = Registry().get("some-net")
    assert store.read(pinned) == content
    assert space_of(pinned, mirror=False).digest == digest


def test_a_digest_cannot_contradict_the_card(store: Store, card: ModelCard) -> None:
    with pytest.raises(CardError, match="states SHA-256"):
        store.pull(card, sha256="ab" * 32)
    with pytest.raises(CardError, match="must be 64 hexadecimal digits"):
        store.pull(card, sha256="sha256:1")
    with pytest.raises(CardError, match="a digest can be given for a model with one weight"):
        store.pull(Registry().get("mtcnn"), sha256="ab" * 32)


def test_a_damaged_copy_is_fetched_again(
    server: Any, store: Store, card: ModelCard, home: Path, content: bytes
) -> None:
    server.put(NAME)
    (home / "weights").mkdir(parents=True)
    (home / "weights" / card.weight().sha256).write_bytes(b"damaged")
    store.pull(card)
    assert store.read(card) == content


def test_an_interrupt_leaves_what_was_fetched(
    server: Any, store: Store, card: ModelCard, part: Path, content: bytes
) -> None:
    server.put(NAME)

    def interrupt(_: WeightFile, done: int, __: int | None) -> None:
        if done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.pull(card, interrupt)
    assert list(part.parent.iterdir()) == [part]
    got = part.stat().st_size
    assert 500_000 < got < len(content)
    store.pull(card)
    assert server.ranges == [None, f"bytes={got}-"]
    assert store.read(card) == content


def test_pulling_at_once_fetches_once(
    server: Any, card: ModelCard, home: Path, content: bytes
) -> None:
    server.put(NAME)
    states: list[str] = []
    started = threading.Barrier(4)

    def pull() -> None:
        started.wait()
        states.extend(s.state for s in Store(mirror=server.url, limits=QUICK).pull(card))

    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states == ["ok"] * 4
    assert len(server.requests) == 1
    assert _files(home) == [card.weight().sha256]
    assert Store().read(card) == content


def test_a_rename_that_fails_is_named(
    server: Any, store: Store, card: ModelCard, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put(NAME)

    def readonly(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", readonly)
    with pytest.raises(OutputError, match="cannot be written: Read-only file system"):
        store.pull(card)
    monkeypatch.undo()
    assert part.exists()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (urllib.error.URLError(TimeoutError("timed out")), _BrokenError),
        (urllib.error.URLError(ConnectionResetError("reset")), _BrokenError),
        (http.client.BadStatusLine("x"), _BrokenError),
        (TimeoutError(), _BrokenError),
        (urllib.error.URLError(ConnectionRefusedError("refused")), _AddressError),
        (urllib.error.URLError(OSError("Name or service not known")), _AddressError),
        (urllib.error.URLError(ssl.SSLCertVerificationError("x")), _AddressError),
    ],
)
def test_only_passing_trouble_is_tried_again(error: Exception, kind: type[Exception]) -> None:
    assert type(_translated(error)) is kind
    assert str(_translated(error))
