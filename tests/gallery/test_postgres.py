"""The PostgreSQL gallery as a store: what it keeps, shares, refuses and erases."""

# ruff: noqa: S608 - names of our own

import logging
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from vultus.errors import (
    GalleryError,
    GalleryServerError,
    MissingExtraError,
    SpaceMismatchError,
)
from vultus.gallery import NewSample, PostgresGallery, open_gallery
from vultus.gallery._migrate import Migration, read_migrations
from vultus.types import Embedding, EmbeddingSpace

psycopg = pytest.importorskip("psycopg", reason="install psycopg: pip install 'vultus[postgres]'")

Unit = Callable[[int], Embedding]
Child = Callable[..., "subprocess.Popen[str]"]

ADA = "ada:s3cret%2Fw%C3%B6rd@"


@pytest.fixture
def url(postgres_url: Callable[[], str]) -> str:
    """The address of a new gallery."""
    return postgres_url()


@pytest.fixture
def gallery(url: str) -> Iterator[PostgresGallery]:
    with PostgresGallery(url) as opened:
        yield opened


@pytest.fixture
def admin(postgres_server: Any) -> Iterator[Any]:
    """A connection that may do everything."""
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        yield connection


@pytest.fixture
def ada(postgres_server: Any, admin: Any) -> Iterator[Callable[[str], str]]:
    """Turns an address into that of a role without rights, which needs a password."""
    if postgres_server.pid is None:
        pytest.skip("VULTUS_TEST_POSTGRES is not the tests' own: no roles are made there")
    admin.execute("CREATE ROLE ada LOGIN PASSWORD 's3cret/wörd'")
    yield lambda url: url.replace("postgres@", ADA)
    admin.execute("DROP OWNED BY ada CASCADE; DROP ROLE ada")


def name_of(url: str) -> str:
    """The schema of a gallery."""
    return url.partition("gallery=")[2]


def reason(caught: Any) -> object:
    return caught.value.fields["reason"]


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: "subprocess.Popen[str]", word: str) -> str:
    assert process.stdin is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()
    return line(process)


# -- what it keeps --------------------------------------------------------------------------


def test_everything_is_there_after_opening_again(url: str, unit: Unit) -> None:
    with PostgresGallery(url) as gallery:
        gallery.add("Ada", unit(1), source_digest="d1", source="a.jpg", crop=b"\0\xff")
        before = gallery.search(unit(3))
    with open_gallery(url, create=False) as gallery:
        assert isinstance(gallery, PostgresGallery)
        assert gallery.space == unit(1).space
        assert gallery.search(unit(3)) == before
        assert gallery.crop(1) == b"\0\xff"
        assert gallery.add("Ada", unit(2)) == 2


def test_vectors_are_kept_bit_by_bit(gallery: PostgresGallery, admin: Any, url: str) -> None:
    space = EmbeddingSpace("test", "0" * 64, 5, "none")
    vector = Embedding([1 / 3, -2 / 3, 2 / 3, 1e-40, -0.0], space)  # a subnormal, a negative zero
    gallery.add("Ada", vector)
    assert gallery.embedding(1).vector.tobytes() == vector.vector.tobytes()
    assert gallery.search(vector)[0].similarity == pytest.approx(1.0, abs=1e-7)
    stored = admin.execute(f"SELECT vector::text FROM {name_of(url)}.embedding").fetchone()[0]
    assert stored == "[0.33333334,-0.6666667,0.6666667,1e-40,-0]"


def test_people_are_ordered_by_code_points_whatever_the_language(
    gallery: PostgresGallery, unit: Unit
) -> None:
    names = ["Zoe", "ada", "Ärger", "Ada", "_", "É", "z"]
    gallery.add_many([NewSample(name, unit(i)) for i, name in enumerate(names)])
    assert [person.id for person in gallery.people()] == sorted(names)
    assert [person.id for person in gallery.people(after="Zoe", limit=2)] == ["_", "ada"]


def test_a_required_space(url: str, unit: Unit, space: EmbeddingSpace) -> None:
    other = EmbeddingSpace("other", "1" * 64, 16, "none")
    PostgresGallery(url, space=space).close()
    with PostgresGallery(url) as gallery:
        assert gallery.space == space
    with pytest.raises(SpaceMismatchError) as caught:
        PostgresGallery(url, space=other)
    assert caught.value.fields == {"expected": space.id, "actual": other.id}


# -- what it shares -------------------------------------------------------------------------


def test_another_process_is_seen(url: str, unit: Unit, child: Child) -> None:
    with PostgresGallery(url) as gallery:
        gallery.add("Ada", unit(1))
        assert [m.person for m in gallery.search(unit(2))] == ["Ada"]
        other = child(
            """
from vultus.gallery import PostgresGallery
gallery = PostgresGallery(sys.argv[1], create=False)
for line in sys.stdin:
    word, name, seed = line.split()
    if word == "add":
        say(gallery.add(name, unit(int(seed))))
    elif word == "remove":
        say(gallery.remove(name))
    else:
        say(*(match.person for match in gallery.search(unit(int(seed)))))
""",
            url,
        )
        assert tell(other, "add Bea 2") == "2"
        assert [m.person for m in gallery.search(unit(2))] == ["Bea", "Ada"]
        assert tell(other, "remove Ada 0") == "1"
        assert [m.person for m in gallery.search(unit(2))] == ["Bea"]
        gallery.add("Cleo", unit(3))
        assert tell(other, "search - 3") == "Cleo Bea"
        gallery.remove("Bea")
        assert tell(other, "search - 3") == "Cleo"


def test_processes_lose_no_update_and_may_race_to_make_the_gallery(
    url: str, unit: Unit, child: Child
) -> None:
    script = """
from vultus.gallery import PostgresGallery
who = sys.argv[2]
say("ready")
sys.stdin.readline()
with PostgresGallery(sys.argv[1]) as gallery:
    numbers = [gallery.add(f"{who}{i % 7}", unit(i), group="all") for i in range(60)]
    found = {match.person for match in gallery.search(unit(0), 1000, groups=["all"])}
    assert found >= {f"{who}{i}" for i in range(7)}
    gallery.remove(f"{who}6")
say(*numbers)
"""
    writers = [child(script, url, who) for who in "abc"]
    assert [line(writer) for writer in writers] == ["ready"] * 3
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    outputs = [writer.communicate()[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert sorted(int(n) for output in outputs for n in output.split()) == list(range(1, 181))
    with PostgresGallery(url) as gallery:
        assert {person.id: person.samples for person in gallery.people()} == {
            f"{who}{i}": 9 if i < 4 else 8 for who in "abc" for i in range(6)
        }
        assert gallery.verify() == []  # the log is one chain


def test_acknowledged_writes_survive_a_kill(url: str, unit: Unit, child: Child) -> None:
    script = """
from vultus.gallery import PostgresGallery
gallery = PostgresGallery(sys.argv[1])
for i in range(100000):
    say("adding", i)
    gallery.add_many([NewSample(f"p{i}", unit(i * 3 + j), f"{i}-{j}") for j in range(3)])
    say("added", i)
"""
    with PostgresGallery(url) as watcher:
        writer = child(script, url)
        log = [line(writer)]
        time.sleep(0.3)
        writer.kill()
        log += writer.communicate()[0].splitlines()
        added = {f"p{entry.split()[1]}" for entry in log if entry.startswith("added")}
        begun = {f"p{entry.split()[1]}" for entry in log if entry.startswith("adding")}
        people = {person.id: person.samples for person in watcher.people()}
        assert added <= set(people) <= begun
        assert set(people.values()) <= {3}
        assert watcher.verify() == []
        watcher.add("after", unit(1))  # the dead writer's lock is gone


def test_threads_share_few_connections(url: str, unit: Unit) -> None:
    with PostgresGallery(url, connections=2) as gallery:
        errors = []

        def work(who: int) -> None:
            try:
                for i in range(10):
                    gallery.add(f"p{who}-{i}", unit(i))
                    assert gallery.search(unit(i), 1)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(gallery) == 60


def test_a_thread_that_waits_too_long_for_a_connection_is_told(url: str, unit: Unit) -> None:
    with PostgresGallery(url, connections=1, timeout_s=0.1) as gallery:
        with gallery._reading(), pytest.raises(GalleryServerError, match="in use") as caught:
            gallery.people()
        assert reason(caught) == "busy"
        assert gallery.people() == []


# -- the schema -----------------------------------------------------------------------------


def test_a_missing_gallery_is_not_made_on_demand(url: str, admin: Any) -> None:
    missing = url.replace(name_of(url), "nowhere")
    with pytest.raises(GalleryServerError, match="does not exist") as caught:
        PostgresGallery(missing, create=False)
    assert reason(caught) == "missing"
    found = admin.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'nowhere'").fetchone()
    assert found is None


def test_galleries_of_one_database_are_apart(postgres_url: Callable[[], str], unit: Unit) -> None:
    with PostgresGallery(postgres_url()) as one, PostgresGallery(postgres_url()) as two:
        one.add("Ada", unit(1))
        assert two.people() == []
        assert two.add("Bea", unit(2)) == 1


@pytest.fixture
def schema(admin: Any) -> Iterator[str]:
    """The name of a schema of which nothing is there yet."""
    yield "test_schema"
    admin.execute("DROP SCHEMA IF EXISTS test_schema CASCADE")


@pytest.mark.parametrize(
    "setup",
    [
        "CREATE TABLE test_schema.person (id INT)",
        "CREATE TABLE test_schema.vultus_schema (application TEXT, version INT)",
        "CREATE TABLE test_schema.vultus_schema AS SELECT 'other' AS application, 1 AS version",
    ],
)
def test_a_schema_of_another_program(url: str, admin: Any, schema: str, setup: str) -> None:
    admin.execute(f"CREATE SCHEMA test_schema; {setup}")
    with pytest.raises(GalleryServerError, match="another program") as caught:
        PostgresGallery(url.replace(name_of(url), schema))
    assert reason(caught) == "foreign"
    tables = admin.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'test_schema'")
    assert tables.fetchone() == (1,)


def test_an_empty_schema_made_by_an_administrator_is_used(
    url: str, admin: Any, schema: str, ada: Callable[[str], str], unit: Unit
) -> None:
    admin.execute("CREATE SCHEMA test_schema AUTHORIZATION ada")
    with PostgresGallery(ada(url).replace(name_of(url), schema)) as gallery:
        assert gallery.add("Ada", unit(1)) == 1
        assert gallery.verify() == []


def test_info_tells_the_place_and_no_password(
    url: str, ada: Callable[[str], str], admin: Any, schema: str, unit: Unit
) -> None:
    admin.execute("GRANT CREATE ON DATABASE postgres TO ada")
    with PostgresGallery(ada(url).replace(name_of(url), schema)) as gallery:
        gallery.add("Ada", unit(1))
        info = gallery.info()
    assert (info.backend, info.schema, info.samples) == ("postgresql", 1, 1)
    assert info.location.startswith("postgresql:///postgres?gallery=test_schema")
    assert "ada:" not in info.location
    assert (info.search.kind, info.search.samples_indexed) == ("exact", 1)


SHIPPED = read_migrations("postgres")
TEAMS = Migration(2, ("CREATE TABLE team (name TEXT)", "INSERT INTO team VALUES ('all')"))
BROKEN = Migration(3, ("INSERT INTO team VALUES ('none')", "DELETE FROM nowhere"))


@pytest.fixture
def future(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that these steps are shipped as well."""

    def ship(*more: Migration) -> None:
        monkeypatch.setattr(
            "vultus.gallery.postgres.schema.read_migrations", lambda _: [*SHIPPED, *more]
        )

    return ship


def version(admin: Any, schema: str) -> int:
    found = admin.execute(f"SELECT application, version FROM {schema}.vultus_schema").fetchall()
    ((application, number),) = found
    assert application == "vultus"
    return int(number)


def test_shipped_steps_are_numbered_without_gaps() -> None:
    assert [step.version for step in SHIPPED] == list(range(1, len(SHIPPED) + 1))


def test_steps_run_once_in_order_and_together(
    url: str, admin: Any, schema: str, future: Callable[..., None], unit: Unit
) -> None:
    url = url.replace(name_of(url), schema)
    with PostgresGallery(url) as gallery:
        gallery.add("Ada", unit(1))
    assert version(admin, schema) == 1
    future(TEAMS, BROKEN)
    with pytest.raises(GalleryServerError, match="is not there"):
        PostgresGallery(url)
    assert version(admin, schema) == 1
    assert admin.execute("SELECT to_regclass('test_schema.team')").fetchone() == (None,)
    future(TEAMS)
    for _ in range(2):
        with PostgresGallery(url) as gallery:
            assert gallery.search(unit(1))[0].person == "Ada"
            assert gallery.info().schema == 2
    assert version(admin, schema) == 2
    assert admin.execute("SELECT count(*) FROM test_schema.team").fetchone() == (1,)
    future()
    with pytest.raises(GalleryServerError, match=r"newer vultus \(schema 2, this one reads to 1"):
        PostgresGallery(url)


def test_a_failing_first_step_leaves_nothing(
    url: str, admin: Any, schema: str, future: Callable[..., None]
) -> None:
    future(TEAMS, BROKEN)
    with pytest.raises(GalleryServerError):
        PostgresGallery(url.replace(name_of(url), schema))
    assert admin.execute("SELECT to_regnamespace('test_schema')").fetchone() == (None,)


# -- servers that cannot be used ------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgresql://ada:s3cret@/postgres?host=/nonexistent", "unreachable"),
        ("postgresql://ada:s3cret@127.0.0.1:1/postgres", "unreachable"),
        ("postgresql://ada:s3cret@/postgres?sslmode=quite", "unreachable"),
        ("postgresql://ada:s3cret@/postgres?colour=s3cret", "address"),
        ("postgresql://ada:s3cret%zz@/postgres", "address"),
    ],
)
def test_a_server_that_cannot_be_reached(address: str, expected: str) -> None:
    with pytest.raises(GalleryServerError) as caught:
        PostgresGallery(address)
    assert reason(caught) == expected
    assert "s3cret" not in repr(caught.value.fields) + str(caught.value)


@contextmanager
def no_secret_leaks(caplog: pytest.LogCaptureFixture, *secrets: str) -> Iterator[None]:
    """No secret is in the error that is raised, its causes as shown, or the log."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(GalleryServerError) as caught:
        yield
    said = "".join(traceback.format_exception(caught.value)) + caplog.text
    said += repr(caught.value.fields)
    for secret in secrets:
        assert secret not in said


def test_a_wrong_password_is_refused_and_never_shown(
    url: str, ada: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    wrong = ada(url).replace("s3cret", "gue55ed")
    with pytest.raises(GalleryServerError, match="refuses these credentials") as caught:
        PostgresGallery(wrong)
    assert reason(caught) == "credentials"
    with no_secret_leaks(caplog, "gue55ed", "w%C3%B6rd"):
        PostgresGallery(wrong)
    twice = f"{wrong}&password=gue55ed&nonsense=1"
    with no_secret_leaks(caplog, "gue55ed"):
        PostgresGallery(twice)


def test_a_missing_database(url: str) -> None:
    with pytest.raises(GalleryServerError, match="there is not; create the database") as caught:
        PostgresGallery(url.replace("/postgres?", "/nowhere?"))
    assert reason(caught) == "missing-database"


def test_a_database_of_another_encoding(url: str, admin: Any) -> None:
    admin.execute(
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    try:
        with pytest.raises(GalleryServerError, match="is LATIN1, not UTF8") as caught:
            PostgresGallery(url.replace("/postgres?", "/latin?"))
        assert reason(caught) == "encoding"
    finally:
        admin.execute("DROP DATABASE latin WITH (FORCE)")


@pytest.fixture
def bare(url: str, admin: Any, ada: Callable[[str], str]) -> Iterator[str]:
    """A gallery's address in a database of Ada's without the extension."""
    admin.execute("CREATE DATABASE adas OWNER ada")
    yield url.replace("/postgres?", "/adas?")
    admin.execute("DROP DATABASE adas WITH (FORCE)")


def test_a_database_without_pgvector(
    bare: str, ada: Callable[[str], str], unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GalleryServerError, match="run: CREATE EXTENSION vector") as caught:
        PostgresGallery(ada(bare))
    assert reason(caught) == "extension"
    with monkeypatch.context() as patch:
        patch.setattr(
            "vultus.gallery.postgres.schema._INSTALL", "CREATE EXTENSION vector_of_nobody"
        )
        with pytest.raises(GalleryServerError, match=r"install pgvector 0\.8 or newer") as caught:
            PostgresGallery(bare)
        assert reason(caught) == "extension"
    with PostgresGallery(bare) as gallery:  # may add it
        gallery.add("Ada", unit(1))
        assert gallery.search(unit(1))[0].person == "Ada"


def test_an_outdated_pgvector(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vultus.gallery.postgres.schema._OLDEST_PGVECTOR", (999, 0))
    with pytest.raises(GalleryServerError, match="ALTER EXTENSION vector UPDATE") as caught:
        PostgresGallery(url)
    assert reason(caught) == "extension"


def test_a_role_that_may_not_make_a_gallery(url: str, ada: Callable[[str], str]) -> None:
    missing = ada(url).replace(name_of(url), "nowhere")
    with pytest.raises(GalleryServerError, match="refuses this role") as caught:
        PostgresGallery(missing)
    assert reason(caught) == "permission"


def test_a_role_that_may_only_read(
    gallery: PostgresGallery, url: str, admin: Any, ada: Callable[[str], str], unit: Unit
) -> None:
    gallery.add("Ada", unit(1))
    assert gallery.verify() == []  # sweeps, which a reader may not
    schema = name_of(url)
    admin.execute(
        f"GRANT USAGE ON SCHEMA {schema} TO ada;"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO ada"
    )
    with PostgresGallery(ada(url)) as reader:
        assert reader.search(unit(1))[0].person == "Ada"
        assert reader.people() == gallery.people()
        for change in (lambda: reader.add("X", unit(5)), lambda: reader.remove("Ada")):
            with pytest.raises(GalleryServerError, match="refuses this role") as caught:
                change()
            assert reason(caught) == "permission"
        assert reader.verify() == []


def test_a_missing_driver(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("vultus.gallery.postgres.") and not name.endswith(".url"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vultus\[postgres\]'"):
        PostgresGallery(url)


# -- while in use ---------------------------------------------------------------------------


def others(admin: Any) -> list[int]:
    """The server's processes for galleries."""
    rows = admin.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'vultus'"
    ).fetchall()
    return [pid for (pid,) in rows]


def hang_up(admin: Any) -> None:
    """End every connection of galleries, as a restart of the server would."""
    for pid in others(admin):
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_a_connection_that_broke_while_idle_is_replaced(
    gallery: PostgresGallery, admin: Any, unit: Unit
) -> None:
    gallery.add("Ada", unit(1))
    hang_up(admin)
    assert gallery.search(unit(1))[0].person == "Ada"
    hang_up(admin)
    assert gallery.add("Bea", unit(2)) == 2
    assert len(others(admin)) == 1


def test_a_connection_that_breaks_in_use_is_an_error_once(
    gallery: PostgresGallery, admin: Any, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.add("Ada", unit(1))

    def interrupted(*_: object) -> None:
        hang_up(admin)

    with monkeypatch.context() as patch:
        patch.setattr("vultus.gallery.records.samples._refuse_duplicates", interrupted)
        with pytest.raises(GalleryServerError, match="lost its connection") as caught:
            gallery.add("Bea", unit(2))
        assert reason(caught) == "connection-lost"
    assert [person.id for person in gallery.people()] == ["Ada"]
    assert gallery.add("Bea", unit(2)) == 2
    assert gallery.verify() == []


def test_a_connection_that_breaks_at_the_commit_leaves_it_open(
    gallery: PostgresGallery, admin: Any, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "_changed", lambda _: None)
    with pytest.raises(GalleryServerError, match="look whether it was made"), gallery._writing():
        hang_up(admin)
    assert gallery.add("Ada", unit(1)) == 1


def test_a_change_waits_and_then_says_so(url: str, admin: Any, unit: Unit) -> None:
    with PostgresGallery(url, timeout_s=0.2) as gallery:
        gallery.add("Ada", unit(1))
        with admin.transaction():
            admin.execute(f"SELECT 1 FROM {name_of(url)}.gallery FOR UPDATE")
            with pytest.raises(GalleryServerError, match="being changed by another") as caught:
                gallery.add("Bea", unit(2))
            assert reason(caught) == "locked"
            assert gallery.search(unit(1))[0].person == "Ada"  # readers do not wait
        assert gallery.add("Bea", unit(2)) == 2


def test_a_slow_server(url: str) -> None:
    with PostgresGallery(url, timeout_s=0.2) as gallery:
        with pytest.raises(GalleryServerError, match="took too long") as caught:
            gallery._link.ask("SELECT pg_sleep(10)")
        assert reason(caught) == "timeout"
        assert gallery.people() == []


def test_an_interrupt_within_a_change_undoes_it(
    gallery: PostgresGallery, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.add("Ada", unit(1))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gallery, "_changed", interrupt)
        with pytest.raises(KeyboardInterrupt):
            gallery.add("Bea", unit(2))
    assert [person.id for person in gallery.people()] == ["Ada"]
    assert gallery.add("Bea", unit(2)) == 2


def test_a_gallery_is_not_carried_across_a_fork(
    gallery: PostgresGallery, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.add("Ada", unit(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        for use in (lambda: gallery.add("X", unit(5)), lambda: gallery.search(unit(1))):
            with pytest.raises(GalleryError, match="before the process forked"):
                use()
    assert len(gallery) == 1


def test_a_gallery_dropped_while_open(url: str, admin: Any, schema: str, unit: Unit) -> None:
    with PostgresGallery(url.replace(name_of(url), schema)) as gallery:
        gallery.add("Ada", unit(1))
        admin.execute("DROP SCHEMA test_schema CASCADE")
        with pytest.raises(GalleryServerError, match="is not there") as caught:
            gallery.add("Bea", unit(2))
        assert reason(caught) == "missing"


def test_damage_is_named(gallery: PostgresGallery, url: str, admin: Any, unit: Unit) -> None:
    gallery.add_many([NewSample("Ada", unit(1)), NewSample("Bea", unit(2))])
    admin.execute(f"UPDATE {name_of(url)}.embedding SET vector = '[3,4]' WHERE id % 8 = 2")
    with pytest.raises(GalleryServerError, match="sample 2 must hold a vector of 16") as caught:
        gallery.search(unit(1))
    assert (reason(caught), caught.value.fields["sample"]) == ("damaged", 2)
    assert [finding.code for finding in gallery.verify()] == ["vector"]
    gallery.remove("Bea")  # what the message advises
    assert [match.person for match in gallery.search(unit(1))] == ["Ada"]


# -- erasure --------------------------------------------------------------------------------


def dead_rows(admin: Any, schema: str) -> int:
    admin.execute("SELECT pg_stat_force_next_flush()")
    row = admin.execute(
        "SELECT sum(n_dead_tup) FROM pg_stat_all_tables WHERE schemaname = %s"
        " AND relname IN ('embedding', 'sample', 'crop', 'person', 'membership')",
        (schema,),
    ).fetchone()
    return int(row[0])


def test_erased_rows_are_swept_at_once(
    gallery: PostgresGallery, url: str, admin: Any, unit: Unit
) -> None:
    gallery.add_many([NewSample("Ada", unit(i), crop=b"x" * 9000, group="g") for i in range(5)])
    gallery.remove("Ada")
    assert dead_rows(admin, name_of(url)) == 0
    assert gallery.verify() == []


def test_rows_that_an_older_transaction_keeps_alive_are_named(
    gallery: PostgresGallery, admin: Any, unit: Unit, caplog: pytest.LogCaptureFixture
) -> None:
    gallery.add_many([NewSample("Ada", unit(i)) for i in range(5)])
    with admin.transaction():
        admin.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        admin.execute("SELECT 1")
        gallery.remove("Ada")
        assert "11 erased rows stay on the server until older transactions" in caplog.text
        (finding,) = gallery.verify()
        assert (finding.code, "11 are; end older" in finding.message) == ("residue", True)
    assert gallery.verify() == []  # which sweeps


def test_erasure_is_done_even_if_it_cannot_be_swept(
    url: str, admin: Any, unit: Unit, caplog: pytest.LogCaptureFixture
) -> None:
    with PostgresGallery(url, timeout_s=0.2) as gallery:
        gallery.add("Ada", unit(1))
        with admin.transaction():
            # What an index being built holds: changes go on, a sweep has to wait.
            admin.execute(f"LOCK {name_of(url)}.person IN SHARE UPDATE EXCLUSIVE MODE")
            assert gallery.remove("Ada") == 1
        assert "erased rows stay on the server for now" in caplog.text
        assert gallery.people() == []
        assert gallery.verify() == []
