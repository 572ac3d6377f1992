"""The description of the API is made from what is served."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate
from tests.e2e.conftest import Served, model, provider, serving
from tests.e2e.test_chat import raw

from fairlead.api.openapi import SCHEMAS
from fairlead.api.routes import all_routes
from fairlead.wire.chat import PARAMETERS

API_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = "[server]\nmetrics = true\n" + provider("http://127.0.0.1:9/v1") + model()
    with serving(tmp_path_factory.mktemp("openapi"), config) as running:
        yield running


@pytest.fixture(scope="module")
def document(served: Served) -> Any:
    status, headers, body = raw(served, "GET", "/openapi.json")
    assert status == 200
    assert headers["content-type"] == "application/json"
    return json.loads(body)


def test_the_document_is_valid_openapi_3_1(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_every_route_of_the_documentation_is_in_it_and_the_other_way_round(document: Any) -> None:
    rows = re.findall(r"^\| \[`(GET|POST|DELETE|PATCH|PUT) (/[^`?]*)", API_PAGE.read_text("utf-8"), re.MULTILINE)
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == set(rows)


def test_no_route_is_listed_twice_and_each_is_described() -> None:
    listed = [(route.method, route.path) for route in all_routes()]
    assert len(listed) == len(set(listed))
    assert all(route.summary and route.tag for route in all_routes())
    # Routes that go on behind a member are told apart by the endpoint that they share.
    by_prefix: dict[tuple[str, str, str], set[object]] = {}
    for route in all_routes():
        prefix, _, rest = route.path.partition("{")
        action = rest.partition("}")[2]  # told apart by the table
        named = action if action.startswith(":") else ""
        by_prefix.setdefault((route.method, prefix, named), set()).add(route.endpoint)
    assert all(len(endpoints) == 1 for endpoints in by_prefix.values())


def test_every_parameter_of_a_chat_is_in_it_with_its_range(document: Any) -> None:
    properties = document["components"]["schemas"]["ChatRequest"]["properties"]
    assert set(PARAMETERS) <= set(properties)
    assert (properties["temperature"]["minimum"], properties["temperature"]["maximum"]) == (0, 2)
    assert properties["top_logprobs"]["type"] == "integer"


def test_asked_again_with_its_tag_it_is_not_sent_again(served: Served) -> None:
    tag = raw(served, "GET", "/openapi.json")[1]["etag"]
    status, _, body = raw(served, "GET", "/openapi.json", **{"If-None-Match": tag})
    assert (status, body) == (304, b"")


def test_a_response_may_have_every_status_that_one_in_the_background_has() -> None:
    assert {"queued", "in_progress", "completed", "incomplete", "failed", "cancelled"} == set(
        SCHEMAS["Response"]["properties"]["status"]["enum"]
    )
