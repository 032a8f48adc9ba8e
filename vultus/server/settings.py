"""What the operator decides: one frozen record from a TOML file, the environment and flags."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vultus.decide import DEFAULT_POLICY
from vultus.runtime import default_threads
from vultus.server.errors import SettingsError
from vultus.server.secrets import VARIABLE as SECRET_VARIABLE

__all__ = ["PREFIX", "Settings", "is_loopback", "load_settings", "threshold_of"]

PREFIX = "VULTUS_SERVER_"
"""How the environment's variables begin; the setting's name in capitals follows."""

_NOT_SETTINGS = frozenset({SECRET_VARIABLE})


class Settings(BaseModel):
    """How the server runs. Unknown names are refused.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 lets the system choose.
        gallery: Path or URL of the main gallery.
        workers: Processes; each loads the model and its own copy of the vectors.
        threads: Threads for decoding and inference in each process, one picture each; 0: as many
            as there are CPUs for each process.
        anonymous: Serve the main gallery to whoever asks, on a loopback address only.
        detector: Card of the detector.
        model: Card of the embedder.
        mirror: Average each face with its mirror image.
        min_face_px: Smallest face side to look for.
        gate: What is asked of faces: ``off``, ``low``, ``normal``, ``high``.
        threshold: From which similarity two faces are the same: a policy, or a cosine.
        calibration: File of error rates measured on the operator's own people.
        max_body_bytes: Most bytes of a request's body.
        max_held_bytes: Most bytes that the bodies of all requests of a process hold at once.
        max_pixels: Most pixels of a picture.
        timeout_s: How long one request's work may take, its wait in the queue included.
        body_timeout_s: How long a request's body may take to arrive.
        header_timeout_s: How long a request's head may take to arrive.
        max_connections: Most connections of a process at once.
        queue_size: Most requests of a process that wait for a thread; 0: eight per thread.
        max_batch: Most pictures or faces that go through a network together; 1: no batching.
        max_wait_ms: How long one waits for others to go with.
        tls_cert: File of the certificate chain, PEM.
        tls_key: File of its private key, PEM.
        cors_origins: Origins whose scripts may call the server.
        allowed_hosts: Host names the server answers to; empty: any, with `anonymous` loopback's.
        rate_per_s: Requests a second of a key without a rate of its own; ``None``: any number.
        daily: Requests a day (UTC) of a key without a quota of its own.
        keep_crops: Keep an encrypted crop with each enrolled face.
        fetch_hosts: Hosts that pictures may be fetched from.
        log_level: Least severe level that is logged.
        log_format: ``json`` or ``text``.
        trust_forwarded: Believe ``X-Forwarded-*``: only a proxy of yours can reach the server.
        drain_s: How long accepted work may go on once the server was told to end.
        secret_file: Where the server's secret lies; beside the gallery when ``None``.
        metrics_public: Whether ``/metrics`` needs no key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    gallery: str = "people.vultus"
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    anonymous: bool = False
    detector: str = "mtcnn"
    model: str = "dlib-resnet-v1"
    mirror: bool = True
    min_face_px: Annotated[float, Field(ge=12, le=4096)] = 40.0
    gate: Literal["off", "low", "normal", "high"] = "off"
    threshold: str | float = DEFAULT_POLICY
    calibration: Path | None = None
    max_body_bytes: Annotated[int, Field(ge=1024)] = 25 * 1024 * 1024
    max_held_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024 * 1024
    max_pixels: Annotated[int, Field(ge=1)] = 40_000_000
    timeout_s: Annotated[float, Field(gt=0)] = 30.0
    body_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    header_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    max_connections: Annotated[int, Field(ge=1)] = 1000
    queue_size: Annotated[int, Field(ge=0)] = 0
    max_batch: Annotated[int, Field(ge=1, le=256)] = 1
    max_wait_ms: Annotated[float, Field(ge=0, le=1000)] = 2.0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    rate_per_s: Annotated[float, Field(gt=0)] | None = None
    daily: Annotated[int, Field(ge=1)] | None = None
    keep_crops: bool = False
    fetch_hosts: tuple[str, ...] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    trust_forwarded: bool = False
    drain_s: Annotated[float, Field(ge=0)] = 30.0
    secret_file: Path | None = None
    metrics_public: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.anonymous and not is_loopback(self.host):
            raise ValueError(
                f"anonymous serves loopback addresses only (127.0.0.1, ::1), not {self.host}"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together")
        if "*" in self.cors_origins:
            raise ValueError("cors_origins must name origins, '*' would admit every site")
        return self

    @property
    def worker_threads(self) -> int:
        """Threads for pixels in each process."""
        return self.threads or max(1, default_threads() // self.workers)

    @property
    def queue_length(self) -> int:
        """Most requests of a process that wait."""
        return self.queue_size or 8 * self.worker_threads


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def threshold_of(text: str | float) -> str | float:
    """A threshold as `vultus.load` takes it: a number is a cosine, anything else a policy."""
    try:
        return float(text)
    except ValueError:
        return text


def load_settings(
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from a TOML file, overridden by the environment, overridden by flags.

    Args:
        config: A TOML file whose keys are the settings' names.
        environment: Variables; this process's own when ``None``. Lists are separated by commas.
        flags: Values from the command line; ``None`` among them means not given.

    Raises:
        SettingsError: A name is unknown, a value is not allowed, or the file cannot be read.
    """
    values: dict[str, Any] = {} if config is None else _from_file(config)
    values |= _from_environment(os.environ if environment is None else environment)
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(
            "; ".join(_told(part["loc"], part["msg"]) for part in error.errors()),
            remedy="see `vultus serve --help` and docs/server.md for the names and their ranges",
        ) from None


def _told(where: tuple[int | str, ...], message: str) -> str:
    name = ".".join(map(str, where))
    message = message.removeprefix("Value error, ")
    return f"{name}: {message}" if name else message


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            f"the configuration {path} cannot be read: {error}", path=str(path)
        ) from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in _NOT_SETTINGS:
            continue
        name = variable.removeprefix(PREFIX).lower()
        field = Settings.model_fields.get(name)
        listed = field is not None and str(field.annotation).startswith("tuple")
        found[name] = [part.strip() for part in text.split(",") if part.strip()] if listed else text
    return found
