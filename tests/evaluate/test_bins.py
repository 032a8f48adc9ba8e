"""Five-file ``.bin`` sets: what is read, what is refused, and figures by hand."""

from __future__ import annotations

import collections
import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus.errors import DataFileError, InsufficientDataError
from vultus.evaluate.embeddings import EmbeddedPictures
from vultus.evaluate.protocols.bins import BinSet, evaluate_bin, read_bin

PICTURES = [b"one", b"two", b"three", b"four"]
SAME = [True, False]


def _file(folder: Path, data: bytes) -> Path:
    path = folder / "lfw.bin"
    path.write_bytes(data)
    return path


def _python_2() -> bytes:
    """Protocol 2 as Python 2 writes it: a tuple of two lists, text as SHORT_BINSTRING."""
    strings = b"".join(b"U" + bytes([len(p)]) + p + b"q\x01" for p in PICTURES)
    return b"\x80\x02]q\x00(" + strings + b"e]q\x02(\x88\x89e\x86q\x03."


def _python_2_protocol_0() -> bytes:
    return (
        b"((lp0\n" + b"".join(b"S'" + p + b"'\np1\na" for p in PICTURES) + b"(lp2\nI01\naI00\nat."
    )


# -- what is read -------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_python_3(tmp_path: Path, protocol: int) -> None:
    found = read_bin(_file(tmp_path, pickle.dumps((PICTURES, SAME), protocol=protocol)))
    assert found.pictures == tuple(PICTURES)
    assert found.same.tolist() == SAME
    assert found.name == "lfw"


@pytest.mark.parametrize("data", [_python_2(), _python_2_protocol_0()], ids=["2", "0"])
def test_files_of_python_2(tmp_path: Path, data: bytes) -> None:
    assert pickle.loads(data, encoding="bytes") == (PICTURES, SAME)  # noqa: S301 - our own
    found = read_bin(_file(tmp_path, data))
    assert (found.pictures, found.same.tolist()) == (tuple(PICTURES), SAME)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_arrays_as_cv2_imencode_makes_them(tmp_path: Path, protocol: int) -> None:
    arrays = [np.frombuffer(p, np.uint8)[:, None] for p in PICTURES]
    for same in (np.array(SAME), SAME, list(np.array(SAME)), (1, 0)):
        data = pickle.dumps([arrays, same], protocol=protocol)
        if protocol == 0 and same is not SAME and not isinstance(same, tuple):
            continue  # NumPy's own booleans are written by protocol 2 in all known files
        found = read_bin(_file(tmp_path, data))
        assert (found.pictures, found.same.tolist()) == (tuple(PICTURES), SAME)


def test_long_pictures(tmp_path: Path) -> None:
    long = [os.urandom(70_000), b"x" * 300, b"", b"y"]
    for protocol in (2, 3, 4):
        data = pickle.dumps((long, SAME), protocol=protocol)
        assert read_bin(_file(tmp_path, data)).pictures == tuple(long)


# -- what is refused ----------------------------------------------------------------------------


class _Run:
    def __reduce__(self):
        return os.system, ("touch hostile",)


class _Evaluate:
    def __reduce__(self):
        return eval, ("1",)


HOSTILE = {
    "posix.system": pickle.dumps((PICTURES, SAME, _Run()), protocol=2),
    "builtins.eval": pickle.dumps((PICTURES, [_Evaluate()]), protocol=4),
    "os.system": b"cos\nsystem\n(S'touch hostile'\ntR.",
    "builtins.getattr": b"cbuiltins\ngetattr\n.",
    "collections.OrderedDict": pickle.dumps(collections.OrderedDict(a=1), protocol=2),
    "numpy.memmap": b"cnumpy\nmemmap\n.",
    "numpy.core.multiarray.fromfile": b"cnumpy.core.multiarray\nfromfile\n.",
    "pickle opcode EMPTY_DICT": pickle.dumps({}, protocol=2),
    "pickle opcode PERSID": b"Pabc\n.",
    "pickle opcode INST": b"(S'x'\nios\nsystem\n.",
    "pickle opcode OBJ": b"(cnumpy\nndarray\no.",
    "pickle opcode NEWOBJ": b"cnumpy\nndarray\n)\x81.",
    "pickle opcode EXT1": b"\x82\x01.",
    "pickle opcode NEXT_BUFFER": b"\x80\x05\x97.",
    "pickle opcode FLOAT": b"F1.5\n.",
    "call of numpy.dtype with O8": b"cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR.",
    "call of numpy.ndarray with int": b"cnumpy\nndarray\n(I1000000000000\ntR.",
    "call of _codecs.encode with abc": b"c_codecs\nencode\n(Vabc\nVrot13\ntR.",
    "call of what is no name": b"S'x'\n(tR.",
    "state of what is no array": b"](I1\nlb.",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_pickles_are_refused_by_name_and_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataFileError) as told:
        read_bin(_file(tmp_path, HOSTILE[what]))
    assert told.value.fields["refused"] == what
    assert "needs no " + what in told.value.message
    assert not (tmp_path / "hostile").exists()


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    objects = np.array([_Run(), None], object)
    with pytest.raises(DataFileError):
        read_bin(_file(tmp_path, pickle.dumps(([objects], [True]), protocol=2)))
    with pytest.raises(DataFileError, match=r"array of anything but|numpy\.dtype with f8"):
        read_bin(_file(tmp_path, pickle.dumps(([np.zeros(3)], [True]), protocol=2)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle at all",
        pickle.dumps((PICTURES, SAME), protocol=2)[:-1],
        pickle.dumps((PICTURES, SAME), protocol=4)[:40],
        b"\x80\x02a.",
        b"\x80\x02(.",
        b"\x80\x02h\x05.",
        b"\x80\x02" + b"B" + struct.pack("<I", 2**31) + b"short.",
        b"\x80\x04" + b"\x8e" + struct.pack("<Q", 2**62) + b"short.",
        b"\x80\x02]]e.",
        b"e.",
        b"0.",
        b"\x85.",
    ],
)
def test_damaged_files(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DataFileError, match=r"lfw\.bin (is|must)"):
        read_bin(_file(tmp_path, data))


def test_nested_bombs_end_at_once(tmp_path: Path) -> None:
    # A list that holds the list before it twice, 60 times over: 2**60 items if written out.
    bomb = b"]" + b"q\x00]q\x01(h\x00h\x00e" * 1
    for _ in range(60):
        bomb += b"q\x00](h\x00h\x00e"
    for end in (b"]\x86.", b"cnumpy\ndtype\n" + b"(h\x00tR."):
        with pytest.raises(DataFileError):
            read_bin(_file(tmp_path, b"\x80\x02" + bomb + end))


def test_one_picture_named_again_and_again_is_bounded(tmp_path: Path) -> None:
    picture = b"x" * 10_000
    data = pickle.dumps(([picture] * 2000, [True] * 1000), protocol=4)
    assert len(data) < 20_000
    assert len(read_bin(_file(tmp_path, data)).pictures) == 2000
    with pytest.raises(DataFileError, match="add up to more than 1,000,000 bytes"):
        read_bin(_file(tmp_path, data), max_bytes=1_000_000)
    array = np.frombuffer(picture, np.uint8)
    data = pickle.dumps(([array] * 2000, [True] * 1000), protocol=4)
    with pytest.raises(DataFileError, match="add up to more than 1,000,000 bytes"):
        read_bin(_file(tmp_path, data), max_bytes=1_000_000)


def test_limits_on_size(tmp_path: Path) -> None:
    path = _file(tmp_path, pickle.dumps((PICTURES, SAME), protocol=2))
    size = path.stat().st_size
    with pytest.raises(DataFileError, match=rf"has {size} bytes, more than the 10"):
        read_bin(path, max_bytes=10)
    with pytest.raises(DataFileError, match="cannot be read"):
        read_bin(tmp_path / "gone.bin")
    big = pickle.dumps(([b"x" * (16 * 1024**2 + 1), b""], [True]), protocol=3)
    with pytest.raises(DataFileError, match="picture 0 has 16,777,217 bytes"):
        read_bin(_file(tmp_path, big))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([PICTURES], "must hold two lists"),
        (PICTURES, "must hold two lists"),
        ((PICTURES, [True]), "got 4 pictures and 1 labels"),
        (([], []), "got 0 pictures and 0 labels"),
        ((PICTURES, [1, 2]), "must end with a list of booleans"),
        ((PICTURES, [True, None]), "must end with a list of booleans"),
        ((PICTURES, np.zeros((2, 1), bool)), "must end with a list of booleans"),
        ((PICTURES, np.zeros(2, np.uint8)), "must end with a list of booleans"),
        ((b"abcd", SAME), "must begin with a list of pictures"),
        (([*PICTURES[:3], True], SAME), "picture 3 must be bytes"),
        (([*PICTURES[:3], np.zeros(3, bool)], SAME), "picture 3 must be bytes"),
    ],
)
def test_contents_that_are_no_set(tmp_path: Path, value: object, said: str) -> None:
    with pytest.raises(DataFileError, match=said):
        read_bin(_file(tmp_path, pickle.dumps(value, protocol=2)))


# -- figures ------------------------------------------------------------------------------------


def test_figures_by_hand() -> None:
    same = np.array([True, False] * 10)
    # Angles between the pictures of a pair: 10 degrees for one person, 90 for two, but for one.
    angles = np.where(same, 10.0, 90.0)
    angles[0] = 100.0
    vectors = np.empty((40, 2))
    vectors[0::2] = (1.0, 0.0)
    vectors[1::2] = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=1)

    def embed(sources, *, points=None):
        assert points is None
        return EmbeddedPictures.of(vectors[[int(source) for source in sources]], "by-hand")

    pairs = BinSet("x", tuple(str(i).encode() for i in range(40)), same)
    found = evaluate_bin(pairs, embed)
    assert found.figures.accuracy == pytest.approx(0.95)  # one of twenty
    assert found.figures.fold_accuracies == (0.5, *[1.0] * 9)
    assert found.figures.auc == pytest.approx(0.9)
    assert (found.name, found.rejected, found.space) == ("x", 0, "by-hand//2/")
    assert found.to_dict()["figures"]["accuracy"] == pytest.approx(0.95)


def _crop(seed: int) -> bytes:
    """A crop of a face only in so far as it has its size."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (7, 7, 3), np.uint8))
    file = io.BytesIO()
    small.resize((112, 112), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def test_from_crops(tmp_path: Path) -> None:
    pictures, same = [], []
    for i in range(20):
        same.append(i % 2 == 0)
        pictures += [_crop(i), _crop(i if same[-1] else i + 100)]
    pictures[0] = b"no picture"
    found = evaluate_bin(read_bin(_file(tmp_path, pickle.dumps((pictures, same), protocol=2))))
    assert found.rejected == 1
    (told,) = found.failures
    assert told.startswith("picture 0: ")
    assert found.figures.pairs == 20
    assert found.figures.accuracy == pytest.approx(0.95)  # equal crops are equal, but for the lost
    assert found.space == "dlib-resnet-v1/fd107ddb6263/128/dlib-10+mirror"


def test_too_few_pairs() -> None:
    def embed(sources, *, points=None):
        return EmbeddedPictures.of(np.ones((len(sources), 2)), "x")

    with pytest.raises(InsufficientDataError, match="4 pairs cannot be cut into 10 folds"):
        evaluate_bin(BinSet("x", (b"",) * 8, np.array([True, False] * 2)), embed)
