"""Requests made up from the OpenAPI document break nothing: no 5xx, and only documented answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, seed, settings

from vultus.server.store import NewApplication

requests = pytest.importorskip("requests", reason="comes with schemathesis")
schemathesis = pytest.importorskip(
    "schemathesis", reason="install schemathesis: pip install 'vultus[test]'"
)

EXAMPLES = 12  # for each of the operations


def operations(document: dict[str, Any]) -> list[Any]:
    loaded = schemathesis.openapi.from_dict(document)
    return [found.ok() for found in loaded.get_all_operations()]


def sent(client: TestClient, case: Any) -> Any:
    """The answer to a case, encoded as it would travel."""
    request = requests.Request(**case.as_transport_kwargs(base_url="http://127.0.0.1")).prepare()
    headers = {name: value for name, value in request.headers.items() if name != "Authorization"}
    return client.request(
        str(request.method), str(request.url), headers=headers, content=request.body
    )


@pytest.mark.slow
def test_made_up_requests_get_documented_answers(
    enrolled_path: Path,
    make_key: Callable[..., NewApplication],
    client_for: Callable[..., AbstractContextManager[TestClient]],
) -> None:
    asked: set[str] = set()
    with client_for(enrolled_path, make_key(enrolled_path)) as client:
        document = client.get("/v1/openapi.json").json()
        for operation in operations(document):

            @seed(20_000)
            @settings(
                max_examples=EXAMPLES,
                database=None,
                deadline=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def check(case: Any) -> None:
                label = f"{case.method} {case.path}"
                asked.add(label)
                documented = document["paths"][case.path][case.method.lower()]["responses"]
                answer = sent(client, case)
                assert answer.status_code < 500, (label, answer.text)
                assert str(answer.status_code) in documented, (label, answer.text)

            check()
    assert len(asked) == sum(len(methods) for methods in document["paths"].values())
