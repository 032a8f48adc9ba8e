from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="install the server: pip install 'vultus[server]'")

from vultus.pipeline import Recognizer
from vultus.server.places import Places
from vultus.server.secrets import load_secrets
from vultus.server.store import open_store
from vultus.server.store.idcards import IdCards

NUMBER, OTHER = "11010519491231002X", "110105194912310011"
HEADER = ("id_card_number", "name", "picture")


@pytest.fixture
def gallery(tmp_path: Path, vultus: Callable[..., Any]) -> Path:
    """A gallery whose first tenant is `acme`."""
    path = tmp_path / "people.vultus"
    made = vultus("keys", "create", "--gallery", path, "--tenant", "acme", "--json")
    assert made.code == 0, made.err
    return path


@pytest.fixture
def listed(tmp_path: Path, samples: Path) -> Callable[..., Path]:
    """`listed(row, …)`: a list beside the folder `photos` with `obama.jpg` and `nobody.jpg`."""
    folder = tmp_path / "list"
    (folder / "photos").mkdir(parents=True)
    with Image.open(samples / "known" / "Barack Obama.jpg") as image:
        image.resize((200, 250)).save(folder / "photos" / "obama.jpg")
    Image.new("RGB", (64, 64)).save(folder / "photos" / "nobody.jpg")

    def write(*rows: tuple[str, ...], encoding: str = "utf-8") -> Path:
        path = folder / "cards.csv"
        with path.open("w", encoding=encoding, newline="") as file:
            csv.writer(file).writerows(rows)
        return path

    return write


def test_import_count_remove_clear(
    vultus: Callable[..., Any],
    gallery: Path,
    listed: Callable[..., Path],
    recognizer: Recognizer,
):
    path = listed(
        HEADER,
        (NUMBER.lower(), "张三", "photos/obama.jpg"),
        (OTHER, "李四", "photos/obama.jpg"),
        encoding="utf-8-sig",
    )
    done = vultus("idcards", "import", path, "--gallery", gallery, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"tenant": "acme", "imported": 2, "failed": 0, "cards": 2}
    places = Places(str(gallery))
    secrets = load_secrets(places.secret)
    store = open_store(places, secrets)
    found = IdCards(store, secrets).find("acme", NUMBER, "张三", recognizer.embedder.space)
    store.close()
    assert found is not None
    assert found.name_fits
    assert found.embedding is not None
    asked = ("--gallery", gallery, "--json")
    gone = vultus("idcards", "remove", "--number", NUMBER, *asked)
    assert json.loads(gone.out) == {"tenant": "acme", "removed": 1, "cards": 1}
    assert json.loads(vultus("idcards", "count", *asked).out) == {"tenant": "acme", "cards": 1}
    assert json.loads(vultus("idcards", "clear", "--yes", *asked).out)["removed"] == 1
    assert vultus("idcards", "count", "--gallery", gallery).out == "tenant acme, cards 0\n"


def test_lines_that_cannot_be_used(
    vultus: Callable[..., Any], gallery: Path, listed: Callable[..., Path]
):
    path = listed(
        HEADER,
        (NUMBER, "张三", "photos/obama.jpg"),
        (OTHER, "李四", "photos/nobody.jpg"),
        ("12", "王五", "photos/obama.jpg"),
        (OTHER, "李四", "photos/none.jpg"),
    )
    done = vultus("idcards", "import", path, "--gallery", gallery)
    assert done.code == 3
    assert done.out == "tenant acme, imported 1, failed 3, cards 1\n"
    assert "line 3: the photo must show a face" in done.err
    assert "line 4: an ID card's number must be" in done.err
    assert "line 5: " in done.err
    assert "李四" not in done.err
    assert OTHER not in done.err


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("number", "who", "picture")], "must have a column name, it has number, who, picture"),
        ([], "must have a column id_card_number, it has none"),
        ([HEADER, (NUMBER, "", "x.jpg")], "line 2: name must not be empty"),
        ([HEADER, (NUMBER,)], "line 2: name must not be empty"),
    ],
)
def test_lists_that_are_none(
    vultus: Callable[..., Any],
    gallery: Path,
    listed: Callable[..., Path],
    rows: list[tuple[str, ...]],
    message: str,
):
    done = vultus("idcards", "import", listed(*rows), "--gallery", gallery)
    assert done.code == 4
    assert message in done.err.replace("\n", " ")


def test_other_files_and_tenants(
    vultus: Callable[..., Any], gallery: Path, listed: Callable[..., Path], tmp_path: Path
):
    done = vultus("idcards", "import", tmp_path / "none.csv", "--gallery", gallery)
    assert (done.code, "must be a CSV file" in done.err) == (4, True)
    path = listed(HEADER, (NUMBER, "x", "photos/obama.jpg"), encoding="utf-16")
    assert vultus("idcards", "import", path, "--gallery", gallery).code == 4
    done = vultus("idcards", "count", "--gallery", gallery, "--tenant", "nobody")
    assert (done.code, "there is no tenant" in done.err) == (4, True)
