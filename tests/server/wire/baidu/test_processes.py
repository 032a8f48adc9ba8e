"""Several processes over one PostgreSQL: what one has seen, every other knows."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlencode

import pytest


@pytest.mark.slow
def test_tokens_faces_and_users_are_known_everywhere(
    serving: Callable[..., AbstractContextManager[Any]], postgres_source: str, pictures: Any
):
    with serving(postgres_source, "--workers", 2) as running:

        def call(path: str, **fields: object) -> Any:
            # A connection of its own each time: any of the processes may take it.
            headers = {"Content-Type": "application/json", "Connection": "close"}
            body = json.dumps(fields).encode()
            return json.loads(running.request(path, body, headers=headers)[2])

        asked = {
            "grant_type": "client_credentials",
            "client_id": running.key.ak,
            "client_secret": running.key.sk,
        }
        token = call(f"/oauth/2.0/token?{urlencode(asked)}")["access_token"]

        def v3(path: str, **fields: object) -> Any:
            return call(f"/rest/2.0/face/v3/{path}?access_token={token}", **fields)

        seen = v3("detect", image=pictures["obama"], image_type="BASE64")
        face = seen["result"]["face_list"][0]["face_token"]
        by_token = {"image": face, "image_type": "FACE_TOKEN"}
        added = v3("faceset/user/add", **by_token, group_id="g", user_id="u")
        assert added["error_code"] == 0
        with ThreadPoolExecutor(4) as pool:
            told = list(pool.map(lambda _: v3("search", **by_token, group_id_list="g"), range(12)))
        assert [one["result"]["user_list"][0]["user_id"] for one in told] == ["u"] * 12
        assert v3("faceset/user/delete", group_id="g", user_id="u")["error_code"] == 0
        with ThreadPoolExecutor(4) as pool:
            told = list(pool.map(lambda _: v3("detect", **by_token), range(8)))
        assert [one["error_code"] for one in told] == [222209] * 8
