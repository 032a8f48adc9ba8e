"""Where weights lie: shipped in the package, or on this machine under their SHA-256."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from vultus.errors import (
    CardError,
    DownloadError,
    ModelError,
    ModelMissingError,
    OfflineError,
    UnknownModelError,
    WeightDamagedError,
)
from vultus.models._files import digest_of, make_folder, output_error, write_file
from vultus.models._home import default_home, env_mirror, env_offline
from vultus.models.card import ModelCard, WeightFile, load_card
from vultus.models.registry import Registry, pins_path, read_pins

if TYPE_CHECKING:
    from vultus.models._download import Limits

__all__ = ["Progress", "Store", "WeightStatus"]

Progress: TypeAlias = Callable[[WeightFile, int, int | None], None]
"""Called with the weight, the bytes here so far, and the total (``None`` while unknown)."""

_REINSTALL = "install vultus again: `pip install --force-reinstall vultus`"


@dataclass(frozen=True, slots=True)
class WeightStatus:
    """How one weight stands on this machine.

    Attributes:
        card: Name of its model.
        role: Its role there.
        file: Its published name.
        state: ``ok`` only after its SHA-256 was compared.
        path: Where it lies; ``None`` when missing.
        expected: The SHA-256 that the card states.
        actual: The one found; ``None`` when missing.
    """

    card: str
    role: str
    file: str
    state: Literal["ok", "missing", "damaged"]
    path: Path | None
    expected: str
    actual: str | None


class Store:
    """The weights of this machine. Nothing is downloaded unless `pull` is called.

    Args:
        root: Where weights live. Default: ``VULTUS_HOME`` or the platform's user data folder.
        offline: Refuse every download. Default: ``VULTUS_OFFLINE``.
        mirror: Address tried before a card's own, as ``MIRROR/<file>`` and ``MIRROR/<sha256>``;
            the only one that may be plain http, since the digest decides. Default:
            ``VULTUS_MIRROR``.
        limits: How patient downloads are.

    Raises:
        DownloadError: `mirror` is no http or https address.
    """

    def __init__(
        self,
        root: Path | None = None,
        offline: bool | None = None,
        mirror: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.root = default_home() if root is None else root
        self.offline = env_offline() if offline is None else offline
        self.mirror = _checked_mirror(env_mirror() if mirror is None else mirror)
        self._limits = limits

    def path(self, weight: WeightFile) -> Path | None:
        """Where `weight` lies on this machine, unverified; ``None`` when it does not."""
        found = self._locate(weight)
        return found if isinstance(found, Path) else None

    def has(self, card: ModelCard) -> bool:
        """Whether every weight of `card` is here (not whether it is undamaged)."""
        return all(self._locate(weight) is not None for weight in card.weights)

    def read(self, card: ModelCard, role: str | None = None) -> bytes:
        """The bytes of a weight, verified.

        Args:
            card: The model.
            role: Which of its weights; may be left out where there is one.

        Raises:
            ModelMissingError: It is not here; the remedy names the command that brings it.
            WeightDamagedError: Its SHA-256 is not the card's.
        """
        weight = card.weight(role)
        found = self._locate(weight)
        if found is None:
            raise ModelMissingError(
                f"{card.name} needs {weight.file}, which is not on this machine",
                remedy=self._how_to_get(card, weight),
                model=card.name,
                file=weight.file,
            )
        try:
            data = found.read_bytes()
        except OSError as error:
            raise ModelMissingError(
                f"{found} cannot be read: {error.strerror or error}",
                remedy="check its permissions",
                path=str(found),
            ) from error
        actual = hashlib.sha256(data).hexdigest()
        if actual != weight.sha256:
            raise self._damaged(card, weight, found, actual)
        return data

    def verify(self, card: ModelCard) -> tuple[WeightStatus, ...]:
        """Compare every weight of `card` with its SHA-256."""
        return tuple(self._status(card, weight) for weight in card.weights)

    def pull(
        self, card: ModelCard, progress: Progress | None = None, *, sha256: str | None = None
    ) -> tuple[WeightStatus, ...]:
        """Fetch what is missing or damaged, verify it, then put it in place in one step.

        A transfer that breaks off leaves a ``.part`` file that the next call goes on with. Several
        processes may pull at once: one fetches, the others wait.

        Args:
            card: The model.
            progress: Told about every chunk.
            sha256: The digest you vouch for, for a card whose weight nobody has verified yet.

        Raises:
            OfflineError: Downloads are switched off.
            DownloadError: No address is known, or none could deliver.
            WeightDamagedError: What arrived has another digest, or a packed file is damaged.
            CardError: `sha256` is malformed or contradicts the card.
            OutputError: The disk is full or may not be written to.
        """
        wanted = card if sha256 is None else _vouched(card, sha256)
        states = tuple(self._pull(wanted, weight, progress) for weight in wanted.weights)
        if wanted != card:
            pins = read_pins(self.root)
            pins[card.name] = {weight.role: weight.sha256 for weight in wanted.weights}
            write_file(pins_path(self.root), json.dumps(pins, indent=2).encode())
        return states

    def add(
        self, path: Path, card: Path | None = None, *, registry: Registry | None = None
    ) -> WeightStatus:
        """Copy a file that you brought yourself; its digest says which weight it is.

        Args:
            path: The file.
            card: A card in TOML, for a model that vultus does not know; it is copied too.
            registry: Where to look for known cards. Default: the packaged and the user's own.

        Raises:
            ModelMissingError: `path` cannot be read.
            UnknownModelError: No known card has a weight with this digest.
            CardError: `card` is invalid, its name is taken, or it describes another file.
            OutputError: The copy cannot be written.
        """
        registry = Registry(home=self.root) if registry is None else registry
        digest = digest_of(path)
        own = None if card is None else _own_card(card, path, digest, registry)
        found = registry.by_digest(digest) if own is None else (own, _weight_with(own, digest))
        if found is None:
            raise UnknownModelError(
                f"no known model has a weight with SHA-256 {digest} ({path})",
                remedy="describe it in a card and pass that: "
                "`vultus models add FILE --card CARD.toml`",
                path=str(path),
                actual=digest,
            )
        model, weight = found
        if not weight.packed:
            self._copy(path, weight)
        if own is not None and card is not None:
            write_file(self.root / "cards" / f"{own.name}.toml", card.read_bytes())
        return self._status(model, weight)

    def remove(self, card: ModelCard) -> tuple[Path, ...]:
        """Delete the stored weights of `card`, and what is left of broken transfers.

        Returns:
            The files deleted; none when nothing was here.

        Raises:
            ModelError: The weights are part of the package.
            OutputError: A file cannot be deleted.
        """
        if card.packed:
            raise ModelError(
                f"{card.name} is part of the package and cannot be removed",
                remedy="uninstall vultus to remove it",
            )
        gone = []
        for weight in card.weights:
            if not weight.sha256:
                continue
            for path in (self._stored(weight), self._part(weight)):
                try:
                    path.unlink()
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise output_error(error, path) from error
                gone.append(path)
        return tuple(gone)

    def _stored(self, weight: WeightFile) -> Path:
        return self.root / "weights" / weight.sha256

    def _part(self, weight: WeightFile) -> Path:
        return self.root / "weights" / f"{weight.sha256}.part"

    def _locate(self, weight: WeightFile) -> Traversable | None:
        if weight.packed:
            packed = importlib.resources.files("vultus.models") / "weights" / weight.file
            if packed.is_file():
                return packed
        stored = self._stored(weight)
        return stored if weight.sha256 and stored.is_file() else None

    def _status(self, card: ModelCard, weight: WeightFile) -> WeightStatus:
        found = self._locate(weight)
        actual = None if found is None else digest_of(found)
        state: Literal["ok", "missing", "damaged"] = "missing"
        if actual is not None:
            state = "ok" if actual == weight.sha256 else "damaged"
        path = found if isinstance(found, Path) else None
        return WeightStatus(card.name, weight.role, weight.file, state, path, weight.sha256, actual)

    def _pull(self, card: ModelCard, weight: WeightFile, progress: Progress | None) -> WeightStatus:
        from vultus.models import _download

        status = self._status(card, weight)
        if status.state == "ok":
            return status
        if weight.packed and status.path is not None and status.actual is not None:
            raise self._damaged(card, weight, status.path, status.actual)
        urls = self._addresses(card, weight)
        part, stored = self._part(weight), self._stored(weight)
        make_folder(part.parent)
        with _download.claim(part) as file:
            status = self._status(card, weight)  # another process may have fetched it meanwhile
            if status.state == "ok":
                return status
            _download.download(weight, urls, file, progress, self._limits)
            try:
                os.fsync(file.fileno())
                if os.name == "nt":  # Windows renames closed files only
                    file.close()
                part.replace(stored)
            except OSError as error:
                raise output_error(error, stored) from error
        return self._status(card, weight)

    def _addresses(self, card: ModelCard, weight: WeightFile) -> list[str]:
        if not weight.sha256:
            raise DownloadError(
                f"{weight.file} of {card.name} has no verified SHA-256, so it cannot be trusted",
                remedy="get the digest from a source you trust, then "
                f"`vultus models pull {card.name} --sha256 DIGEST`",
                model=card.name,
            )
        if self.offline:
            raise OfflineError(
                f"{card.name} needs {weight.file}, and downloads are switched off",
                model=card.name,
                file=weight.file,
            )
        names = [weight.file, *(url.rpartition("/")[2] for url in weight.urls), weight.sha256]
        mirrored = [f"{self.mirror}/{urllib.parse.quote(name)}" for name in names]
        urls = list(dict.fromkeys([*(mirrored if self.mirror else []), *weight.urls]))
        if not urls:
            raise DownloadError(
                f"no address is known for {weight.file} of {card.name}",
                remedy=self._how_to_get(card, weight),
                model=card.name,
                file=weight.file,
            )
        return urls

    def _how_to_get(self, card: ModelCard, weight: WeightFile) -> str:
        if weight.packed:
            return _REINSTALL
        if weight.urls or self.mirror:
            return f"run `vultus models pull {card.name}`"
        return (
            f"get {weight.file} from {card.origin.project} ({card.origin.url}), "
            "then run `vultus models add FILE`"
        )

    def _damaged(
        self, card: ModelCard, weight: WeightFile, found: object, actual: str
    ) -> WeightDamagedError:
        return WeightDamagedError(
            f"{found} ({weight.file} of {card.name}) must have SHA-256 {weight.sha256}, "
            f"got {actual}",
            remedy=self._how_to_get(card, weight),
            path=str(found),
            expected=weight.sha256,
            actual=actual,
        )

    def _copy(self, path: Path, weight: WeightFile) -> None:
        stored = self._stored(weight)
        if stored.is_file() and digest_of(stored) == weight.sha256:
            return
        write_file(stored, path.read_bytes(), expected=weight.sha256)


def _checked_mirror(mirror: str | None) -> str | None:
    if not mirror:
        return None
    parts = urllib.parse.urlsplit(mirror)
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain:
        shown = parts._replace(netloc=parts.hostname or "").geturl()
        raise DownloadError(
            "a mirror must be an http or https address without credentials or query, "
            f"got {shown!r}",
            remedy="correct --mirror or VULTUS_MIRROR",
        )
    return mirror.rstrip("/")


def _vouched(card: ModelCard, sha256: str) -> ModelCard:
    """`card` with the digest that the user vouches for."""
    open_roles = [weight.role for weight in card.weights if not weight.sha256]
    if len(open_roles) > 1 or (not open_roles and len(card.weights) > 1):
        raise CardError(
            f"a digest can be given for a model with one weight, {card.name} has "
            f"{len(card.weights)}",
            remedy="write the digests into a card of your own",
        )
    role = open_roles[0] if open_roles else card.weights[0].role
    return card.pinned({role: sha256})


def _own_card(card: Path, path: Path, digest: str, registry: Registry) -> ModelCard:
    """The user's card for `path`, checked against the known ones."""
    own = load_card(card)
    if any(weight.packed for weight in own.weights):
        raise CardError(f"{card} must not set `packed`: only vultus ships weights", path=str(card))
    if all(weight.sha256 != digest for weight in own.weights):
        raise CardError(
            f"{card} must name a weight with SHA-256 {digest} ({path}), "
            f"got {', '.join(weight.sha256 or 'none' for weight in own.weights)}",
            remedy=f'write `sha256 = "{digest}"` into the card if this is the file it describes',
            path=str(card),
            actual=digest,
        )
    for known in registry:
        taken = {known.name, *known.aliases} & {own.name, *own.aliases}
        if taken and known != own:
            raise CardError(
                f"{card} must use free names, got {', '.join(sorted(taken))}, which {known.name} "
                "has already",
                remedy="rename the model in the card",
                path=str(card),
            )
    return own


def _weight_with(card: ModelCard, digest: str) -> WeightFile:
    return next(weight for weight in card.weights if weight.sha256 == digest)
