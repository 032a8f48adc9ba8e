# ruff: noqa: E402
"""Checkpoints: what was saved comes back bit by bit, half a file never does."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'vultus[train]'")
safetensors = pytest.importorskip(
    "safetensors.torch", reason="needs safetensors: pip install 'vultus[train]'"
)

from vultus.errors import DataFileError, DtypeError, OutputError
from vultus.train.checkpoint import (
    Checkpoint,
    Progress,
    differences,
    load_checkpoint,
    random_state,
    save_checkpoint,
    set_random_state,
)
from vultus.train.heads import SampledHead, head_loss
from vultus.train.margins import AdaFace
from vultus.train.schedule import OPTIMISERS, make_optimiser

CONFIG = {"epochs": 3, "data": {"root": "x", "size": [112, 112]}, "lr": 0.1, "note": None}


def _run(name: str) -> dict[str, Any]:
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4))
    head = SampledHead(4, 20, AdaFace(), rate=0.5, seed=3)
    optimiser = make_optimiser(name, [*model.parameters(), *head.parameters()], 0.05)
    return {"model": model, "head": head, "optimiser": optimiser}


def _steps(run: dict[str, Any], count: int) -> None:
    for _ in range(count):
        x = torch.randn(8, 6)
        y = torch.randint(0, 20, (8,))
        run["optimiser"].zero_grad()
        head_loss(run["head"](run["model"](x), y)).backward()
        run["optimiser"].step()


def _states(run: dict[str, Any]) -> dict[str, Any]:
    return {**{k: v.state_dict() for k, v in run.items()}, "random": random_state()}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_going_on_is_bit_equal(tmp_path: Path, name: str) -> None:
    path = tmp_path / "last.safetensors"
    run = _run(name)
    _steps(run, 3)
    save_checkpoint(path, Checkpoint(CONFIG, Progress(1, 2, 3), _states(run)))
    drawn = random.random()  # noqa: S311
    _steps(run, 3)
    other = _run(name)
    found = load_checkpoint(path, config=CONFIG)
    assert found.progress == Progress(1, 2, 3)
    assert found.config == CONFIG
    for key, part in other.items():
        part.load_state_dict(found.states[key])
    set_random_state(found.states["random"])
    assert random.random() == drawn  # noqa: S311
    _steps(other, 3)
    for part in ("model", "head"):
        for key, tensor in run[part].state_dict().items():
            assert torch.equal(tensor, other[part].state_dict()[key]), key


def test_all_kinds_of_states_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    shared = torch.arange(6.0)
    state = {
        "views": [shared[:3], shared[3:], shared.reshape(2, 3).T],
        "tuple": (1, (0.1, None), "text", True),
        "numbers": {0: {"step": torch.tensor(3.0)}, 7: 1e-300},
        "$odd": {},
        "a.b": torch.tensor(1),
        "a": {"b": torch.tensor(2)},
        "empty": torch.zeros(0, 2),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "infinite": float("inf"),
    }
    save_checkpoint(path, Checkpoint({}, Progress(), {"s": state}))
    got = load_checkpoint(path).states["s"]
    assert list(got) == list(state)
    assert [v.tolist() for v in got["views"]] == [[0, 1, 2], [3, 4, 5], [[0, 3], [1, 4], [2, 5]]]
    assert got["tuple"] == state["tuple"]
    assert got["numbers"][0]["step"].item() == 3.0
    assert got["numbers"][7] == 1e-300
    assert got["empty"].shape == (0, 2)
    assert got["half"].dtype == torch.bfloat16
    assert (got["a.b"].item(), got["a"]["b"].item()) == (1, 2)
    assert got["infinite"] == float("inf")


def test_the_file_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, Checkpoint({}, Progress(step=1), {}))

    def broken(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", broken)
        with pytest.raises(OutputError, match="cannot be written: disk full"):
            save_checkpoint(path, Checkpoint({}, Progress(step=2), {}))
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.safetensors"]
    assert load_checkpoint(path).progress.step == 1
    with pytest.raises(OutputError, match="cannot be written"):
        save_checkpoint(tmp_path / "none" / "a.safetensors", Checkpoint({}, Progress(), {}))


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, Checkpoint(CONFIG, Progress(), {}))
    new = {**CONFIG, "epochs": 4, "data": {"root": "y", "size": (112, 112)}}
    with pytest.raises(DataFileError, match=r"data\.root differs, one of 2 keys") as caught:
        load_checkpoint(path, config=new)
    assert caught.value.fields["keys"] == ["data.root", "epochs"]
    with pytest.raises(DataFileError, match=r"data\.root differs, one of 1 keys"):
        load_checkpoint(path, config=new, may_differ=frozenset({"epochs"}))
    assert (
        load_checkpoint(path, config=new, may_differ=frozenset({"epochs", "data.root"})).config
        == CONFIG
    )


def test_differences() -> None:
    assert differences(CONFIG, CONFIG) == ()
    assert differences({"a": 1, "b": {"c": 2}}, {"b": {"c": 3, "d": 1}, "e": 0}) == (
        "a", "b.c", "b.d", "e",
    )  # fmt: skip
    assert differences({"a": {"b": 1}}, {"a": 1}) == ("a",)


def test_foreign_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(DataFileError, match="cannot be read"):
        load_checkpoint(path)
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(DataFileError, match="cannot be read"):
        load_checkpoint(path)
    safetensors.save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(DataFileError, match="is none that vultus wrote"):
        load_checkpoint(path)
    for text in ("[]", "{", '{"format": 1}', '{"format": 1, "config": {}, "progress": {"x": 1}}'):
        safetensors.save_file({"x": torch.zeros(1)}, path, {"vultus": text})
        with pytest.raises(DataFileError, match="is none that vultus wrote"):
            load_checkpoint(path)
    safetensors.save_file({"x": torch.zeros(1)}, path, {"vultus": '{"format": 2}'})
    with pytest.raises(DataFileError, match="has the format 2, known is 1"):
        load_checkpoint(path)
    save_checkpoint(path, Checkpoint({}, Progress(), {"s": {"x": torch.zeros(100)}}))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataFileError, match="cannot be read"):
        load_checkpoint(path)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(DtypeError, match=r"s\.x\.0 is of object"):
        save_checkpoint(path, Checkpoint({}, Progress(), {"s": {"x": [object()]}}))
    with pytest.raises(DtypeError, match=r"config\.root is of (Posix|Windows)Path"):
        save_checkpoint(path, Checkpoint({"root": tmp_path}, Progress(), {}))
    assert list(tmp_path.iterdir()) == []


def test_random_states_of_another_machine_are_refused() -> None:
    state = {**random_state(), "cuda": [torch.zeros(1)] * 99}
    with pytest.raises(DataFileError, match="had 99 CUDA devices, here are"):
        set_random_state(state)
