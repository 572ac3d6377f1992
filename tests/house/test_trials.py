"""What new things cost: a caller dialect a folder and a row, an operation a module and a row, a route and a setting one
line. Each is added here, and used."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import Meta
from tests.compose.test_serving import Running, get, run, running
from tests.house.shout import SHOUT, Shout, shouted

from fairlead.api import routes
from fairlead.api.openapi import document
from fairlead.api.routes import all_routes
from fairlead.doors.table import DOORS, DoorRow
from fairlead.errors import ConfigurationError
from fairlead.http.request import Request, Response
from fairlead.operations.chat.operation import CHAT
from fairlead.routing.demand import Demand
from fairlead.routing.prompt import Prompt
from fairlead.settings import File, LedgerSettings, load, reference
from fairlead.settings.sections import Doc
from fairlead.testing import Fault, Reply, ScriptedUpstream
from fairlead.tokens import Counted
from fairlead.wire.apis import CHAT_COMPLETIONS
from fairlead.wire.chat_request import ChatRequest

SOURCE = Path(__file__).parents[2] / "src" / "fairlead"
JSON = "Content-Type: application/json"


class Echo:
    """An operation of its own, as its module would have it. It notes what it is asked."""

    name = "echo"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def demand(self, payload: Any) -> Demand:
        self.asked.append("demand")
        size = len(payload.messages)
        return Demand(self, payload, payload.model, 0, 0, size, size, 1, 1, False, False, False, False, (), None)

    def affinity(self, payload: Any) -> int:
        self.asked.append("affinity")
        return hash(payload.model) or 1

    def media_tokens(self, _payload: Any, _image_tokens: int) -> int:
        return 0

    def count(self, payload: Any, _family: str | None, _whole: bool) -> Counted:
        self.asked.append("count")
        return Counted(len(payload.messages), "counted")

    def kept(self, payload: Any) -> Prompt:
        self.asked.append("kept")
        return CHAT.kept(payload)

    def is_empty(self, text: str) -> bool:
        return not text

    def probe(self, model: str) -> ChatRequest:
        return shouted(model, "echo")


class EchoDoor(Shout):
    """The same dialect for another operation."""

    api = CHAT_COMPLETIONS

    def __init__(self, operation: Echo) -> None:
        self._operation = operation

    def parse(self, request: Request) -> Demand:
        return self._operation.demand(shouted("m", json.loads(request.body)["echo"]))


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


def configuration(*urls: str) -> str:
    text = "retries = 0\n" + "".join(
        f'[[providers]]\nid = "p{at}"\nbase_url = "{url}"\n' for at, url in enumerate(urls)
    )
    text += '[[models]]\nid = "m"\n'
    for at in range(len(urls)):
        text += f'[[models.deployments]]\nprovider = "p{at}"\nupstream_model = "x{at}"\nprice = "free"\n'
    return text


def with_gateway(tmp_path: Path, test: Callable[[Running], Awaitable[None]], *urls: str) -> None:
    async def served() -> None:
        async with running(tmp_path, configuration(*urls)) as it:
            await test(it)

    run(served)


def add(monkeypatch: pytest.MonkeyPatch, row: DoorRow) -> None:
    """All that is changed of the program."""
    monkeypatch.setitem(DOORS, row.name, row)  # type: ignore[arg-type]


def test_a_caller_dialect_is_a_folder_and_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: ScriptedUpstream
) -> None:
    add(monkeypatch, SHOUT)

    async def test(it: Running) -> None:
        caller = it.caller()
        for said in ("hello", "hello again"):  # the second with a head that is known
            answer = await caller.post("/shout/v1/m", json.dumps({"say": said}).encode(), f"X-Shout-Key: {it.key}")
            assert answer.status == 200, answer.body
            assert re.fullmatch(rb'M SHOUTS: THIS IS A SCRIPTED ANSWER\.!\n\d+,"cost":0,"cost_usd":"0"\n', answer.body)
            assert upstream.requests[-1].json["messages"][0]["content"] == said.upper()
        assert (await caller.post(f"/shout/v1/m?key={it.key}", b'{"say": "hi"}')).status == 200
        streamed = await caller.post("/shout/v1/m", b'{"say": "hi", "live": true}', f"X-Shout-Key: {it.key}")
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert streamed.body.startswith(b"M SHOUTS: THIS IS A SCRIPTED ANSWER. (STOP)\n")
        await it.parts.ledger.flush()

    with_gateway(tmp_path, test, upstream.url)
    assert len(upstream.requests) == 4


def test_its_errors_are_written_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: ScriptedUpstream
) -> None:
    add(monkeypatch, SHOUT)

    async def test(it: Running) -> None:
        caller, key = it.caller(), f"X-Shout-Key: {it.key}"

        async def refused(target: str, body: bytes, *lines: str) -> tuple[int, str]:
            answer = await caller.post(target, body, *lines)
            assert answer.headers["content-type"] == "text/shout"
            assert "www-authenticate" not in answer.headers
            assert answer.headers["x-request-id"]
            return answer.status, answer.body.decode()

        asking = "INVALID_API_KEY! NO API KEY WAS SENT. SEND ONE AS 'X-SHOUT-KEY: SK-FL-...'."
        assert await refused("/shout/v1/m", b'{"say": "hi"}') == (401, asking)
        assert await refused("/shout/v1/m", b'{"say": "hi"}', f"Authorization: Bearer {it.key}") == (401, asking)
        assert (await refused("/shout/v1/m", b'{"say": "hi"}', "X-Shout-Key: sk-fl-nobody"))[0] == 401
        nothing = (400, "INVALID_REQUEST! THERE IS NOTHING TO SHOUT.")
        assert await refused("/shout/v1/m", b'{"say?": "hi"}', key) == nothing
        assert (await refused("/shout/v1/n", b'{"say": "hi"}', key))[1].startswith("MODEL_NOT_FOUND! ")
        upstream.enqueue(Reply(status=500))
        status, words = await refused("/shout/v1/m", b'{"say": "hi"}', key)
        assert status == 502
        assert words.startswith("UPSTREAM_FAILED! ")
        # A path without a row has the words of the API.
        other = await caller.post("/v1/completions", b"{}", key)
        assert json.loads(other.body)["error"]["code"] == "not_found"

    with_gateway(tmp_path, test, upstream.url)


def test_a_stream_that_is_cut_ends_with_its_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: ScriptedUpstream
) -> None:
    add(monkeypatch, SHOUT)
    upstream.enqueue(Reply(fault=Fault.EOF, after_chunks=3))

    async def test(it: Running) -> None:
        answer = await it.caller().post("/shout/v1/m", b'{"say": "hi", "live": true}', f"X-Shout-Key: {it.key}")
        assert answer.status == 200
        assert answer.body.startswith(b"M SHOUTS: THIS")
        assert answer.body.endswith(b"\nevent: oh no\ndata: UPSTREAM_CUT!\n"), "by the writer, which knows the stream"

    with_gateway(tmp_path, test, upstream.url)


def test_an_operation_is_a_module_and_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: ScriptedUpstream
) -> None:
    echo = Echo()
    add(monkeypatch, DoorRow("echo", ("/v1/echoes",), echo, EchoDoor(echo), "Echoes.", streams=False))

    async def test(it: Running) -> None:
        body = json.dumps({"echo": "a long way " * 1_000}).encode()
        answer = await it.caller().post("/v1/echoes", body, f"X-Shout-Key: {it.key}")
        assert answer.status == 200, answer.body

    with ScriptedUpstream() as other:
        with_gateway(tmp_path, test, upstream.url, other.url)
        [sent] = upstream.requests + other.requests
    assert sent.json["messages"][0]["content"].startswith("A LONG WAY A LONG WAY")
    assert echo.asked == ["demand", "affinity", "kept"], "at the door, where it is planned, where it is tried"
    described: dict[str, Any] = document(all_routes())["paths"]["/v1/echoes"]["post"]
    assert described["tags"] == ["Echo"]
    assert described["summary"] == "Echoes."
    assert "text/event-stream" not in described["responses"]["200"]["content"]


def test_a_route_is_one_line_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: ScriptedUpstream
) -> None:
    def hours(request: Request, response: Response) -> None:
        response.send(200, b"content-type: application/json\r\n", request.body or b'{"open": "always"}')

    new = (
        routes.Route("GET", "/v1/hours", lambda _: hours, "anyone", "Hours", "Shows the opening hours."),
        routes.Route("POST", "/v1/hours/{day}", lambda _: hours, "key", "Hours", "Sets those of a day.", body="Redeem"),
    )
    monkeypatch.setattr(routes, "ROUTES", (*routes.ROUTES, *new))

    async def test(it: Running) -> None:
        assert (await get(it.port, "/v1/hours")) == {"open": "always"}
        caller = it.caller()
        assert (await caller.post("/v1/hours/sunday", b'{"code": "x"}')).status == 401
        key = f"Authorization: Bearer {it.key}"
        assert (await caller.post("/v1/hours/sunday", b'{"code": "x"}', key)).body == b'{"code": "x"}'
        assert (await caller.post("/v1/hours", b"{}", key)).status == 405
        described = (await get(it.port, "/openapi.json"))["paths"]
        assert described["/v1/hours"]["get"]["summary"] == "Shows the opening hours."
        assert "security" in described["/v1/hours/{day}"]["post"]

    with_gateway(tmp_path, test, upstream.url)


class MoreLedgerSettings(LedgerSettings, frozen=True, forbid_unknown_fields=True):
    grace_seconds: Annotated[int, Meta(ge=0, le=90), Doc("how long a bill may wait ([ledger])")] = 4


class MoreFile(File, frozen=True, forbid_unknown_fields=True):
    ledger: MoreLedgerSettings = MoreLedgerSettings()


def test_a_setting_is_one_field_of_its_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "File", MoreFile)
    monkeypatch.setattr(reference, "File", MoreFile)
    file = tmp_path / "fairlead.toml"

    def grace(text: str) -> Any:
        file.write_text(text)
        return load.load_settings(file, {}).ledger.grace_seconds  # type: ignore[attr-defined]

    def refusal(text: str) -> str:
        with pytest.raises(ConfigurationError) as caught:
            grace(text)
        return caught.value.message.removeprefix(str(tmp_path))

    assert grace("") == 4
    assert grace("[ledger]\ngrace_seconds = 7\n") == 7
    assert refusal("[ledger]\ngrace_seconds = 91\n") == (
        "/fairlead.toml:2: grace_seconds takes a whole number from 0 to 90, not 91."
    )
    assert "did you mean 'grace_seconds'?" in refusal("[ledger]\ngrace_secondz = 7\n")
    assert "belongs in [ledger]" in refusal("[server]\ngrace_seconds = 7\n")
    docs = SOURCE.parents[1] / "docs"
    page = reference.renewed(docs / "reference" / "settings.md", docs)
    assert "| `grace_seconds` | 4 | 0 to 90 | how long a bill may wait ([ledger](../internals/ledger.md)) |\n" in page


def imports_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_only_the_table_knows_the_folders_of_doors() -> None:
    folders = {file.parent.name for file in (SOURCE / "doors").glob("*/door.py")}
    assert "openai_chat" in folders
    for folder in folders:
        knowing = {
            str(file.relative_to(SOURCE))
            for file in SOURCE.rglob("*.py")
            if any(f"{module}.".startswith(f"fairlead.doors.{folder}.") for module in imports_of(file))
        }
        assert {name for name in knowing if not name.startswith(f"doors/{folder}/")} == {"doors/table.py"}


def test_no_code_but_its_row_knows_a_door_by_name_or_path() -> None:
    for row in DOORS.values():
        for file in SOURCE.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and node.value in (row.name, *row.paths):
                    assert str(file.relative_to(SOURCE)) == "doors/table.py", file


def test_the_endpoints_know_no_operation() -> None:
    for file in (SOURCE / "api").glob("*.py"):
        assert not any(module.startswith("fairlead.operations") for module in imports_of(file)), file
        if file.name != "openapi.py":  # which lists the parameters of a chat
            assert "fairlead.wire.chat" not in imports_of(file), file
