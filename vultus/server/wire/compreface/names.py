"""Subjects' names: what CompreFace allows, and how they are found whatever their case."""

from __future__ import annotations

from functools import cache

from vultus.errors import InputError
from vultus.gallery import Gallery
from vultus.gallery.base import clean_name
from vultus.server.wire.compreface.errors import CompreFaceError, bad_value

__all__ = ["check_new_name", "find_subject", "same_name", "storable_name"]

_MAX_UNITS = 50  # UTF-16, as Java counts
_FORBIDDEN = frozenset(";/\\")
_LEAPS = 64  # then ids are read page by page: many are nearly the same as the name
_PAGE = 1000


def check_new_name(name: object) -> str:
    """A subject's name out of a JSON body.

    Raises:
        CompreFaceError: It is missing or blank, longer than 50 characters (26), or holds a
            semicolon or a slash of either kind (36).
    """
    if name is None or (isinstance(name, str) and not name.strip()):
        raise bad_value("Subject name cannot be empty")
    if not isinstance(name, str):
        raise CompreFaceError(400, 0, "Subject name must be a text")
    if len(name.encode("utf-16-le", "surrogatepass")) // 2 > _MAX_UNITS:
        raise bad_value(f"Subject name size must be between 1 and {_MAX_UNITS}")
    if not _FORBIDDEN.isdisjoint(name):
        raise CompreFaceError(
            400, 36, "The name cannot contain the following special characters: ';', '/', '\\'"
        )
    return storable_name(name)


def storable_name(name: str) -> str:
    """A name as the gallery keeps it: trimmed, composed (NFC).

    Raises:
        CompreFaceError: The gallery does not keep such a name.
    """
    try:
        return clean_name(name, "a subject's name")
    except InputError as error:
        raise bad_value(error.message) from error


def find_subject(gallery: Gallery, name: str) -> str | None:
    """The id of the person with this name in whatever case; the same spelling comes first.

    A gallery tells cases apart. Its ids are in the order of code points, so the other spellings
    are looked for in leaps: to the least spelling of the name, from the id found there to the
    least spelling after it, and so on. That takes a few look-ups however many people there are.
    """
    try:
        wanted = clean_name(name)
    except InputError:
        return None
    if wanted in gallery:
        return wanted
    choices = [_cases(character) for character in wanted]
    spelling: str | None = "".join(choice[0] for choice in choices)
    leaps = 0
    while spelling is not None and spelling not in gallery:
        page = gallery.people(after=spelling, limit=1 if leaps < _LEAPS else _PAGE)
        for person in page:
            if same_name(person.id, wanted):
                return person.id
        spelling = _next_spelling(choices, page[-1].id) if page else None
        leaps += 1
    return spelling


def same_name(one: str, other: str) -> bool:
    """Whether two stored names differ by nothing but case."""
    return len(one) == len(other) and all(
        a == b or _upper(a) == _upper(b) for a, b in zip(one, other, strict=True)
    )


def _upper(character: str) -> str:
    """Its upper case where that is one character, as databases' `upper` has it."""
    upper = character.upper()
    return upper if len(upper) == 1 else character


def _cases(character: str) -> list[str]:
    """All characters with the same upper case, in the order of code points."""
    upper = _upper(character)
    return sorted({upper, *_lower_cases().get(upper, ())})


@cache
def _lower_cases() -> dict[str, tuple[str, ...]]:
    """Characters by their upper case; 15 ms, once."""
    found: dict[str, tuple[str, ...]] = {}
    for character in map(chr, range(0x20000)):  # no letter beyond has cases (Unicode 15)
        upper = _upper(character)
        if upper != character:
            found[upper] = (*found.get(upper, ()), character)
    return found


def _next_spelling(choices: list[list[str]], after: str) -> str | None:
    """The least spelling that comes after a text, in the order of code points."""
    agreeing = 0
    while agreeing < min(len(choices), len(after)) and after[agreeing] in choices[agreeing]:
        agreeing += 1
    if agreeing == len(after) < len(choices):  # the text begins every spelling that goes on
        return after + "".join(choice[0] for choice in choices[agreeing:])
    for place in range(min(agreeing, len(choices) - 1, len(after) - 1), -1, -1):
        greater = [character for character in choices[place] if character > after[place]]
        if greater:
            rest = "".join(choice[0] for choice in choices[place + 1 :])
            return after[:place] + greater[0] + rest
    return None
