from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vultus.cli import doctor
from vultus.models import Store

CHECKS = [
    "versions", "weights", "providers", "threads", "exif", "detector", "mmod",
    "blazeface", "mesh", "embedder", "colour-order", "landmarks", "alignment", "pipeline",
]  # fmt: skip

Checks = dict[str, tuple[bool, str]]


@pytest.fixture
def examine(vultus) -> Callable[[], tuple[int, Checks]]:
    """Run the doctor in this process, whose threads are not its own to count."""

    def run() -> tuple[int, Checks]:
        ended = vultus("doctor", "--json")
        said = json.loads(ended.out)
        assert list(said) == ["ok", "checks"]
        checks = {check["name"]: (check["ok"], check["detail"]) for check in said["checks"]}
        assert said["ok"] == all(ok for ok, _ in checks.values())
        assert ended.code == (0 if said["ok"] else 1)
        return ended.code, checks

    return run


class TestHealthy:
    """In a process of its own, as users run it."""

    def test_json(self, vultus_process):
        out, err = (process := vultus_process("doctor", "--json")).communicate(timeout=120)
        assert (process.returncode, err) == (0, b"")
        said = json.loads(out)
        assert list(said) == ["ok", "checks"]
        assert said["ok"] is True
        assert [check["name"] for check in said["checks"]] == CHECKS
        assert all(list(check) == ["name", "ok", "detail"] for check in said["checks"])
        assert all(check["ok"] is True for check in said["checks"])
        assert "CPUExecutionProvider ran " in said["checks"][2]["detail"]

    def test_for_people(self, vultus_process):
        out, err = (process := vultus_process("doctor")).communicate(timeout=120)
        assert (process.returncode, err) == (0, b"")
        lines = out.decode().splitlines()
        assert [line.split()[1] for line in lines[:-1]] == CHECKS
        assert all(line.startswith("ok ") for line in lines[:-1])
        assert lines[-1] == "all is well"


class TestIll:
    def test_a_damaged_network(self, examine, monkeypatch, tmp_path: Path):
        locate = Store._locate

        def damaged(self: Store, weight):
            found = locate(self, weight)
            if weight.file != "dlib_resnet_v1.onnx":
                return found
            copy = tmp_path / weight.file
            data = bytearray(found.read_bytes())
            data[len(data) // 2] ^= 1
            copy.write_bytes(data)
            return copy

        monkeypatch.setattr(Store, "_locate", damaged)
        code, checks = examine()
        assert code == 1
        ok, detail = checks["weights"]
        assert not ok
        assert detail == (
            "damaged: dlib-resnet-v1/dlib_resnet_v1.onnx; `vultus models verify` tells more"
        )
        for name in ("embedder", "colour-order", "alignment"):
            ok, detail = checks[name]
            assert not ok
            assert detail.startswith("[weight-damaged] ")
        assert checks["detector"][0]
        assert checks["exif"][0]

    def test_a_damaged_optional_weight(
        self, vultus_process, monkeypatch, tmp_path: Path, shared_models: Path
    ):
        store = Store(tmp_path)
        status = store.add(shared_models / "yunet_n_dynamic.onnx")
        assert status.path is not None
        status.path.chmod(0o644)
        shutil.copy(__file__, status.path)
        monkeypatch.setenv("VULTUS_HOME", str(tmp_path))
        out, _ = (process := vultus_process("doctor", "--json")).communicate(timeout=120)
        assert process.returncode == 1
        failed = [check for check in json.loads(out)["checks"] if not check["ok"]]
        assert [check["name"] for check in failed] == ["weights"]
        assert "damaged: yunet/yunet_n_dynamic.onnx" in failed[0]["detail"]

    def test_exchanged_colours(self, examine, monkeypatch):
        """An embedder that is fed BGR is wrong by 0.7 % only, and noticed."""
        from vultus.embed import OnnxEmbedder

        run = OnnxEmbedder._run
        monkeypatch.setattr(OnnxEmbedder, "_run", lambda self, s: run(self, s[..., ::-1]))
        code, checks = examine()
        assert code == 1
        assert not checks["embedder"][0]
        assert "cosine 0.99" in checks["embedder"][1]
        assert not checks["colour-order"][0]
        assert not checks["alignment"][0]
        assert checks["detector"][0]

    def test_a_detector_that_is_off(self, examine, monkeypatch):
        from vultus.detect._area import AreaSampler

        crop = AreaSampler.crop
        monkeypatch.setattr(AreaSampler, "crop", lambda self, b, s: crop(self, b, s)[:, ::-1])
        code, checks = examine()
        assert code == 1
        assert not checks["detector"][0]
        assert checks["embedder"][0]

    def test_a_detector_that_finds_nothing(self, examine, monkeypatch):
        from vultus.detect import Mtcnn

        monkeypatch.setattr(Mtcnn, "detect", lambda *_: [])
        _, checks = examine()
        assert checks["detector"] == (False, "0 faces in the golden picture, 1 expected")

    def test_a_pyramid_that_is_off(self, examine, monkeypatch):
        from vultus.detect import mmod

        layout = mmod._layout
        monkeypatch.setattr(mmod, "_STRIDE_PX", 9)
        code, checks = examine()
        assert code == 1
        assert not checks["mmod"][0]
        monkeypatch.setattr(mmod, "_STRIDE_PX", 8)
        monkeypatch.setattr(mmod, "_layout", lambda size: (layout(size)[0][1:], layout(size)[1]))
        assert not examine()[1]["mmod"][0]

    def test_boxes_decoded_wrongly(self, examine, monkeypatch):
        from vultus.detect.blazeface import BlazeFace

        decode = BlazeFace._decode
        monkeypatch.setattr(
            BlazeFace, "_decode", lambda self, out, wh: decode(self, [out[0], out[1] * 1.01], wh)
        )
        _, checks = examine()
        assert not checks["blazeface"][0]
        assert checks["mmod"][0]

    def test_a_mesh_fed_wrongly(self, examine, monkeypatch):
        window = doctor._window
        monkeypatch.setattr(doctor, "_window", lambda golden, side: window(golden, side)[..., ::-1])
        _, checks = examine()
        assert not checks["mesh"][0]
        assert checks["detector"][0]

    def test_orientation_applied_twice(self, examine, monkeypatch):
        from vultus import sources

        load = sources.load_image
        monkeypatch.setattr(sources, "load_image", lambda data: np.rot90(load(data)))
        _, checks = examine()
        assert checks["exif"] == (False, "wrong picture (16, 32, 3)")

    def test_a_warp_that_is_off(self, examine, monkeypatch):
        from vultus import align

        chip = align.dlib_chip
        monkeypatch.setattr(align, "dlib_chip", lambda image, points: chip(image, points + 4))
        _, checks = examine()
        assert not checks["alignment"][0]

    def test_anything_else_is_told_as_well(self, vultus, monkeypatch):
        def broken() -> tuple[bool, str]:
            raise OSError("the disk is on fire [bold]")

        monkeypatch.setitem(doctor._CHECKS, "providers", broken)
        ended = vultus("doctor")
        assert ended.code == 1
        assert "FAIL providers  OSError: the disk is on fire [bold]" in ended.out
        assert ended.out.splitlines()[-1] == "something is wrong"
