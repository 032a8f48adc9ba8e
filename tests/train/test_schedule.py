# ruff: noqa: E402
"""Schedules by hand-computed rates; optimisers by a step computed by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'vultus[train]'")

from vultus.errors import DataFileError, RangeError
from vultus.train.schedule import (
    OPTIMISERS,
    Cosine,
    FacenetDecay,
    Poly,
    ScheduleFile,
    Steps,
    Warmup,
    make_optimiser,
    set_rate,
)

CASIA = """# Learning rate schedule
# Maps an epoch number to a learning rate
0:  0.05
60: 0.005   # slower
80: 0.0005

91: -1
"""


def _file(folder: Path, text: str | bytes) -> Path:
    path = folder / "schedule.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_of_facenets(tmp_path: Path) -> None:
    schedule = ScheduleFile.read(_file(tmp_path, CASIA))
    assert schedule.end == 91
    # The epoch numbered 60 is the 60th, so it runs after 59 whole ones.
    assert [schedule.rate(e) for e in (0, 58.9, 59, 78, 79, 89.99)] == [
        0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005,
    ]  # fmt: skip
    assert schedule.rate(90) is None
    assert schedule.rate(1000) is None


def test_epochs_from_zero(tmp_path: Path) -> None:
    schedule = ScheduleFile.read(_file(tmp_path, CASIA), first_epoch=0)
    assert (schedule.rate(59), schedule.rate(60), schedule.rate(91)) == (0.05, 0.005, None)


@pytest.mark.parametrize("end", ["-1", "-", " -1.0 "])
def test_ends(tmp_path: Path, end: str) -> None:
    schedule = ScheduleFile.read(_file(tmp_path, f"0:0.1\r\n 3 :{end}\r\n"))
    assert (schedule.rate(1.5), schedule.rate(2)) == (0.1, None)


def test_a_file_without_an_end_holds_its_last_rate(tmp_path: Path) -> None:
    path = _file(tmp_path, "0: 0.1\n5: 0.01\n")
    with pytest.raises(DataFileError, match="has no end; add a line 'EPOCH: -1'"):
        ScheduleFile.read(path)
    schedule = ScheduleFile.read(path, max_epochs=9)
    assert schedule.end is None
    assert (schedule.rate(4), schedule.rate(400)) == (0.01, 0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no line 'epoch: rate'"),
        ("# only a comment\n", "has no line 'epoch: rate'"),
        ("0: 0.1\n5 0.01\n", "line 2 of the schedule .* is not 'epoch: rate'"),
        ("0: 0.1: 2\n", "line 1 .* is not 'epoch: rate'"),
        ("0: fast\n", "is not 'epoch: rate'"),
        ("0: nan\n", "is not 'epoch: rate'"),
        ("0: 0\n", "is not 'epoch: rate'"),
        ("0: -2\n", "is not 'epoch: rate'"),
        ("-1: 0.1\n", "is not 'epoch: rate'"),
        ("99999999999: 0.1\n", "is not 'epoch: rate'"),
        ("0: 0.1\n5: 0.01\n5: -1\n", "has epoch 5 after 5; epochs must ascend"),
        ("0: 0.1\n5: -1\n9: 0.1\n", "line 3 .* follows the end"),
        ("2: 0.1\n5: -1\n", "begins with epoch 2, training with 1; begin it with a line '1: RATE'"),
        (b"\xff\xfe0", "cannot be read"),
        (b"#" * (1 << 20) + b"#", "larger than 1 MiB"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataFileError, match=message):
        ScheduleFile.read(_file(tmp_path, text))


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="cannot be read"):
        ScheduleFile.read(tmp_path / "none.txt")


def test_facenets_decay(tmp_path: Path) -> None:
    plain = FacenetDecay(0.1, every=4, factor=0.5)
    assert [plain.rate(e) for e in (0, 3.99, 4, 8)] == [0.1, 0.1, 0.05, 0.025]
    over = FacenetDecay(ScheduleFile.read(_file(tmp_path, CASIA)), every=50, factor=0.5)
    assert over.rate(50) == 0.025
    assert over.rate(90) is None


def test_cosine() -> None:
    schedule = Cosine(0.2, epochs=10, least=0.1)
    assert schedule.rate(0) == pytest.approx(0.2)
    assert schedule.rate(5) == pytest.approx(0.15)
    assert schedule.rate(2.5) == pytest.approx(0.1 + 0.1 * (1 + math.sqrt(0.5)) / 2)
    assert schedule.rate(10) is None


def test_poly_and_steps() -> None:
    assert [Poly(0.1, 10).rate(e) for e in (0, 5, 9, 10)] == [
        0.1, pytest.approx(0.025), pytest.approx(0.001), None,
    ]  # fmt: skip
    steps = Steps(1.0, 10, at=(2, 5), factor=0.5)
    assert [steps.rate(e) for e in (0, 1.9, 2, 4.9, 5, 9.9, 10)] == [
        1.0, 1.0, 0.5, 0.5, 0.25, 0.25, None,
    ]  # fmt: skip


def test_warmup() -> None:
    schedule = Warmup(Steps(0.8, 10, at=(3,)), epochs=4, start=0.25)
    assert [schedule.rate(e) for e in (0, 2, 4, 6.9, 7, 13.9, 14)] == [
        pytest.approx(0.2), pytest.approx(0.5), 0.8, 0.8, pytest.approx(0.08),
        pytest.approx(0.08), None,
    ]  # fmt: skip
    assert Warmup(Cosine(0.1, 5), epochs=0).rate(0) == 0.1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cosine(0.0, 5),
        lambda: Cosine(0.1, 5, least=0.2),
        lambda: Poly(0.1, 0),
        lambda: Steps(0.1, 5, at=(3, 2)),
        lambda: Warmup(Cosine(0.1, 5), epochs=-1),
        lambda: FacenetDecay(-0.1),
        lambda: FacenetDecay(math.nan),
    ],
)
def test_impossible_schedules_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(RangeError):
        make()


def _after_two_steps(name: str, gradients: tuple[float, float]) -> float:
    weight = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimiser = make_optimiser(name, [weight], 0.1)
    for gradient in gradients:
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimiser.step()
    return weight.item()


def test_optimisers_step_as_facenets() -> None:
    a, b = 0.5, 0.25
    # TensorFlow's Adagrad: the accumulator begins at 0.1.
    one = 1.0 - 0.1 * a / math.sqrt(0.1 + a * a)
    assert _after_two_steps("ADAGRAD", (a, b)) == pytest.approx(
        one - 0.1 * b / math.sqrt(0.1 + a * a + b * b)
    )
    # Nesterov: v = 0.9 v + g; w -= rate (g + 0.9 v).
    v1 = a
    v2 = 0.9 * v1 + b
    assert _after_two_steps("MOM", (a, b)) == pytest.approx(
        1.0 - 0.1 * (a + 0.9 * v1) - 0.1 * (b + 0.9 * v2)
    )
    # Adam, epsilon 0.1.
    m, s, w = 0.0, 0.0, 1.0
    for t, g in enumerate((a, b), 1):
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
        w -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(s / (1 - 0.999**t)) + 0.1)
    assert _after_two_steps("adam", (a, b)) == pytest.approx(w)
    # Adadelta, rho 0.9, epsilon 1e-6.
    s, d, w = 0.0, 0.0, 1.0
    for g in (a, b):
        s = 0.9 * s + 0.1 * g * g
        step = math.sqrt(d + 1e-6) / math.sqrt(s + 1e-6) * g
        d = 0.9 * d + 0.1 * step * step
        w -= 0.1 * step
    assert _after_two_steps("ADADELTA", (a, b)) == pytest.approx(w)
    # RMSProp, decay and momentum 0.9, epsilon 1.
    s, v, w = 0.0, 0.0, 1.0
    for g in (a, b):
        s = 0.9 * s + 0.1 * g * g
        v = 0.9 * v + g / (math.sqrt(s) + 1.0)
        w -= 0.1 * v
    assert _after_two_steps("RMSPROP", (a, b)) == pytest.approx(w)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_learns(name: str) -> None:
    torch.manual_seed(0)
    frozen = torch.nn.Parameter(torch.ones(1), requires_grad=False)
    weight = torch.nn.Parameter(torch.full((3,), 2.0))
    optimiser = make_optimiser(name, [weight, frozen], 0.05, weight_decay=0.01)
    assert len(optimiser.param_groups[0]["params"]) == 1
    assert optimiser.param_groups[0]["weight_decay"] == 0.01
    before = weight.square().sum().item()
    for _ in range(5):
        optimiser.zero_grad()
        weight.square().sum().backward()
        optimiser.step()
    assert weight.square().sum().item() < before
    set_rate(optimiser, 0.0)
    held = weight.detach().clone()
    weight.square().sum().backward()
    optimiser.step()
    assert torch.equal(weight, held)


@pytest.mark.parametrize(
    ("name", "rate", "decay", "message"),
    [
        ("LION", 0.1, 0.0, "no optimiser is called 'LION'; choose one of ADAGRAD"),
        ("SGD", 0.0, 0.0, "learning rate must be positive, got 0"),
        ("SGD", 0.1, -1.0, "at least 0, got -1"),
    ],
)
def test_impossible_optimisers_are_refused(
    name: str, rate: float, decay: float, message: str
) -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(RangeError, match=message):
        make_optimiser(name, [weight], rate, weight_decay=decay)
