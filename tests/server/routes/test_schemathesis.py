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
conformance = pytest.importorskip("schemathesis.specs.openapi.checks")

EXAMPLES = 12  # for each of the operations
CHECKS = [
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_schema_conformance,
]


def operations(document: dict[str, Any]) -> list[Any]:
    loaded = schemathesis.openapi.from_dict(document)
    found = [operation.ok() for operation in loaded.get_all_operations()]
    return sorted(found, key=lambda operation: operation.method.upper() == "DELETE")


def sent(client: TestClient, case: Any) -> Any:
    """The answer to a case, encoded as it would travel."""
    request = requests.Request(**case.as_transport_kwargs(base_url="http://127.0.0.1")).prepare()
    headers = {name: value for name, value in request.headers.items() if name != "Authorization"}
    return client.request(
        str(request.method), str(request.url), headers=headers, content=request.body
    )


def things(client: TestClient) -> dict[str, str]:
    """What every second request is about; erased, it is gone for those that follow."""
    client.post("/v1/groups", json={"id": "staff"})
    return {
        "person": "Joe%20Biden",
        "group": "staff",
        "face": client.get("/v1/faces").json()["items"][0]["id"],
        "job": client.post("/v1/jobs", json={"kind": "optimise"}).json()["id"],
    }


@pytest.mark.slow
def test_made_up_requests_get_documented_answers(
    enrolled_path: Path,
    make_key: Callable[..., NewApplication],
    client_for: Callable[..., AbstractContextManager[TestClient]],
) -> None:
    asked_for: list[str] = []
    with client_for(enrolled_path, make_key(enrolled_path)) as client:
        document = client.get("/v1/openapi.json").json()
        known = things(client)
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
                for name in case.path_parameters if len(asked_for) % 2 else ():
                    case.path_parameters[name] = known[name]
                asked_for.append(label)
                answer = sent(client, case)
                assert answer.status_code < 500, (label, answer.text)
                case.validate_response(answer, checks=CHECKS)

            check()
    operations_asked = set(asked_for)
    assert len(operations_asked) == sum(len(methods) for methods in document["paths"].values())
