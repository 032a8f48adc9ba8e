from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vultus.compat import shim
from vultus.compat.shim import MARKER, ShimExistsError, install_shim, remove_shim
from vultus.errors import InputError


def python(folder: Path, code: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ended.stdout.strip()


def test_what_is_installed_is_removed(tmp_path: Path):
    folder = tmp_path / "packages"
    written = install_shim(folder)
    names = sorted(path.relative_to(folder).as_posix() for path in written)
    suffix = ".cmd" if sys.platform == "win32" else ""
    assert names == [
        f"bin/face_detection{suffix}",
        f"bin/face_recognition{suffix}",
        f"face_recognition/{MARKER}",
        "face_recognition/__init__.py",
        "face_recognition/api.py",
        "face_recognition/face_detection_cli.py",
        "face_recognition/face_recognition_cli.py",
    ]
    for path in written:
        assert "vultus compat install-shim" in path.read_text(encoding="utf-8")
    assert sorted(remove_shim(folder)) == sorted(written)
    assert not (folder / "face_recognition").exists()


def test_imports_lead_to_vultus(tmp_path: Path):
    install_shim(tmp_path)
    code = (
        "import face_recognition, vultus.compat.face_recognition as own\n"
        "import face_recognition.api as api\n"
        "from face_recognition import face_locations, api as same\n"
        "print(face_recognition.__version__, face_locations is own.face_locations,"
        " api is own.api is same, callable(api._raw_face_locations))"
    )
    assert python(tmp_path, code) == "1.2.3 True True True"
    remove_shim(tmp_path)  # Python's caches go with it
    assert not (tmp_path / "face_recognition").exists()


def test_click_objects(tmp_path: Path):
    pytest.importorskip("click")
    install_shim(tmp_path)
    code = (
        "from face_recognition import face_recognition_cli, face_detection_cli\n"
        "print(face_recognition_cli.main.name, face_detection_cli.main.name)"
    )
    assert python(tmp_path, code) == "main main"


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are shell scripts")
def test_commands_lead_to_vultus(tmp_path: Path, samples: Path):
    install_shim(tmp_path)
    photo = samples / "photos" / "obama2.jpg"
    ended = subprocess.run(
        [tmp_path / "bin" / "face_detection", photo], capture_output=True, text=True, check=True
    )
    assert ended.stdout == f"{photo},302,474,611,164\n"
    ended = subprocess.run(
        [tmp_path / "bin" / "face_recognition", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--tolerance" in ended.stdout


def test_installing_twice_renews(tmp_path: Path):
    first = install_shim(tmp_path)
    (tmp_path / "face_recognition" / "api.py").unlink()
    assert install_shim(tmp_path) == first
    assert all(path.is_file() for path in first)


def test_what_was_changed_since_is_kept(tmp_path: Path):
    install_shim(tmp_path)
    own = tmp_path / "face_recognition" / "api.py"
    own.write_text("# somebody's own\n")
    assert own not in remove_shim(tmp_path)
    assert own.read_text() == "# somebody's own\n"
    with pytest.raises(ShimExistsError, match="found"):
        install_shim(tmp_path)


def test_a_real_one_is_never_touched(tmp_path: Path):
    real = tmp_path / "face_recognition"
    real.mkdir()
    (real / "__init__.py").write_text("real = True\n")
    with pytest.raises(ShimExistsError, match="there must be no other face_recognition") as told:
        install_shim(tmp_path)
    assert "pip uninstall face_recognition" in told.value.remedy
    with pytest.raises(InputError, match="there is no shim of vultus"):
        remove_shim(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["__init__.py", "face_recognition"]


def test_a_command_of_that_name_is_never_touched(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    names = ["face_detection", "face_detection.cmd"]
    for name in names:
        (tmp_path / "bin" / name).write_text("somebody's own")
    with pytest.raises(ShimExistsError, match="face_detection"):
        install_shim(tmp_path)
    assert not (tmp_path / "face_recognition").exists()


def test_one_elsewhere_on_the_path_is_not_hidden(tmp_path: Path, monkeypatch):
    real = tmp_path / "real" / "face_recognition"
    real.mkdir(parents=True)
    (real / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "real"))
    monkeypatch.setattr(shim, "_places", lambda _: (tmp_path / "here", tmp_path / "here" / "bin"))
    monkeypatch.delitem(sys.modules, "face_recognition", raising=False)
    with pytest.raises(ShimExistsError, match="found"):
        install_shim()
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"files": 3}', '{"made_by": "x"}'])
def test_a_list_that_cannot_be_read(tmp_path: Path, text: str):
    install_shim(tmp_path)
    (tmp_path / "face_recognition" / MARKER).write_text(text)
    with pytest.raises(InputError, match="cannot be read") as told:
        remove_shim(tmp_path)
    assert "by hand" in told.value.remedy


def test_a_list_cannot_name_files_elsewhere(tmp_path: Path):
    install_shim(tmp_path)
    victim = tmp_path / "victim.txt"
    victim.write_text("")
    marker = tmp_path / "face_recognition" / MARKER
    note = json.loads(marker.read_text())
    note["files"][str(victim)] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    marker.write_text(json.dumps(note))
    assert victim not in remove_shim(tmp_path)
    assert victim.exists()


def test_the_commands_of_vultus(vultus, tmp_path: Path):
    ended = vultus("compat", "install-shim", "--folder", tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert f"{tmp_path}/face_recognition/__init__.py\n" in ended.out
    assert "remove-shim" in ended.out
    ended = vultus("compat", "remove-shim", "--folder", tmp_path)
    assert ended.code == 0
    assert ended.out.count("removed ") == 7
    ended = vultus("compat", "remove-shim", "--folder", tmp_path)
    assert ended.code == 4
    assert "no shim" in ended.err
