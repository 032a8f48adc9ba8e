"""The server's one secret, and the keys that are derived from it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets as random
from contextlib import suppress
from pathlib import Path

from vultus.server.errors import SettingsError

__all__ = ["VARIABLE", "Secrets", "load_secrets"]

VARIABLE = "VULTUS_SERVER_SECRET"
"""Environment variable that holds the secret, at least 32 characters."""

_BYTES = 32
_LEAST_CHARACTERS = 32


class Secrets:
    """Derives keys for different ends from one secret, so that none gives another away.

    Args:
        secret: At least 16 random bytes.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def key(self, label: str) -> bytes:
        """32 bytes for one end: HMAC-SHA256 of the label (HKDF-expand of one block, RFC 5869)."""
        return hmac.digest(self._secret, b"vultus/" + label.encode() + b"\x01", "sha256")

    def digest(self, label: str, *parts: str | bytes) -> bytes:
        """32 bytes that only this secret's holder can compute of these parts."""
        mac = hmac.new(self.key(label), digestmod=hashlib.sha256)
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            mac.update(len(data).to_bytes(4, "big") + data)  # no two lists of parts look alike
        return mac.digest()

    @property
    def fingerprint(self) -> str:
        """Tells secrets apart without giving one away; 16 hex digits."""
        return self.key("fingerprint").hex()[:16]


def load_secrets(path: Path, *, make_folder: bool = False) -> Secrets:
    """The secret of the environment, else of the file, which is made (mode 0600) when absent.

    Args:
        path: The file.
        make_folder: Whether a missing folder is made too.

    Raises:
        SettingsError: It is too short, or the file can be neither read nor made.
    """
    given = os.environ.get(VARIABLE, "")
    if given:
        if len(given) < _LEAST_CHARACTERS:
            raise SettingsError(
                f"{VARIABLE} must have at least {_LEAST_CHARACTERS} characters, got {len(given)}",
                remedy='make one with: python -c "import secrets; print(secrets.token_hex(32))"',
            )
        return Secrets(given.encode())
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        return Secrets(_read_or_make(path))
    except OSError as error:
        raise SettingsError(
            f"the server's secret {path} cannot be read or made: {error.strerror}",
            remedy=f"make its folder writable, or set {VARIABLE}",
            path=str(path),
        ) from error


def _read_or_make(path: Path) -> bytes:
    if not path.exists():
        # Written aside and linked into place: another process never sees half of it.
        temporary = path.with_name(f"{path.name}.{os.getpid()}.{random.token_hex(4)}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(random.token_hex(_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was faster: its secret holds
                os.link(temporary, path)
        finally:
            temporary.unlink()
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise SettingsError(
            f"the server's secret {path} must be readable by its owner only",
            remedy=f"chmod 600 {path}",
            path=str(path),
        )
    secret = path.read_text(encoding="ascii").strip()
    if len(secret) < _LEAST_CHARACTERS:
        raise SettingsError(
            f"the server's secret {path} must have at least {_LEAST_CHARACTERS} characters",
            remedy="restore it from a copy; without it old keys are worth nothing",
            path=str(path),
        )
    return secret.encode()
