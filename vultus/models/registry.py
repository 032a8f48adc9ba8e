"""Which models are known: the packaged cards and the user's own, read when asked for."""

from __future__ import annotations

import difflib
import importlib.resources
import json
import logging
import re
from collections.abc import Iterable, Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

from vultus.errors import CardError, UnknownModelError
from vultus.models._home import default_home
from vultus.models.card import ModelCard, WeightFile, parse_card

__all__ = ["Registry"]

_SHA256 = re.compile(r"[0-9a-f]{64}")

_log = logging.getLogger(__name__)


class Registry:
    """The known cards. A card is parsed when it is first asked for, all of them only on iteration.

    Args:
        extra_dirs: More folders with cards.
        home: Where the user's files live; ``<home>/cards`` is read too. Default: `VULTUS_HOME`
            or the platform's folder for user data.
    """

    def __init__(self, extra_dirs: Iterable[Path] = (), home: Path | None = None) -> None:
        self.home = default_home() if home is None else home
        self._extra_dirs = tuple(extra_dirs)
        self._cards: dict[str, ModelCard] = {}

    def get(self, name: str) -> ModelCard:
        """The card with this name or alias; case and underscores do not matter.

        Raises:
            UnknownModelError: There is none; the remedy suggests the nearest names.
            CardError: The card is invalid, or two cards claim the name.
        """
        key = _key(name)
        files = self._files()
        if key in files:
            return self._load(key, files[key])
        for card in self:
            if key in card.aliases:
                return card
        raise self._unknown(name, key)

    def __iter__(self) -> Iterator[ModelCard]:
        """All cards by name.

        Raises:
            CardError: A card is invalid, or two cards claim one name.
        """
        files = self._files()
        cards = [self._load(name, file) for name, file in sorted(files.items())]
        owner = {card.name: card.name for card in cards}
        for card in cards:
            for alias in card.aliases:
                if alias in owner:
                    raise CardError(
                        f"the name {alias!r} must belong to one model, "
                        f"got {owner[alias]} and {card.name}",
                        remedy="rename one of the cards",
                    )
                owner[alias] = card.name
        return iter(cards)

    def by_digest(self, sha256: str) -> tuple[ModelCard, WeightFile] | None:
        """The card and weight with this SHA-256, or ``None``."""
        wanted = sha256.strip().lower()
        for card in self:
            for weight in card.weights:
                if weight.sha256 and weight.sha256 == wanted:
                    return card, weight
        return None

    def _files(self) -> dict[str, Traversable]:
        """Name to card file, without reading any."""
        packaged = importlib.resources.files("vultus.models").joinpath("cards")
        folders: list[Traversable] = [packaged, self.home / "cards", *self._extra_dirs]
        found: dict[str, Traversable] = {}
        for folder in folders:
            for file in _entries(folder):
                if not file.name.endswith(".toml"):
                    continue
                stem = file.name.removesuffix(".toml")
                if stem in found:
                    raise CardError(
                        f"a model must have one card, got two of {stem}: {found[stem]} and {file}",
                        remedy="rename or delete the second one",
                        path=str(file),
                    )
                found[stem] = file
        return found

    def _load(self, name: str, file: Traversable) -> ModelCard:
        if name in self._cards:
            return self._cards[name]
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CardError(f"{file} cannot be read: {error}", path=str(file)) from error
        card = parse_card(text, str(file))
        if card.name != name:
            raise CardError(
                f"{file} must be called {card.name}.toml after the model it describes",
                path=str(file),
                expected=f"{card.name}.toml",
            )
        own = isinstance(file, Path) and file.parent in {self.home / "cards", *self._extra_dirs}
        if own and any(weight.packed for weight in card.weights):
            raise CardError(
                f"{file} must not set `packed`: only vultus itself ships weights", path=str(file)
            )
        if not all(weight.sha256 for weight in card.weights):
            card = card.pinned(read_pins(self.home).get(card.name, {}))
        self._cards[name] = card
        return card

    def _unknown(self, name: str, key: str) -> UnknownModelError:
        names = [label for card in self for label in (card.name, *card.aliases)]
        near = difflib.get_close_matches(key, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        return UnknownModelError(
            f"no model is called {name!r}",
            remedy=f"{hint}{UnknownModelError.remedy}",
            name=name,
            suggestions=near,
        )


def _entries(folder: Traversable) -> list[Traversable]:
    """What lies in a folder; nothing where there is none.

    A folder that may not be looked into (a service with a foreign HOME) is told in the log and
    passed over: the packaged cards need nothing there.
    """
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        _log.warning("the cards in %s cannot be read: %s", folder, error)
        return []


def _key(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def pins_path(home: Path) -> Path:
    """Where digests live that the user vouched for with ``--sha256``."""
    return home / "pins.json"


def read_pins(home: Path) -> dict[str, dict[str, str]]:
    """Card name to role to SHA-256, as vouched for by the user.

    Raises:
        CardError: The file is there and is not what vultus wrote.
    """
    path = pins_path(home)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CardError(
            f"{path} must hold digests as JSON: {error}",
            remedy="delete it and run `vultus models pull NAME --sha256 DIGEST` again",
            path=str(path),
        ) from error
    if not _are_pins(found):
        raise CardError(
            f"{path} must map a model to its roles and these to a SHA-256",
            remedy="delete it and run `vultus models pull NAME --sha256 DIGEST` again",
            path=str(path),
        )
    pins: dict[str, dict[str, str]] = found
    return pins


def _are_pins(found: object) -> bool:
    return isinstance(found, dict) and all(
        isinstance(roles, dict)
        and all(isinstance(d, str) and _SHA256.fullmatch(d) for d in roles.values())
        for roles in found.values()
    )
