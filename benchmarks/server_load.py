"""Load for the server's benchmark, made in a process of its own: closed loop, or at a given rate.

Reads a job as JSON from standard input, writes what happened as JSON to standard output.
"""

from __future__ import annotations

import itertools
import json
import socket
import sys
import threading
import time
from typing import Any


class Connection:
    """One kept-alive HTTP/1.1 connection that asks the same thing over and over."""

    def __init__(self, host: str, port: int, request: bytes) -> None:
        self._place = (host, port)
        self._request = request
        self._socket: socket.socket | None = None

    def ask(self) -> tuple[int, bytes]:
        """Status and body; 0 when the connection failed."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._place, timeout=60)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(self._request)
            return self._answer(self._socket)
        except (OSError, ValueError):
            self.close()
            return 0, b""

    def _answer(self, connection: socket.socket) -> tuple[int, bytes]:
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._piece(connection)
        head = received[:end].decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        while len(received) < end + 4 + length:
            received += self._piece(connection)
        if "connection: close" in head:
            self.close()
        return int(head.split(" ", 2)[1]), received[end + 4 :]

    @staticmethod
    def _piece(connection: socket.socket) -> bytes:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionResetError
        return piece

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def run(job: dict[str, Any], request: bytes) -> dict[str, Any]:
    """Ask for so many seconds; with a rate, at moments fixed beforehand, waiting answers or not."""
    began = time.perf_counter() + 0.05
    end, rate = began + job["seconds"], job.get("rate")
    turn, lock = itertools.count(), threading.Lock()
    # [status, from the moment it was due, from the moment it was sent, whether it is right]
    found: list[tuple[int, float, float, bool]] = []

    def client() -> None:
        connection = Connection(job["host"], job["port"], request)
        while True:
            with lock:
                number = next(turn)
            due = began + number / rate if rate else max(began, time.perf_counter())
            if due >= end:
                break
            time.sleep(max(0.0, due - time.perf_counter()))
            sent = time.perf_counter()
            status, body = connection.ask()
            now = time.perf_counter()
            right = status != 200 or job["expected"].encode() in body
            found.append((status, now - due, now - sent, right))
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(job["connections"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"took_s": time.perf_counter() - began, "answers": found}


def main() -> None:
    job = json.load(sys.stdin)
    with open(job["request"], "rb") as file:  # noqa: PTH123
        request = file.read()
    json.dump(run(job, request), sys.stdout)


if __name__ == "__main__":
    main()
