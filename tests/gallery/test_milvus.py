"""The Milvus gallery: in step with its records whatever happens in between, and put right."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.errors import (
    GalleryError,
    GalleryFileError,
    GalleryServerError,
    MissingExtraError,
    SpaceMismatchError,
)
from vultus.gallery import MemoryGallery, MilvusGallery, NewSample, SqliteGallery, open_gallery
from vultus.types import Embedding, EmbeddingSpace

pytest.importorskip("pymilvus", reason="install pymilvus: pip install 'vultus[milvus]'")

Unit = Callable[[int], Embedding]
Url = Callable[..., str]
Child = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def url(milvus_url: Url) -> str:
    """The address of a new gallery."""
    return milvus_url()


@pytest.fixture
def gallery(url: str) -> Iterator[MilvusGallery]:
    with MilvusGallery(url) as opened:
        yield opened


def reason(caught: Any) -> object:
    return caught.value.fields["reason"]


def mark(gallery: MilvusGallery) -> Any:
    """Where Milvus has got."""
    with gallery._read() as connection:
        return gallery._mirror.mark(connection)


def rows(gallery: MilvusGallery) -> dict[int, list[int]]:
    """What Milvus holds: numbers and the groups they count in."""
    collection = mark(gallery).collection
    return {row.number: row.groups for row in gallery._engine.rows(collection)}


def broken(*_: object, **__: object) -> None:
    raise GalleryServerError("the search engine is away", reason="unreachable")


# -- what it keeps --------------------------------------------------------------------------


def test_everything_is_there_after_opening_again(url: str, unit: Unit) -> None:
    with MilvusGallery(url) as gallery:
        gallery.add("Ada", unit(1), source_digest="d1", source="a.jpg", crop=b"\0\xff")
        before = gallery.search(unit(3))
        collection = mark(gallery).collection
    with open_gallery(url, create=False) as gallery:
        assert isinstance(gallery, MilvusGallery)
        assert gallery.search(unit(3)) == before
        assert gallery.crop(1) == b"\0\xff"
        assert gallery.add("Ada", unit(2)) == 2
        assert mark(gallery).collection == collection  # nothing was copied anew


def test_the_records_are_an_ordinary_gallery(url: str, unit: Unit) -> None:
    with MilvusGallery(url) as gallery, SqliteGallery(url.partition("records=")[2]) as records:
        gallery.add("Ada", unit(1))
        assert records.search(unit(1)) == gallery.search(unit(1))
        records.add("Bea", unit(2))  # past Milvus
        assert gallery.search(unit(2), 1)[0].person == "Bea"
        records.remove("Ada")
        assert [match.person for match in gallery.search(unit(1))] == ["Bea"]
        assert rows(gallery) == {2: []}
        assert gallery.verify() == []


def test_info(url: str, gallery: MilvusGallery, unit: Unit) -> None:
    assert gallery.info().search.kind == "exact"
    gallery.add("Ada", unit(1))
    info = gallery.info()
    assert (info.backend, info.samples) == ("milvus", 1)
    where, _, records = info.location.partition(", records in ")
    assert where == url.partition("?")[0]
    assert records == url.partition("records=")[2]
    assert (info.search.kind, info.search.recall) == ("exact", 1.0)
    assert info.search.parameters == {"index_type": "FLAT"}
    assert info.search.samples_indexed == 1


def test_searches_are_milvuss_and_agree_with_memory(gallery: MilvusGallery, unit: Unit) -> None:
    items = [NewSample(f"p{i % 90:02}", unit(i)) for i in range(300)]
    items += [NewSample("twin", unit(7)), NewSample("also", unit(7))]
    with MemoryGallery() as reference:
        for each in (gallery, reference):
            each.add_many(items)
        queries = [unit(i) for i in (0, 7, 400, 401)]
        for k in (1, 5, 92, 1000):
            assert gallery.search_many(queries, k) == reference.search_many(queries, k)
        strict = {"min_similarity": 0.5}
        assert gallery.search(unit(7), 9, **strict) == reference.search(unit(7), 9, **strict)
        assert gallery._cache._index is None  # no vectors in this process
        fused = {"template": "fused"}
        assert gallery.search(unit(7), 9, **fused) == reference.search(unit(7), 9, **fused)


def test_more_alike_than_milvus_gives_are_compared_here(
    gallery: MilvusGallery, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vultus.gallery.milvus.search.MOST_HITS", 8)
    gallery.add_many([NewSample(f"p{i}", unit(7)) for i in range(9)])
    assert [m.person for m in gallery.search(unit(7), 2)] == ["p0", "p1"]
    assert gallery._cache._index is not None


def test_groups_are_known_to_milvus(
    gallery: MilvusGallery, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.add("Ada", unit(1))
    gallery.add("Ada", unit(2), group="a")
    for group in "bc":
        gallery.add_group(group)
        gallery.join("Ada", group)
    gallery.add("Bea", unit(1))
    assert rows(gallery) == {1: [1, 2, 3], 2: [1], 3: []}
    gallery.leave("Ada", "a")
    assert rows(gallery) == {1: [2, 3], 3: []}
    assert gallery.search(unit(1), groups=["b"])[0].sample == 1
    gallery.remove_group("b")
    assert rows(gallery) == {1: [3], 3: []}
    gallery.merge("Bea", "Ada")
    assert rows(gallery) == {1: [3], 3: [3]}
    assert [m.sample for m in gallery.search(unit(1), groups=["c"])] == [1]
    assert gallery.verify() == []
    monkeypatch.setattr("vultus.gallery.milvus.mirror.MOST_GROUPS", 2)
    for group in "de":
        gallery.add_group(group)
        gallery.join("Bea", group)
    gallery.add_group("f")
    assert rows(gallery) == {1: [0], 3: [0]}  # more groups than fit: in all, as Milvus sees it
    assert [m.sample for m in gallery.search(unit(1), groups=["e"])] == [1]
    assert gallery.search(unit(1), groups=["f"]) == []
    assert gallery.verify() == []


def test_spaces(gallery: MilvusGallery, unit: Unit) -> None:
    other = EmbeddingSpace("other", "1" * 64, 8, "none")
    gallery.add_many([NewSample("Ada", unit(1)), NewSample("Bea", unit(2))])
    first = mark(gallery).collection
    gallery.add_space(other)
    axes = np.eye(8, dtype=np.float32)
    gallery.put_embeddings(other, [(n, Embedding(axes[n], other)) for n in (1, 2)])
    gallery.activate(other)
    assert gallery.search(Embedding(axes[2], other), 1)[0].person == "Bea"
    assert mark(gallery).collection != first
    assert list(gallery._engine.collections()) == [mark(gallery).collection]
    gallery.put_embeddings(other, [(1, Embedding(axes[3], other))])
    assert gallery.search(Embedding(axes[3], other), 1)[0].person == "Ada"
    gallery.activate(unit(1).space)
    assert gallery.search(unit(1), 1)[0].person == "Ada"
    with pytest.raises(SpaceMismatchError):
        gallery.search(Embedding(axes[3], other))
    assert gallery.verify() == []


# -- between the records and Milvus ---------------------------------------------------------


def test_a_change_holds_even_if_milvus_is_away(
    gallery: MilvusGallery,
    unit: Unit,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gallery.add_many([NewSample("Ada", unit(1)), NewSample("Bea", unit(2))])
    with monkeypatch.context() as patch:
        for call in ("insert", "upsert", "delete", "search"):
            patch.setattr(gallery._engine, call, broken)
        assert gallery.add("Cleo", unit(3)) == 3
        assert "Milvus is behind the records until the next search" in caplog.text
        gallery.remove("Ada")
        assert "erased data stays in Milvus until the next search" in caplog.text
        with pytest.raises(GalleryServerError, match="is away"):
            gallery.search(unit(3))
        assert [person.id for person in gallery.people()] == ["Bea", "Cleo"]
        (finding,) = gallery.verify()
        assert (finding.code, "it is behind" in finding.message) == ("index", True)
        assert "behind the records" in gallery.info().search.why
    assert [m.person for m in gallery.search(unit(3))] == ["Cleo", "Bea"]
    assert sorted(rows(gallery)) == [2, 3]
    assert gallery.verify() == []


@pytest.mark.parametrize("call", ["insert", "upsert", "delete"])
def test_an_interrupt_after_milvus_was_written_is_put_right(
    url: str, unit: Unit, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What was done in Milvus is on nobody's record then, and is done once more.
    with MilvusGallery(url) as gallery:
        gallery.add_many([NewSample("Ada", unit(1)), NewSample("Bea", unit(2))])
        gallery.add_group("g")
        true = getattr(gallery._engine, call)

        def interrupted(*arguments: object) -> None:
            true(*arguments)
            raise KeyboardInterrupt

        change: Callable[[], object] = {
            "insert": lambda: gallery.add("Cleo", unit(3)),
            "upsert": lambda: gallery.join("Ada", "g"),
            "delete": lambda: gallery.remove("Ada"),
        }[call]
        with monkeypatch.context() as patch:
            patch.setattr(gallery._engine, call, interrupted)
            with pytest.raises(KeyboardInterrupt):
                change()
        assert mark(gallery) is None
    with MilvusGallery(url) as gallery, MemoryGallery() as reference:
        reference.restore(gallery.dump())
        assert gallery.search(unit(3)) == reference.search(unit(3))
        collection = mark(gallery).collection
        assert gallery._engine.count(collection) == len(gallery)
        assert gallery.verify() == []


def test_a_killed_process_is_caught_up_with(tmp_path: Path, unit: Unit, child: Child) -> None:
    url = f"milvus://{tmp_path}/lite.db?records={tmp_path}/people.db"
    process = child(
        """
from vultus.gallery import MilvusGallery
gallery = MilvusGallery(sys.argv[1])
gallery.add_many([NewSample("Ada", unit(1)), NewSample("Bea", unit(2))])
real = gallery._engine.insert
def die(*arguments):
    if sys.argv[2] == "after":
        real(*arguments)
    say("dying")
    os._exit(9)
gallery._engine.insert = die
gallery.add("Cleo", unit(3))
""",
        url,
        "after",
    )
    assert process.communicate()[0] == "dying\n"
    with MilvusGallery(url) as gallery:
        assert [m.person for m in gallery.search(unit(3), 1)] == ["Cleo"]
        assert gallery._engine.count(mark(gallery).collection) == 3
        assert gallery.verify() == []


def test_a_long_list_of_changes(
    gallery: MilvusGallery, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vultus.gallery.milvus.mirror._NEWS_PER_STEP", 3)
    monkeypatch.setattr("vultus.gallery.milvus.mirror._ROWS_PER_STEP", 7)
    gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(20)])
    assert len(rows(gallery)) == 20
    with monkeypatch.context() as patch:
        patch.setattr(gallery._engine, "delete", broken)
        for i in range(10):
            gallery.remove(f"p{i}")
    assert len(gallery.search(unit(0), 100)) == 10
    assert sorted(rows(gallery)) == list(range(11, 21))
    assert gallery.verify() == []


def test_changes_that_are_not_listed_any_more(
    gallery: MilvusGallery, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(9)])
    first = mark(gallery).collection
    monkeypatch.setattr("vultus.gallery.records.change.CHANGES_KEPT", 2)
    with monkeypatch.context() as patch:
        patch.setattr(gallery._engine, "delete", broken)
        for i in range(5):
            gallery.remove(f"p{i}")
    assert len(gallery.search(unit(0), 100)) == 4
    assert mark(gallery).collection != first
    assert gallery.verify() == []


def test_a_search_disturbed_by_changes_tells_of_one_state(
    gallery: MilvusGallery, url: str, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.add_many([NewSample("Ada", unit(1)), NewSample("Bea", unit(1))])
    true = gallery._engine.search
    disturbed = []

    def search(*arguments: Any) -> Any:
        found = true(*arguments)
        if len(disturbed) < 7:  # more often than is tried before changes are held off
            disturbed.append(len(disturbed))
            with SqliteGallery(url.partition("records=")[2], busy_timeout_s=0.1) as other:
                try:
                    other.rename(
                        f"Bea{len(disturbed) - 1}".removesuffix("0"), f"Bea{len(disturbed)}"
                    )
                except GalleryFileError:
                    disturbed[-1] = -1  # held off
        return found

    monkeypatch.setattr(gallery._engine, "search", search)
    assert [m.person for m in gallery.search(unit(1))] == ["Ada", "Bea5"]
    assert disturbed == [0, 1, 2, 3, 4, -1]


# -- Milvus is not believed -----------------------------------------------------------------


def test_rows_nobody_has_on_record_are_never_found_and_are_removed(
    gallery: MilvusGallery, unit: Unit
) -> None:
    from vultus.gallery.milvus.engine import Row

    gallery.add("Ada", unit(1))
    gallery._engine.insert(mark(gallery).collection, [Row(99, [], unit(2).vector)])
    assert [m.person for m in gallery.search(unit(2))] == ["Ada"]
    findings = gallery.verify()
    assert [(f.code, f.message) for f in findings] == [
        ("residue", "Milvus holds sample 99, which is not stored")
    ]
    gallery.optimise()
    assert gallery.verify() == []
    assert list(rows(gallery)) == [1]


def test_rows_that_differ_are_named_and_put_right(gallery: MilvusGallery, unit: Unit) -> None:
    from vultus.gallery.milvus.engine import Row

    gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(4)])
    collection = mark(gallery).collection
    gallery._engine.upsert(collection, [Row(1, [], unit(9).vector), Row(2, [5], unit(1).vector)])
    gallery._engine.delete(collection, [3])
    assert [f.message for f in gallery.verify()] == [
        "Milvus must hold sample 1 as it is stored",
        "Milvus must hold sample 2 as it is stored",
        "Milvus must hold sample 3, it does not",
    ]
    (match,) = gallery.search(unit(9), 1)[:1]
    assert match.similarity == pytest.approx(
        float(unit(int(match.person[1:])).vector @ unit(9).vector), abs=1e-6
    )
    gallery.optimise()
    assert gallery.verify() == []


def test_lost_rows_are_noticed_on_opening(
    url: str, unit: Unit, caplog: pytest.LogCaptureFixture
) -> None:
    with MilvusGallery(url) as gallery:
        gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(4)])
        gallery._engine.delete(mark(gallery).collection, [2])
    with MilvusGallery(url) as gallery:
        assert "lost vectors; they are copied anew" in caplog.text
        assert gallery.search(unit(1), 1)[0].person == "p1"
        assert gallery.verify() == []


def test_a_dropped_collection_is_made_anew(url: str, unit: Unit) -> None:
    with MilvusGallery(url) as gallery:
        gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(4)])
        gallery._engine.drop(mark(gallery).collection)
        assert [f.code for f in gallery.verify()] == ["index"]
        assert gallery.search(unit(1), 1)[0].person == "p1"
        gallery._engine.drop(mark(gallery).collection)
    with MilvusGallery(url) as gallery:
        assert gallery.search(unit(1), 1)[0].person == "p1"
        assert gallery.verify() == []


def test_galleries_of_one_collections_name_do_not_disturb_each_other(
    url: str, tmp_path: Path, unit: Unit
) -> None:
    other = f"{url.partition('records=')[0]}records={tmp_path / 'other.db'}"
    with MilvusGallery(url) as one, MilvusGallery(other) as two:
        one.add("Ada", unit(1))
        two.add("Bea", unit(2))
        one._mirror.rebuild()
        assert [m.person for m in one.search(unit(1))] == ["Ada"]
        assert [m.person for m in two.search(unit(1))] == ["Bea"]
        assert len(one._engine.collections()) == 2
        assert one.verify() == two.verify() == []


def test_erased_vectors_leave_the_file(
    tmp_path: Path, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lite.db"
    with MilvusGallery(f"milvus://{file}?records={tmp_path}/people.db") as gallery:
        gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(40)])
        needles = [unit(i).vector.tobytes() for i in range(40)]
        held = file.read_bytes()
        assert all(needle in held for needle in needles)
        for i in range(0, 40, 3):
            gallery.remove(f"p{i}")
        held = file.read_bytes()
        kept = [i for i in range(40) if i % 3]
        assert [i for i, needle in enumerate(needles) if needle in held] == kept
        monkeypatch.setattr("vultus.gallery.milvus.engine._SWEPT_AT_ONCE_BYTES", 1000)
        for i in kept[:5]:
            gallery.remove(f"p{i}")  # of a large file, when it is closed
    held = file.read_bytes()
    assert [i for i, needle in enumerate(needles) if needle in held] == kept[5:]


# -- several at once ------------------------------------------------------------------------


def test_changes_of_another_gallery_object_are_seen(url: str, unit: Unit) -> None:
    with MilvusGallery(url) as one, MilvusGallery(url) as two:
        assert two.search(unit(1)) == []
        one.add_many([NewSample("Ada", unit(1)), NewSample("Bea", unit(2))])
        assert [m.person for m in two.search(unit(1))] == ["Ada", "Bea"]
        two.remove("Ada")
        assert [m.person for m in one.search(unit(1))] == ["Bea"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a Milvus that listens: Lite's own program, started as a server."""
    from vultus.gallery.milvus.engine import require_lite

    require_lite()
    from milvus_lite.server import Server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    server = Server(str(tmp_path / "served.db"), address)
    assert server.start()
    yield address
    server.stop()


def test_processes_share_a_server_and_records_in_postgresql(
    served: str, postgres_url: Callable[[], str], unit: Unit, child: Child
) -> None:
    url = f"milvus://{served}/faces?records={postgres_url()}"
    script = """
from vultus.gallery import MilvusGallery
who = sys.argv[2]
with MilvusGallery(sys.argv[1]) as gallery:
    for i in range(8):
        gallery.add(f"{who}{i % 4}", unit(i), group="all")
        assert gallery.search(unit(i), 50, groups=["all"])
    gallery.remove(f"{who}3")
say("done")
"""
    with MilvusGallery(url) as gallery:
        writers = [child(script, url, who) for who in "ab"]
        while any(writer.poll() is None for writer in writers):
            gallery.search(unit(0)) if gallery.space else None
        assert [writer.communicate()[0] for writer in writers] == ["done\n"] * 2
        assert {m.person for m in gallery.search(unit(0), 50)} == {
            f"{who}{i}" for who in "ab" for i in range(3)
        }
        assert gallery.verify() == []
        info = gallery.info()
        assert info.location.startswith(f"milvus://{served}/faces, records in postgresql://")


def test_a_lite_file_serves_one_process(tmp_path: Path, unit: Unit, child: Child) -> None:
    url = f"milvus://{tmp_path}/lite.db?records={tmp_path}/people.db"
    with MilvusGallery(url) as gallery:
        gallery.add("Ada", unit(1))
        other = child(
            """
from vultus.gallery import MilvusGallery
from vultus.errors import GalleryServerError
try:
    MilvusGallery(sys.argv[1])
except GalleryServerError as error:
    say(error.fields["reason"], error)
""",
            url,
        )
        said = other.communicate()[0]
        assert said.startswith("locked the search engine")
        assert "is in use by another process" in said


# -- what cannot be used --------------------------------------------------------------------


def test_a_server_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"milvus://ada:s3cret@127.0.0.1:1/x?records={tmp_path}/people.db"
    with pytest.raises(GalleryServerError, match="cannot be reached") as caught:
        MilvusGallery(url, timeout_s=0.5)
    assert reason(caught) == "unreachable"
    assert "s3cret" not in str(caught.value) + repr(caught.value.fields) + caplog.text
    assert not (tmp_path / "people.db").exists()


def test_a_lite_file_without_a_folder(tmp_path: Path) -> None:
    with pytest.raises(GalleryServerError, match="has no folder") as caught:
        MilvusGallery(f"milvus://{tmp_path}/no/lite.db?records={tmp_path}/people.db")
    assert reason(caught) == "unreachable"


def test_records_that_cannot_be_used(url: str, tmp_path: Path) -> None:
    with pytest.raises(GalleryFileError, match="does not exist"):
        MilvusGallery(url, create=False)
    with pytest.raises(GalleryFileError, match="must end in"):
        MilvusGallery(f"{url.partition('records=')[0]}records={tmp_path / 'photo.jpg'}")
    with pytest.raises(GalleryServerError, match="must lie in a file or in PostgreSQL") as caught:
        MilvusGallery(f"{url.partition('records=')[0]}records=:memory:")
    assert reason(caught) == "address"


@pytest.mark.parametrize(
    ("module", "remedy"),
    [
        ("pymilvus", r"pip install 'vultus\[milvus\]'"),
        ("milvus_lite", r"pip install milvus-lite==2\.5\.1"),
        ("pkg_resources", r"pip install 'setuptools<81'"),
    ],
)
def test_a_missing_library(
    url: str, module: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name == "vultus.gallery.milvus.engine" or name.startswith("milvus_lite"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=remedy):
        MilvusGallery(url)


def test_a_gallery_is_not_carried_across_a_fork(
    gallery: MilvusGallery, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.add("Ada", unit(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        for use in (lambda: gallery.add("X", unit(5)), lambda: gallery.search(unit(1))):
            with pytest.raises(GalleryError, match="before the process forked"):
                use()
    assert len(gallery.search(unit(1))) == 1
