from __future__ import annotations

import os
import threading
from collections.abc import Callable

import numpy as np
import pytest

from vultus.errors import InferenceError, RangeError
from vultus.models import Registry, Store
from vultus.runtime import Session, SessionOptions, default_threads, providers_that_ran
from vultus.runtime import onnx as room


@pytest.fixture(scope="module")
def weight() -> bytes:
    """The smallest shipped network: (n, 3, h, w) -> reg (n, 4, …), prob (n, 2, …)."""
    return Store().read(Registry().get("mtcnn"), "pnet")


@pytest.fixture(scope="module")
def session(weight: bytes) -> Session:
    return Session(weight, "pnet")


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, (1, 3, 32, 40)).astype(np.float32)


class TestOptions:
    def test_default_is_one_thread_on_the_cpu(self):
        assert SessionOptions() == SessionOptions(1, ("CPUExecutionProvider",))

    @pytest.mark.parametrize("threads", [0, -1])
    def test_too_few_threads(self, threads):
        with pytest.raises(RangeError, match=f"threads must be at least 1, got {threads}"):
            SessionOptions(threads=threads)


class TestDefaultThreads:
    def test_what_the_process_may_use(self):
        assert 1 <= default_threads() <= (os.cpu_count() or 1)

    def test_where_the_system_does_not_say(self, monkeypatch):
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: 6)
        assert default_threads() == 6
        monkeypatch.setattr(os, "cpu_count", lambda: None)
        assert default_threads() == 1


class TestSession:
    def test_what_is_known_of_a_network(self, session: Session):
        assert session.input_names == ("input",)
        assert set(session.output_names) == {"reg", "prob"}
        assert session.batch_size is None
        assert session.providers == ("CPUExecutionProvider",)

    def test_outputs_come_as_named(self, session: Session, picture):
        reg, prob = session.run({"input": picture}, ("reg", "prob"))
        again_prob, again_reg = session.run({"input": picture}, ("prob", "reg"))
        assert reg.shape == (1, 4, 11, 15)
        assert prob.shape == (1, 2, 11, 15)
        assert np.array_equal(reg, again_reg)
        assert np.array_equal(prob, again_prob)
        np.testing.assert_allclose(prob.sum(axis=1), 1.0, atol=1e-6)

    def test_all_outputs_when_none_is_named(self, session: Session, picture):
        every = session.run({"input": picture})
        named = session.run({"input": picture}, session.output_names)
        assert len(every) == 2
        assert all(np.array_equal(a, b) for a, b in zip(every, named, strict=True))

    def test_threads_do_not_change_the_answer(self, weight: bytes, session: Session, picture):
        two = Session(weight, "pnet", SessionOptions(threads=2))
        for a, b in zip(session.run({"input": picture}), two.run({"input": picture}), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)

    def test_shared_by_threads(self, session: Session, picture):
        (expected,) = session.run({"input": picture}, ("prob",))
        found: list[np.ndarray] = []

        def work() -> None:
            found.extend(session.run({"input": picture}, ("prob",))[0] for _ in range(5))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 40
        assert all(np.array_equal(expected, each) for each in found)

    @pytest.mark.parametrize("weight", [b"", b"hello", b"\x08\x07" * 50, bytes(1000)])
    def test_no_network(self, weight):
        with pytest.raises(InferenceError, match="ONNX Runtime cannot load some/net") as caught:
            Session(weight, "some/net")
        assert "vultus models verify" in caught.value.remedy
        assert caught.value.__cause__ is not None

    def test_cut_short(self, weight: bytes):
        with pytest.raises(InferenceError, match="cannot load pnet"):
            Session(weight[: len(weight) // 2], "pnet")

    def test_absent_provider_is_never_replaced(self, weight: bytes):
        options = SessionOptions(providers=("NoSuchExecutionProvider", "CPUExecutionProvider"))
        with pytest.raises(InferenceError) as caught:
            Session(weight, "pnet", options)
        assert caught.value.message == (
            "ONNX Runtime on this machine has no NoSuchExecutionProvider"
        )
        assert "CPUExecutionProvider" in caught.value.remedy
        assert "CPUExecutionProvider" in caught.value.fields["actual"]

    @pytest.mark.parametrize(
        "inputs",
        [
            {},
            {"image": np.zeros((1, 3, 32, 32), np.float32)},
            {"input": np.zeros((1, 3, 32, 32), np.float64)},
            {"input": np.zeros((1, 4, 32, 32), np.float32)},
            {"input": np.zeros((3, 32, 32), np.float32)},
        ],
        ids=["none", "name", "dtype", "channels", "rank"],
    )
    def test_inputs_the_network_does_not_take(self, session: Session, inputs):
        with pytest.raises(InferenceError, match="running pnet failed: "):
            session.run(inputs)

    def test_no_such_output(self, session: Session, picture):
        with pytest.raises(InferenceError, match="running pnet failed: "):
            session.run({"input": picture}, ("landmarks",))

    def test_a_fixed_batch_size_is_known(self, monkeypatch, weight: bytes):
        class Input:
            name = "input"
            shape = (4, 3, "h", "w")

        class Runtime:
            def get_inputs(self) -> list[type[Input]]:
                return [Input]

            def get_outputs(self) -> list[type[Input]]:
                return []

        fake: Callable[..., Runtime] = lambda *_, **__: Runtime()  # noqa: E731
        monkeypatch.setattr(room, "_open", fake)
        assert Session(weight, "net").batch_size == 4


def test_providers_that_ran(weight: bytes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blob = np.zeros((1, 3, 32, 32), np.float32)
    ran = providers_that_ran(weight, "pnet", {"input": blob}, SessionOptions())
    assert set(ran) == {"CPUExecutionProvider"}
    assert ran["CPUExecutionProvider"] >= 5  # five convolutions
    assert list(tmp_path.iterdir()) == []  # the profile is gone
