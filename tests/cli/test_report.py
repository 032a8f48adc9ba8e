from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

for name in ("matplotlib", "scipy", "sklearn"):
    pytest.importorskip(name, reason="the extra 'evaluate' is not installed")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def people(shared_data: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five people, six pictures each; embedded once for all tests."""
    monkeypatch.setenv("VULTUS_CACHE", str(cache))
    folder = tmp_path / "people"
    for person in sorted((shared_data / "people").iterdir()):
        (folder / person.name).mkdir(parents=True)
        for picture in sorted(person.iterdir())[:6]:
            shutil.copyfile(picture, folder / person.name / picture.name)
    return folder


def test_page_and_numbers(vultus, people: Path, tmp_path: Path):
    ended = vultus("report", people, "--out", tmp_path / "card", "--rounds", "20")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("dlib-resnet-v1: EER 0.0")
    page = (tmp_path / "card" / "index.html").read_text(encoding="utf-8")
    assert "Report card: people" in page
    assert 'id="discard"' in page
    content = json.loads((tmp_path / "card" / "report.json").read_text(encoding="utf-8"))
    (model,) = content["models"]
    assert model["verification"]["subjects"] == 5
    assert model["verification"]["genuine"] + model["verification"]["impostor"] == 30 * 29 // 2
    assert content["facts"]["people"] == "5, of whom 0 with one picture"


def test_requirements_decide_the_exit_code(vultus, people: Path, tmp_path: Path):
    arguments = ["report", people, "--out", tmp_path, "--rounds", "20", "--no-quality", "--json"]
    ended = vultus(*arguments, "--gate", "eer<0.5", "--gate", "auc>0.9")
    assert ended.code == 0
    said = json.loads(ended.out)
    assert [gate["met"] for gate in said["gates"]] == [True, True]
    assert Path(said["page"]).is_file()
    ended = vultus(*arguments, "--gate", "fnmr@fmr=1e-5<0.5")
    assert ended.code == 1
    assert json.loads(ended.out)["gates"] == [
        {"text": "fnmr@fmr=1e-5<0.5", "value": None, "met": False}
    ]
    ended = vultus(*arguments, "--gate", "better")
    assert ended.code == 4
    assert "value-range" in ended.err


def test_slices_by_a_table(vultus, people: Path, tmp_path: Path):
    table = tmp_path / "attributes.csv"
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "camera"])
        for number, path in enumerate(sorted(people.rglob("*.jpg"))):
            writer.writerow([path.relative_to(people).as_posix(), "ab"[number % 2]])
    ended = vultus(
        "report", people, "--out", tmp_path, "--rounds", "20", "--no-quality",
        "--attributes", table,
    )  # fmt: skip
    assert ended.code == 0
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    slices = content["models"][0]["slices"]
    assert [(part["column"], part["value"]) for part in slices] == [
        ("camera", "a"),
        ("camera", "b"),
    ]
    assert all(part["impostor"] >= 30 for part in slices)


@pytest.mark.parametrize(
    ("text", "code"),
    [("camera\na\n", "data-file"), ("path,camera\nnobody.jpg,a\n", "data-file"), ("", "data-file")],
)
def test_a_table_that_says_nothing(vultus, people: Path, tmp_path: Path, text: str, code: str):
    table = tmp_path / "attributes.csv"
    table.write_text(text, encoding="utf-8")
    ended = vultus("report", people, "--out", tmp_path, "--attributes", table)
    assert ended.code == 4
    assert f"error {code}: " in ended.err


def test_a_list_of_pairs(vultus, people: Path, tmp_path: Path):
    names = sorted(folder.name for folder in people.iterdir())
    lines = ["2", f"{names[0]}\t1\t2", f"{names[1]}\t1\t3"]
    lines += [f"{names[0]}\t1\t{names[1]}\t1", f"{names[2]}\t1\t{names[3]}\t2"]
    listed = tmp_path / "pairs.txt"
    listed.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ended = vultus(
        "report", people, "--out", tmp_path, "--pairs", listed, "--rounds", "20", "--no-quality"
    )
    assert ended.code in (0, 4)  # two people a side are few: a number, or a named refusal
    if ended.code == 4:
        assert "insufficient-data" in ended.err
    else:
        content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
        assert content["models"][0]["verification"]["genuine"] == 2


def test_one_picture_under_two_names_is_told(vultus, people: Path, tmp_path: Path):
    first, second = sorted(people.iterdir())[:2]
    shutil.copyfile(sorted(first.iterdir())[0], second / "same.jpg")
    ended = vultus("report", people, "--out", tmp_path, "--rounds", "20", "--no-quality")
    assert ended.code == 0
    assert "The same picture under different names" in (tmp_path / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda root: None, "gallery-empty"),
        (lambda root: (root / "somebody").mkdir(), "gallery-empty"),
    ],
)
def test_an_empty_folder(vultus, tmp_path: Path, make, code: str):
    root = tmp_path / "empty"
    root.mkdir()
    make(root)
    ended = vultus("report", root, "--out", tmp_path / "card")
    assert ended.code == 4
    assert f"error {code}: " in ended.err
    assert not (tmp_path / "card").exists()


def test_a_model_that_is_not_here(vultus, people: Path, tmp_path: Path):
    ended = vultus(
        "report", people, "--out", tmp_path / "card", "--compare", "arcface-r50", "--rounds", "20",
        "--no-quality",
    )  # fmt: skip
    assert ended.code == 4
    assert "error model-missing: " in ended.err


class TestOfAGallery:
    def test_the_enrolled_faces_are_reported(self, vultus, people: Path, tmp_path: Path):
        gallery = tmp_path / "people.db"
        assert vultus("gallery", "import", gallery, people).code == 0
        ended = vultus("report", gallery, "--out", tmp_path / "card", "--rounds", "20")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith("dlib-resnet-v1: EER 0.0")
        content = json.loads((tmp_path / "card" / "report.json").read_text(encoding="utf-8"))
        assert content["facts"]["people"] == "5, of whom 0 with one picture"
        assert content["models"][0]["verification"]["genuine"] == 5 * 15
        assert content["models"][0]["false_accepts"][0]["first"].endswith(".jpg")
        page = (tmp_path / "card" / "index.html").read_text(encoding="utf-8")
        assert "picture gone" not in page

    def test_what_takes_pictures_is_refused(self, vultus, tmp_path: Path):
        gallery = tmp_path / "people.db"
        ended = vultus("report", gallery, "--out", tmp_path, "--robustness", "--compare", "x")
        assert ended.code == 2
        assert "--compare, --robustness" in " ".join(ended.err.replace("│", " ").split())
