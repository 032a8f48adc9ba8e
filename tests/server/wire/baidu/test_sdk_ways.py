"""The unmodified clients, led here by the host's name or by a proxy, over TLS."""

from __future__ import annotations

import contextlib
import datetime
import json
import selectors
import socket
import socketserver
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

CLIENTS = pytest.mark.parametrize("client", ["baidu-aip-2", "baidu-aip-4"])
MODES = pytest.mark.parametrize("signed", [False, True], ids=["token", "signed"])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for some other name, and its key."""
    pytest.importorskip("cryptography", reason="install cryptography: pip install 'vultus[crops]'")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vultus.test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@pytest.fixture(scope="module")
def secure(
    certificate: tuple[Path, Path],
    serving: Callable[..., AbstractContextManager[Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    """A server over TLS, ready."""
    gallery = tmp_path_factory.mktemp("secure") / "people.vultus"
    cert, key = certificate
    with serving(gallery, "--tls-cert", cert, "--tls-key", key) as running:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                address = running.url + "/health/ready"
                with urllib.request.urlopen(address, context=trusting) as told:  # noqa: S310
                    assert json.load(told)
                    break
            time.sleep(0.05)
        yield running


class _Tunnel(socketserver.BaseRequestHandler):
    """Answers CONNECT and carries bytes both ways."""

    def handle(self) -> None:
        server: Any = self.server
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(4096)
        server.asked.append(head.split(b"\r\n")[0].decode())
        with socket.create_connection(("127.0.0.1", server.target)) as other:
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with selectors.DefaultSelector() as waiting:
                waiting.register(self.request, selectors.EVENT_READ, other)
                waiting.register(other, selectors.EVENT_READ, self.request)
                while True:
                    for key, _ in waiting.select():
                        source: Any = key.fileobj
                        try:
                            data = source.recv(65536)
                        except OSError:
                            return
                        if not data:
                            return
                        key.data.sendall(data)


@pytest.fixture(scope="module")
def proxy(secure: Any) -> Iterator[Any]:
    """A CONNECT proxy that leads every name to the server."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Tunnel) as made:
        made.daemon_threads = True
        made.target = int(secure.url.rpartition(":")[2])  # type: ignore[attr-defined]
        made.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def calls(client: str, pictures: Any, user: str) -> list[list[Any]]:
    if client == "baidu-aip-2":
        return [
            ["addUser", user, "信息", "g", {"bytes": pictures["obama"]}],
            ["identifyUser", "g", {"bytes": pictures["obama3"]}],
            ["getGroupList"],
        ]
    return [
        ["addUser", pictures["obama"], "BASE64", "g", user, {"user_info": "信息"}],
        ["search", pictures["obama3"], "BASE64", "g"],
        ["getGroupList"],
    ]


def check(client: str, told: list[Any], user: str) -> None:
    if client == "baidu-aip-2":
        assert set(told[0]) == {"log_id"}
        row = told[1]["result"][0]
        assert (row["uid"], row["user_info"], row["scores"][0] > 80) == (user, "信息", True)
        assert told[2]["result"] == ["g"]
    else:
        assert [one["error_code"] for one in told] == [0, 0, 0]
        row = told[1]["result"]["user_list"][0]
        assert (row["user_id"], row["user_info"], row["score"] > 80) == (user, "信息", True)


@CLIENTS
@MODES
def test_by_name(
    sdk: Callable[..., list[Any]],
    secure: Any,
    make_key: Callable[..., Any],
    pictures: Any,
    client: str,
    signed: bool,
):
    key = make_key(secure.gallery, f"hosts-{client}-{signed}")
    # Signed requests carry the host's own name; the token's address is the one thing replaced.
    url = "https://aip.baidubce.com:" + secure.url.rpartition(":")[2]
    told = sdk(client, url, key, calls(client, pictures, "u"), way="hosts", signed=signed)
    check(client, told, "u")


@CLIENTS
def test_by_proxy(
    sdk: Callable[..., list[Any]],
    secure: Any,
    proxy: Any,
    make_key: Callable[..., Any],
    pictures: Any,
    client: str,
):
    key = make_key(secure.gallery, f"proxy-{client}")
    address = f"http://127.0.0.1:{proxy.server_address[1]}"
    before = len(proxy.asked)
    told = sdk(client, secure.url, key, calls(client, pictures, "u"), way="proxy", proxy=address)
    check(client, told, "u")
    asked = proxy.asked[before:]
    assert len(asked) >= 2  # the token's tunnel, and the calls'
    assert {line.rpartition(" ")[0] for line in asked} == {"CONNECT aip.baidubce.com:443"}
