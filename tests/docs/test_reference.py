"""The reference says what the code says: its tables are generated, and what they are made of is complete."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from tests.docs.blocks import ROOT
from tests.docs.runner import Place, call
from tests.e2e.conftest import fairlead

from fairlead import errors
from fairlead.api.headers import ALLOWED_HEADERS, PROVIDER_HEADERS, REQUEST_HEADERS, RESPONSE_HEADERS
from fairlead.api.management.table import ACTIONS
from fairlead.api.openapi import examples
from fairlead.api.routes import PAGE_ROUTES, all_routes
from fairlead.cli.main import cli
from fairlead.prices.sheet import CLASSES
from fairlead.wire.usage_shapes import CLASS_MEANINGS

# tests/management/test_examples.py
MANAGEMENT = {action.tag for action in ACTIONS if action.listed}
SOURCES = [path for path in (ROOT / "src" / "fairlead").rglob("*.py") if "testing" not in path.parts]


def page(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text("utf-8")


def test_the_committed_pages_are_what_the_sources_make() -> None:
    done = subprocess.run([sys.executable, "tools/docs.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), f"run script/docs\n{done.stdout}{done.stderr}"


def test_every_error_code_is_explained_with_the_status_that_callers_get() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and "code" in vars(kind)]
    assert {kind.code for kind in kinds} | set(errors.HTTP_STATUSES) == set(errors.EXPLANATIONS)
    refused = re.compile(r"""\((4\d\d), "([a-z_]+)",""")
    found = {
        (code, int(status))
        for path in SOURCES
        if path.parent.name == "http"
        for status, code in refused.findall(path.read_text("utf-8"))
    }
    assert set(errors.HTTP_STATUSES.items()) <= found
    assert {code for code, _ in found} <= set(errors.EXPLANATIONS)


def test_every_header_of_ours_is_in_the_reference() -> None:
    listed = {one.name for one in (*REQUEST_HEADERS, *RESPONSE_HEADERS, *PROVIDER_HEADERS)}
    written = {
        name.removesuffix("-{of}")
        for path in SOURCES
        for name in re.findall(r"x-fairlead-[a-z-]+", path.read_text("utf-8"))
    }
    assert written - listed == set()
    assert {one for one in listed if one.startswith("x-fairlead-")} <= written
    assert all(f"| `{name}` |" in page("headers.md") for name in listed)
    assert {name.decode() for name in ALLOWED_HEADERS.split(b", ")} <= listed


def test_every_command_and_token_class_is_in_the_reference() -> None:
    for name, command in cli.commands.items():
        for one in getattr(command, "commands", {"": command}):
            assert f"### fairlead {f'{name} {one}'.strip()}\n" in page("cli.md")
    assert tuple(CLASS_MEANINGS) == CLASSES


def ask(place: Place, method: str, path: str, key: str, body: object = None) -> Any:
    assert place.gateway is not None
    request = urllib.request.Request(
        place.gateway[0] + path,
        None if body is None else json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def shape(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all members, of lists those of the first item."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield f"{path}.{name}"
            # What is counted under names that depend on the call, and figures that are null until there were enough calls.
            if name not in ("outcomes", "classes", "default_parameters", "latency_last_30m", "throughput_last_30m"):
                yield from shape(one, f"{path}.{name}")
    elif isinstance(value, list) and value:
        yield from shape(value[0], f"{path}[]")


def test_every_endpoint_has_an_example_with_the_members_of_a_real_answer(gateway: Place) -> None:
    assert gateway.gateway is not None
    url, operator, data = gateway.gateway
    key = fairlead(
        "keys", "create", "--name", "examples", "--credit", "5", "--budget", "day=1", data=data
    ).stdout.split()[-1]
    code = fairlead("credit", "codes", "--amount", "1", data=data).stdout.split()[-1]
    generation = call(url, operator)
    deadline = time.monotonic() + 60
    for route in all_routes():
        name = f"{route.method} {route.path}"
        if name in ("GET /openapi.json", "GET /metrics") or route.tag in MANAGEMENT:
            continue
        if route in PAGE_ROUTES:  # whole catalogues: tests/site/test_sharing.py, test_full_pages.py and test_states.py
            continue
        if route.path.startswith("/v1/responses/"):  # where responses are stored: tests/e2e/test_stored_responses.py
            continue
        if route.path.startswith(("/v1/images/", "/v1/audio/")):  # tests/operations/test_media.py
            continue
        example = examples()[name]
        target = generation if "receipts" in route.path else "mistral-small-3.2"
        path = route.path.replace("{id}", target).replace("{model}", target)
        if "generation" in path:
            path += f"?id={generation}"
        elif "performance" in path:
            path += "?window=1h"  # read more often than a day
        body = {"code": code} if route.body == "Redeem" else example.get("request")
        by = key if "/key" in route.path or "/credits" in route.path else operator
        while True:
            answer = ask(gateway, route.method, path, by, body)
            # Performance is written from time to time, receipts after a moment.
            if set(shape(answer)) == set(shape(example["response"])) or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        assert sorted(shape(answer)) == sorted(shape(example["response"])), name
