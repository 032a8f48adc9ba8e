"""Int8 codes: the integer product, the proven error, and falling back without them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from vultus.errors import InferenceError
from vultus.gallery.search import int8 as _int8
from vultus.gallery.search.int8 import BLOCK_ROWS, Screen, join, quantise
from vultus.gallery.search.product import integer_product


def units(rows: int, dimension: int, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def cosines(
    screen: Screen, queries: NDArray[np.float32], block: _int8.Block
) -> NDArray[np.float64]:
    codes = screen.encode(queries)
    out = np.empty((len(queries), len(block)), dtype=np.float32)
    screen.score(codes, block, out)
    return out * codes.units[:, None] + codes.zeros[:, None]


def test_integer_product_by_hand() -> None:
    a = np.array([[1, 2], [255, 0]], dtype=np.uint8)
    b = np.array([[3, -4, 127], [5, 6, -128]], dtype=np.int8)
    expected = [[13, 8, -129], [765, -1020, 32385]]
    assert integer_product().run({"a": a, "b": b})[0].tolist() == expected


def test_the_network_is_valid_onnx() -> None:
    onnx = pytest.importorskip("onnx")
    from unittest.mock import patch

    with patch("vultus.gallery.search.product.Session") as session:
        integer_product.__wrapped__()
    model = onnx.load_from_string(session.call_args.args[0])
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["MatMulInteger"]


def test_quantised_by_hand() -> None:
    vectors = np.array([[0.6, 0.8], [1.0, 0.0]], dtype=np.float32)
    block = quantise(vectors, np.zeros(2, dtype=np.float32))
    assert block.codes.tolist() == [[95, 127], [127, 0]]  # 0.6 / 0.8 · 127 = 95.25
    assert block.scales == pytest.approx([0.8 / 127, 1 / 127])
    assert block.offsets == pytest.approx([0.8 / 127 * 222, 1.0])
    assert block.error == pytest.approx(0.25 * 0.8 / 127, rel=2e-3)
    assert block.reach == pytest.approx(1.0, rel=3e-3)


def test_a_row_at_the_centre_is_no_division_by_zero() -> None:
    centre = units(1, 8)[0]
    block = quantise(np.stack([centre, -centre]), centre)
    assert block.codes[:, 0].tolist() == [0] * 8
    screen = Screen(8, peak=127, share=1.0)
    screen.cover(np.repeat(centre[None], BLOCK_ROWS, axis=0))
    found = cosines(screen, np.stack([centre, -centre]), block)
    assert found == pytest.approx(np.array([[1, -1], [-1, 1]]), abs=0.03)


@settings(max_examples=60, deadline=None)
@given(
    vectors=hnp.arrays(
        np.float32, (40, 6), elements=st.floats(-1, 1, width=32, allow_subnormal=False)
    ),
    centre=hnp.arrays(np.float32, 6, elements=st.floats(-1, 1, width=32, allow_subnormal=False)),
    peak=st.sampled_from([63, 127]),
)
def test_no_score_is_further_off_than_promised(
    vectors: NDArray[np.float32], centre: NDArray[np.float32], peak: int
) -> None:
    lengths = np.linalg.norm(vectors, axis=1)
    vectors = vectors[lengths > 1e-3] / lengths[lengths > 1e-3, None]
    if len(vectors) < 4:
        return
    screen = Screen(6, peak=peak)
    screen._centre = centre.astype(np.float64)
    block = quantise(vectors, centre)
    queries = vectors[:4]
    truth = queries.astype(np.float64) @ vectors.astype(np.float64).T
    codes = screen.encode(queries)
    off = np.abs(cosines(screen, queries, block) - truth)
    assert (off.max(axis=1) <= screen.error(codes, [block])).all()


def test_the_promise_is_worth_something() -> None:
    # About 1/127 of a vector's largest numbers, in each coordinate: 0.02 for faces of 512.
    vectors = units(BLOCK_ROWS, 512)
    screen = Screen(512, peak=127, share=1.0)
    (block,) = screen.cover(vectors)
    codes = screen.encode(units(8, 512, seed=1))
    assert 0.01 < screen.error(codes, [block]).max() < 0.03
    off = cosines(screen, units(8, 512, seed=1), block) - units(8, 512, seed=1) @ vectors.T
    assert np.abs(off).max() < 0.005
    # A common direction is taken out first, which leaves little to quantise.
    leaning = vectors * np.float32(0.1) + units(1, 512, seed=2)
    leaning /= np.linalg.norm(leaning, axis=1, keepdims=True)
    screen = Screen(512, peak=127, share=1.0)
    (block,) = screen.cover(leaning)
    assert block.error < 0.002


def test_single_queries_and_batches_score_alike() -> None:
    vectors, queries = units(BLOCK_ROWS, 40), units(5, 40, seed=1)
    screen = Screen(40, peak=127, share=1.0)
    (block,) = screen.cover(vectors)
    together = cosines(screen, queries, block)
    alone = np.concatenate([cosines(screen, query[None], block) for query in queries])
    assert np.allclose(together, alone, rtol=0, atol=1e-12)


def test_blocks_are_made_once_and_only_whole() -> None:
    vectors = units(2 * BLOCK_ROWS + 10, 8)
    screen = Screen(8, peak=127, share=1.0)
    assert screen.cover(vectors[: BLOCK_ROWS - 1]) == ()
    (first,) = screen.cover(vectors[: BLOCK_ROWS + 5])
    assert screen.cover(vectors)[0] is first
    assert len(screen.cover(vectors)) == 2
    assert screen.cover(vectors[: BLOCK_ROWS + 5]) == (first,)  # an older snapshot's
    assert screen.nbytes == 2 * BLOCK_ROWS * (8 + 8)
    assert screen.renewed().nbytes == 0


def test_joined_codes_are_those_of_the_rows() -> None:
    vectors = units(3 * BLOCK_ROWS, 8)
    screen = Screen(8, peak=127, share=1.0)
    blocks = screen.cover(vectors)
    rows = np.array([0, 5, BLOCK_ROWS - 1, 2 * BLOCK_ROWS, 3 * BLOCK_ROWS - 1])
    joined = join(blocks, rows)
    assert joined.codes.flags.c_contiguous
    queries = units(3, 8, seed=1)
    every = np.concatenate([cosines(screen, queries, b) for b in blocks], axis=1)
    assert (cosines(screen, queries, joined) == every[:, rows]).all()


# -- where codes do not pay -------------------------------------------------------------------


def test_a_slow_or_wrong_product_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = units(BLOCK_ROWS, 64)
    times = iter([2.0, 1.0])  # the integer product, then the float one
    monkeypatch.setattr(_int8, "_least_s", lambda _: next(times))
    assert Screen(64, share=1.0).cover(vectors) == ()
    times = iter([1.0, 2.0])
    assert len(Screen(64, share=1.0).cover(vectors)) == 1
    monkeypatch.setattr(_int8, "_is_right", lambda *_: False)
    times = iter([1.0, 2.0])
    assert Screen(64, share=1.0).cover(vectors) == ()


def test_a_processor_that_saturates_gets_shorter_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_int8, "_is_right", lambda _session, peak, _dimension: peak < 100)
    times = iter([1.0, 2.0])
    monkeypatch.setattr(_int8, "_least_s", lambda _: next(times))
    screen = Screen(64, share=1.0)
    screen.cover(units(BLOCK_ROWS, 64))
    assert screen._peak == 63
    assert screen.encode(units(3, 64)).codes.max() <= 2 * 63 + 1


def test_a_runtime_that_fails_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise InferenceError("no such operator")

    monkeypatch.setattr(_int8, "integer_product", fail)
    assert Screen(64, share=1.0).cover(units(BLOCK_ROWS, 64)) == ()


def test_this_machine_multiplies_rightly() -> None:
    assert _int8._is_right(integer_product(), 63, 512)


def test_codes_stay_within_their_share() -> None:
    vectors = units(10 * BLOCK_ROWS, 16)
    screen = Screen(16, peak=127, share=0.2)
    blocks = screen.cover(vectors)  # a block takes 24 bytes a row, a vector 64
    assert len(blocks) == 5
    assert screen.nbytes <= 0.2 * vectors.nbytes
