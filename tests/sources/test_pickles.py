"""What a pickle may hold in each vocabulary, and that nothing in one is ever run."""

from __future__ import annotations

import collections
import os
import pickle
import struct
import subprocess
import time

import numpy as np
import pytest

from vultus.errors import DataFileError
from vultus.sources.pickles import (
    EMBEDDINGS,
    MODEL_AND_NAMES,
    PICTURES,
    InertArray,
    Opaque,
    Vocabulary,
    read_inert,
    read_inert_all,
)

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def plain(value):
    """Arrays in place of what stands for them."""
    if isinstance(value, InertArray):
        return value.values
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


def read(value: object, protocol: int = 4, vocabulary: Vocabulary = EMBEDDINGS):
    return plain(read_inert(pickle.dumps(value, protocol=protocol), "x.pkl", vocabulary))


# -- what is read -------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_comes_back_as_it_was(protocol: int) -> None:
    value = {
        "names": ["Ann", "Béa 王"],
        "floats": [0.5, -1e300, float("inf"), 2.0**-1074],
        "numbers": (1, -2, 2**40, -(2**90)),
        7: [True, False, None, {}],
        "pairs": [("a", {"b": (1.5,)}), []],
    }
    assert read(value, protocol) == value


@pytest.mark.parametrize("count", [1, 2, 999, 1000, 1001, 2500])
@pytest.mark.parametrize("protocol", [1, 4])
def test_long_lists_of_floats(count: int, protocol: int) -> None:
    floats = np.random.default_rng(count).standard_normal(count).tolist()
    assert read([floats, "G", floats[:1], 1], protocol) == [floats, "G", floats[:1], 1]


def test_a_million_floats_take_no_minute() -> None:
    rows = np.random.default_rng(0).standard_normal((244, 4096)).tolist()
    data = pickle.dumps(rows)
    began = time.perf_counter()
    assert read_inert(data, "x.pkl", EMBEDDINGS) == rows
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.linspace(-1, 1, 6),
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([[1, 2], [3, 4]], "<i2"),
        np.array(["Ann", "Béa 王", ""]),
        np.array([b"ab", b"c"]),
        np.array(2.5),
        np.zeros((0, 128), np.float32),
        np.arange(8.0)[::2],
    ],
    ids=lambda array: f"{array.dtype.str}-{array.ndim}",
)
def test_arrays(array: np.ndarray, protocol: int) -> None:
    found = read([array, array], protocol)
    for one in found:
        assert (one.dtype, one.shape) == (array.dtype, array.shape)
        assert (one == array).all()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_scalars_of_numpy(protocol: int) -> None:
    value = [np.float64(0.1), np.float32(0.5), np.int64(-3), np.str_("Béa"), np.bool_(True)]
    assert read(value, protocol) == [0.1, 0.5, -3, "Béa", True]


def test_strings_of_python_2_are_bytes() -> None:
    assert read_inert(b"(dp0\nS'Ann'\np1\nF0.5\ns.", "x", EMBEDDINGS) == {b"Ann": 0.5}


def test_pickles_one_after_the_other() -> None:
    data = pickle.dumps(["Ann"]) + pickle.dumps([0.5], protocol=2)
    assert read_inert_all(data, "x", EMBEDDINGS) == [["Ann"], [0.5]]
    assert read_inert(data, "x", EMBEDDINGS) == ["Ann"]
    with pytest.raises(DataFileError, match="x must hold few pickles, not over 16"):
        read_inert_all(pickle.dumps(1) * 17, "x", EMBEDDINGS)
    with pytest.raises(DataFileError, match="pickle exhausted before seeing STOP"):
        read_inert_all(data[:-1], "x", EMBEDDINGS)


def test_a_model_is_stepped_over_and_its_data_kept() -> None:
    svm = pytest.importorskip("sklearn.svm", reason="pip install 'vultus[evaluate]'")
    model = svm.SVC(kernel="linear").fit(np.eye(4), [0, 0, 1, 1])
    for protocol in PROTOCOLS:
        found, names = read_inert(
            pickle.dumps((model, ["Ann", "Bob"]), protocol=protocol), "x", MODEL_AND_NAMES
        )
        assert isinstance(found, Opaque)
        assert found.name == "sklearn.svm._classes.SVC"
        assert names == ["Ann", "Bob"]
        assert plain(found.state["support_vectors_"]).shape == model.support_vectors_.shape
        with pytest.raises(DataFileError) as told:
            read_inert(pickle.dumps(model, protocol=protocol), "x", EMBEDDINGS)
        assert "sklearn" in str(told.value.fields["refused"]) or protocol < 2


# -- what is refused ----------------------------------------------------------------------------


class _Calls:
    """Pickles as a call of anything."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


TOUCH = "touch hostile"
CALLS = {
    "os.system": (os.system, TOUCH),
    "eval": (eval, "__import__('os').system('touch hostile')"),
    "exec": (exec, "__import__('os').system('touch hostile')"),
    "getattr": (getattr, "x", "upper"),
    "import": (__import__, "antigravity"),
    "open": (open, "hostile", "w"),
    "popen": (subprocess.Popen, TOUCH),
    "numpy.load": (np.load, "hostile", None, True),
    "numpy.fromfile": (np.fromfile, "hostile"),
    "numpy.memmap": (np.memmap, "hostile", "u1", "w+", 0, (9,)),
    "bytearray": (bytearray, 10**12),
    "defaultdict": (collections.defaultdict, list),
    "pickle.loads": (pickle.loads, pickle.dumps(1)),
    "Opaque": (Opaque, "x"),
}


@pytest.mark.parametrize("vocabulary", [PICTURES, EMBEDDINGS, MODEL_AND_NAMES])
@pytest.mark.parametrize("what", CALLS)
def test_calls_are_refused_by_the_name_they_wanted(
    what: str, vocabulary: Vocabulary, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    function, *arguments = CALLS[what]
    wanted = f"{function.__module__}.{function.__qualname__}"
    for protocol in (2, 4, 5):
        data = pickle.dumps([_Calls(function, *arguments)], protocol=protocol, fix_imports=False)
        with pytest.raises(DataFileError) as told:
            read_inert(data, "x.pkl", vocabulary)
        assert str(told.value.fields["refused"]).startswith(wanted.partition(".")[0])
        assert told.value.fields["refused"] in {wanted, *(wanted.replace("nt.", "posix."),)}
        assert f"x.pkl is refused: {vocabulary.what} needs no" in told.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_call_deep_within_arrays_and_models_is_refused() -> None:
    hidden = np.array([_Calls(os.system, TOUCH)], object)
    for value in (hidden, {"a": [hidden]}, {"encodings": [np.zeros(3), _Calls(eval, "1")]}):
        for vocabulary in (PICTURES, EMBEDDINGS, MODEL_AND_NAMES):
            with pytest.raises(DataFileError):
                read_inert(pickle.dumps(value), "x", vocabulary)
    # Between the class of a model and its state.
    model = b"csklearn.svm._classes\nSVC\n)\x81}(X\x01\x00\x00\x00a"
    data = model + b"cposix\nsystem\nX\x01\x00\x00\x00x\x85Rub."
    with pytest.raises(DataFileError) as told:
        read_inert(b"\x80\x02" + data, "x", MODEL_AND_NAMES)
    assert told.value.fields["refused"] == "posix.system"


OPCODES = {
    "pickle opcode PERSID": b"Pabc\n.",
    "pickle opcode BINPERSID": b"\x80\x02U\x03abcQ.",
    "pickle opcode INST": b"(S'x'\nios\nsystem\n.",
    "pickle opcode OBJ": b"(cnumpy\nndarray\no.",
    "pickle opcode EXT1": b"\x82\x01.",
    "pickle opcode EXT2": b"\x83\x01\x00.",
    "pickle opcode EXT4": b"\x84\x01\x00\x00\x00.",
    "pickle opcode NEWOBJ_EX": b"\x80\x04)}\x92.",
    "pickle opcode EMPTY_SET": b"\x80\x04\x8f.",
    "pickle opcode NEXT_BUFFER": b"\x80\x05\x97.",
    "state of what is no array": b"}}b.",
    "call of what is no name": b"}(tR.",
    "key of type tuple": b"})Ns.",
    "key of type list": b"}]Ns.",
    "key of type float": b"}F0.5\nNs.",
    "key of type int": b"}L2305843009213693951L\nNs.",
    "call of numpy.dtype with O8": b"cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR.",
    "call of numpy.dtype with V9": b"cnumpy\ndtype\n(S'V9'\nI00\nI01\ntR.",
    "call of numpy.dtype with U99999999": b"cnumpy\ndtype\n(S'U99999999'\nI00\nI01\ntR.",
    "call of numpy.dtype with f16": b"cnumpy\ndtype\n(S'f16'\nI00\nI01\ntR.",
    "call of numpy.ndarray with int": b"cnumpy\nndarray\n(I1000000000000\ntR.",
    "call of _codecs.encode with abc": b"c_codecs\nencode\n(Vabc\nVrot13\ntR.",
    "array of records": (
        b"cnumpy\ndtype\n(S'u1'\nI00\nI01\ntR(I3\nS'|'\nN(S'a'\ntNI-1\nI-1\nI0\ntb."
    ),
    "numpy.core.multiarray._reconstruct.__globals__": (
        b"\x80\x04\x8c\x15numpy.core.multiarray\x8c\x18_reconstruct.__globals__\x93."
    ),
    "numpy.testing._private.utils.runstring": b"cnumpy.testing._private.utils\nrunstring\n.",
    "numpy.load": b"cnumpy\nload\n.",
    "int.a": b"\x80\x04K\x01\x8c\x01a\x93.",
}


@pytest.mark.parametrize("what", OPCODES)
def test_opcodes_and_names_that_data_need_not_have(what: str) -> None:
    with pytest.raises(DataFileError) as told:
        read_inert(OPCODES[what], "x", EMBEDDINGS)
    assert told.value.fields.get("refused") == what
    # What stands for NumPy's own data is stepped over in a model; nothing else is.
    if not what.startswith(("call of numpy", "call of _codecs", "numpy.core")):
        with pytest.raises(DataFileError) as told:
            read_inert(OPCODES[what], "x", MODEL_AND_NAMES)
        assert told.value.fields.get("refused") == what


def test_new_objects_of_what_is_no_model_are_refused() -> None:
    for data in (b"cnumpy\nndarray\n)\x81.", b"])\x81."):
        with pytest.raises(DataFileError) as told:
            read_inert(data, "x", MODEL_AND_NAMES)
        assert told.value.fields["refused"] == "object of anything but a model"
        with pytest.raises(DataFileError) as told:
            read_inert(data, "x", EMBEDDINGS)
        assert told.value.fields["refused"] == "pickle opcode NEWOBJ"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        b"\x80\x02N",
        b"\x80\x02" + b"B" + struct.pack("<I", 2**31) + b"short.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"short.",
        b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"short.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"short.",
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"short.",
        b"\x80\x02\x8b" + struct.pack("<i", -1) + b".",
        b"L" + b"9" * 100_000 + b"L\n.",
        b"}(NNN" + b"u.",
        b"]]s.",
        b"}Na.",
        b"s.",
        b"G\x00\x00.",
        b"(G" + b"\x00" * 8 + b"G\x00.",
        # An array of 10**12 numbers with eight bytes for them.
        b"cnumpy.core.numeric\n_frombuffer\n(C\x08" + b"\0" * 8 + b"cnumpy\ndtype\n(S'f8'\ntR"
        b"L1000000000000L\nS'C'\ntR.",
        # With a negative side.
        b"cnumpy.core.numeric\n_frombuffer\n(C\x08" + b"\0" * 8 + b"cnumpy\ndtype\n(S'f8'\ntR"
        b"(I-1\ntS'C'\ntR.",
    ],
    ids=range(18),
)
def test_damaged_files_and_lies_about_sizes(data: bytes) -> None:
    began = time.perf_counter()
    with pytest.raises(DataFileError):
        read_inert(data, "x", EMBEDDINGS)
    assert time.perf_counter() - began < 2


def test_a_memo_number_of_two_billion_takes_no_memory() -> None:
    data = b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b"."
    assert read_inert(data, "x", EMBEDDINGS) is None


def test_bombs_of_memos_stay_small() -> None:
    # A list that holds the list before it twice, 60 times over: 2**60 items if written out.
    bomb = b"\x80\x02]q\x00" + b"q\x000](h\x00h\x00e" * 60 + b"."
    assert len(read_inert(bomb, "x", EMBEDDINGS)) == 2
    # One text of 100 kB, copied 5,000 times.
    text = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000
    call = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R0"
    with pytest.raises(DataFileError) as told:
        read_inert(b"\x80\x02" + text + b"q\x00" + call * 5000 + b".", "x", EMBEDDINGS)
    assert told.value.fields["refused"] == "more bytes than the file has"
    scalar = b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'S9999'\ntRh\x00tR0"
    raw = b"B" + struct.pack("<I", 9999) + b"a" * 9999 + b"q\x00"
    with pytest.raises(DataFileError) as told:
        read_inert(b"\x80\x03" + raw + scalar * 2000 + b".", "x", EMBEDDINGS)
    assert told.value.fields["refused"] == "more bytes than the file has"


def test_a_list_within_itself_and_one_100_000_deep() -> None:
    itself = read_inert(b"\x80\x02]q\x00h\x00a.", "x", EMBEDDINGS)
    assert itself[0] is itself
    deep = read_inert(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "x", EMBEDDINGS)
    assert len(deep) == 1


def test_too_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vultus.sources.pickles._MOST_OPCODES", 100)
    with pytest.raises(DataFileError) as told:
        read_inert(b"\x80\x02" + b"N0" * 60 + b".", "x", EMBEDDINGS)
    assert told.value.fields["refused"] == "more steps than a file of embeddings takes"


@pytest.mark.parametrize("order", ["<", ">"])
def test_text_beyond_unicode(order: str) -> None:
    """NumPy would make strings of it that end the interpreter."""
    array = np.array(["Ann", "Bob"], f"{order}U3")
    data = pickle.dumps([array, np.str_("Cid")], protocol=4)
    assert plain(read_inert(data, "x", EMBEDDINGS))[1] == "Cid"
    point = "A".encode(f"utf-32-{'le' if order == '<' else 'be'}")
    beyond = (0x110000).to_bytes(4, "little" if order == "<" else "big")
    for sound in (point, "C".encode("utf-32-le")):
        assert data.count(sound) == 1
        with pytest.raises(DataFileError, match="text has characters that do not exist"):
            read_inert(
                data.replace(sound, beyond if sound == point else b"\0\0\x11\0"), "x", EMBEDDINGS
            )
