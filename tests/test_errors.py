from __future__ import annotations

import inspect
import pickle
import re

import pytest

from vultus import errors
from vultus.errors import (
    ImageNotFoundError,
    NoFaceError,
    ShapeError,
    SpaceMismatchError,
    VultusError,
)

EVERY = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, VultusError)
]


def _drawn() -> list[tuple[int, str, str | None]]:
    """(depth, class, code or None) of each line of the tree in the module's docstring."""
    assert errors.__doc__ is not None
    rows = []
    for line in errors.__doc__.splitlines():
        found = re.match(r"^    ((?:[│ ]   )*(?:[├└]── )?)(\w+Error)\b\s*(.*)$", line)
        if found:
            indent, name, rest = found.groups()
            code = rest if re.fullmatch(r"[a-z]+(-[a-z]+)*", rest) else None
            rows.append((len(indent) // 4, name, code))
    return rows


def test_the_drawn_tree_is_the_real_one():
    real: dict[str, str] = {cls.__name__: cls.__mro__[1].__name__ for cls in EVERY}
    drawn: dict[str, str] = {}
    path: list[str] = []
    for depth, name, _ in _drawn():
        path = [*path[:depth], name]
        drawn[name] = path[-2] if depth else "Exception"
    assert drawn == real


def test_the_drawn_codes_are_the_real_ones():
    codes = {cls.__name__: cls.code for cls in EVERY}
    for _, name, code in _drawn():
        if code is not None:
            assert codes[name] == code
    leaves = {cls.__name__ for cls in EVERY if not cls.__subclasses__()}
    assert leaves == {name for _, name, code in _drawn() if code is not None}


def test_codes_are_unique_and_stable_in_form():
    codes = [cls.code for cls in EVERY]
    assert len(set(codes)) == len(codes)
    for code in codes:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)


def test_everything_is_exported():
    assert set(errors.__all__) == {cls.__name__ for cls in EVERY}


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_survives_pickling(cls: type[VultusError]):
    error = cls("three is not two", remedy="count again", expected=2, actual=(3, "x"))
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is cls
    assert (again.message, again.remedy) == ("three is not two", "count again")
    assert again.fields == {"expected": 2, "actual": (3, "x")}
    assert again.code == cls.code
    assert str(again) == str(error) == "three is not two; count again"


def test_remedy_of_the_class_holds_until_another_is_given():
    assert NoFaceError("none").remedy == NoFaceError.remedy != ""
    assert str(NoFaceError("none")) == f"none; {NoFaceError.remedy}"
    assert str(NoFaceError("none", remedy="")) == "none"
    assert str(ShapeError("wrong")) == "wrong"


def test_caught_by_their_branch():
    with pytest.raises(errors.ImageError):
        raise ImageNotFoundError("gone", path="/x")
    with pytest.raises(errors.InputError):
        raise ImageNotFoundError("gone")
    assert not issubclass(SpaceMismatchError, errors.InputError)
