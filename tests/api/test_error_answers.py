"""How errors are answered: in whose dialect, and when to come again."""

from __future__ import annotations

import json

import pytest
from tests.http.support import running

from fairlead.api.dispatch import Dispatch
from fairlead.api.ids import RequestIds, with_alias
from fairlead.doors.table import DOORS, DoorFinder
from fairlead.errors import (
    FairleadError,
    NoDeployment,
    Overloaded,
    RateLimited,
    Unauthenticated,
    UpstreamFailed,
    UpstreamRateLimited,
)
from fairlead.http.request import Request, Response


def answered(error: FairleadError, path: bytes = b"/v1/responses", *lines: bytes) -> tuple[bytes, bytes]:
    """Head and body."""

    def fail(_request: Request, _response: Response) -> None:
        raise error

    dispatch = Dispatch({"/v1/responses": {"GET": fail}, "/v1/models": {"GET": fail}}, {}, fail, doors=DOORS_HERE)
    head = b"".join([b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % path, *lines, b"\r\n"])
    with running(dispatch, on_error=dispatch.answer_error) as server:
        found, _, body = server.ask(head).partition(b"\r\n\r\n")
    return found.lower(), body


DOORS_HERE = DoorFinder(DOORS.values())


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UpstreamRateLimited("Slow."), b"retry-after: 5"),  # without it, Codex gives up
        (UpstreamRateLimited("Slow.", retry_after_seconds=9), b"retry-after: 9"),
        (RateLimited("Slow.", retry_after_seconds=0), b"retry-after: 0"),
        (Overloaded("Full."), b"retry-after: 1"),
        (UpstreamFailed("Broken."), b""),
        (NoDeployment("Nobody."), b""),
    ],
)
def test_when_to_come_again(error: FairleadError, line: bytes) -> None:
    head, _ = answered(error)
    if line:
        assert head.count(b"\r\n" + line) == head.count(b"\r\nretry-after:") == 1
    else:
        assert b"\r\nretry-after:" not in head


@pytest.mark.parametrize("path", [b"/v1/models", b"/v1/models?limit=1000"])
def test_a_list_of_models_is_refused_in_the_dialect_of_its_client(path: bytes) -> None:
    def refused(*lines: bytes) -> dict[str, object]:
        found: dict[str, object] = json.loads(answered(Unauthenticated("No."), path, *lines)[1])
        return found

    assert refused(b"Authorization: Bearer x\r\n")["error"] == {
        "message": "No.", "type": "authentication_error", "param": None, "code": "invalid_api_key",
    }  # fmt: skip
    for lines in (b"x-api-key: x\r\n", b"Anthropic-Version: 2026-10-21\r\nAuthorization: Bearer x\r\n"):
        assert refused(lines)["type"] == "error"
    gemini = refused(b"x-goog-api-key: x\r\n")["error"]
    assert isinstance(gemini, dict)
    assert (gemini["code"], gemini["status"]) == (401, "UNAUTHENTICATED")


def test_what_is_not_there_below_a_door_is_said_in_its_dialect() -> None:
    for path in (b"/v1/messages/batches", b"/api/v1/messages/batches"):
        head, body = answered(UpstreamFailed("never"), path)
        assert head.startswith(b"http/1.1 404 ")
        assert json.loads(body)["error"]["type"] == "not_found_error"
    _, body = answered(UpstreamFailed("never"), b"/v1/files", b"x-api-key: x\r\n")
    assert json.loads(body)["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", [b"/v1/v1/messages", b"/v1/v1beta/models/m:generateContent", b"/api/v1/v1/messages"])
def test_a_base_url_with_the_version_twice_is_named(path: bytes) -> None:
    """Claude Code and Gemini CLI add it themselves. At a 404 Claude Code shows another sentence than ours."""
    head, body = answered(UpstreamFailed("never"), path)
    assert head.startswith(b"http/1.1 400 ")
    assert b"The base URL of this client must end before /v1." in body


def test_a_base_url_without_the_version_is_named() -> None:
    """OpenAI's SDKs and Codex do not add it. Other paths are the site's."""

    def site(_request: Request, response: Response) -> None:
        response.send(200, b"", b"page")

    routes = {"/v1/responses": {"POST": site}, "/v1/admin/accounts": {"POST": site}}
    dispatch = Dispatch(routes, {}, site, doors=DOORS_HERE)
    with running(dispatch, on_error=dispatch.answer_error) as server:

        def ask(method: bytes, path: bytes) -> bytes:
            lines = b"Host: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            return server.ask(b"%b %b HTTP/1.1\r\n%b" % (method, path, lines))

        assert b"The base URL of this client must end with /v1." in ask(b"POST", b"/responses")
        for method, path in ((b"GET", b"/responses"), (b"POST", b"/sign-in"), (b"POST", b"/admin/accounts")):
            assert ask(method, path).endswith(b"page")


def test_the_second_name_of_a_request_id_is_added_once() -> None:
    line = RequestIds().line()
    named = with_alias(line, b"request-id")
    assert named == line + line[2:]
    assert with_alias(named, b"request-id") == named, "a call is started again when its key has been looked up"
    more = line + b"access-control-allow-origin: https://a\r\naccess-control-expose-headers: x, request-id\r\n"
    assert with_alias(more, b"request-id") == more + line[2:]
