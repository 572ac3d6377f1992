"""What new things cost: a caller dialect a folder and a row, an operation a module and a row, a route and a setting one
line. Each is added here, and used."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import pytest
from msgspec import Meta
from tests.compose.test_serving import Running, get, run, running
from tests.house.shout import SHOUT, Shout

from fairlead.api import routes
from fairlead.api.openapi import document
from fairlead.api.routes import all_routes
from fairlead.doors.table import DOORS, DoorRow
from fairlead.errors import ConfigurationError, FairleadError
from fairlead.http.request import Request, Response
from fairlead.providers.dialect import Binding, OperationAPI
from fairlead.providers.dialects import DIALECTS, VENDORS
from fairlead.providers.failures import upstream_error
from fairlead.routing.demand import Demand
from fairlead.routing.prompt import Prompt
from fairlead.settings import File, LedgerSettings, load, reference
from fairlead.settings.sections import Doc
from fairlead.testing import Fault, Reply, ScriptedUpstream
from fairlead.tokens import Counted
from fairlead.wire.usage import TokenClasses, Usage

SOURCE = Path(__file__).parents[2] / "src" / "fairlead"
JSON = "Content-Type: application/json"


ECHOES = "echoes"


class EchoPayload:
    """A checked request of an operation of its own: nothing of it is a chat."""

    api = ECHOES
    reports = include_usage = False
    cap, cap_name = 0, "length"
    names = ("echo",)
    trace = None

    def __init__(self, model: str, sound: str) -> None:
        self.model = model
        self.sound = sound

    def with_cap(self, _tokens: int) -> EchoPayload:
        return self

    def release(self) -> None:
        self.sound = ""


class Echo:
    """An operation of its own, as its module would have it. It notes what it is asked."""

    name = "echo"
    modes = frozenset({"chat"})

    def __init__(self) -> None:
        self.asked: list[str] = []

    def demand(self, payload: Any) -> Demand:
        self.asked.append("demand")
        size = len(payload.sound)
        return Demand(self, payload, payload.model, 0, 0, size, size, 0, 1, False, False, False, False, (), None)

    def affinity(self, payload: Any) -> int:
        self.asked.append("affinity")
        return hash(payload.model) or 1

    def media_tokens(self, _payload: Any, _image_tokens: int) -> int:
        return 0

    def count(self, payload: Any, _family: str | None, _whole: bool) -> Counted:
        self.asked.append("count")
        return Counted(len(payload.sound), "counted")

    def kept(self, payload: Any) -> Prompt:
        self.asked.append("kept")
        return Prompt(len(payload.sound), len(payload.sound), 0, 1)

    def is_empty(self, _text: str) -> bool:
        return False

    def probe(self, model: str) -> EchoPayload:
        return EchoPayload(model, "echo")


class EchoAnswer:
    """The provider's document, with its cost."""

    head = b"content-type: text/echo\r\n"
    choices = 1

    def __init__(self, body: bytes) -> None:
        self._document = json.loads(body)

    @property
    def usage(self) -> Usage:
        heard = self._document["heard"]
        return Usage(TokenClasses(heard, request=1), heard, 0)

    def delivered(self) -> str:
        return ""

    def end(self, members: bytes, _counted: Usage | None = None) -> bytes:
        return self._document["echo"].encode() + members


class EchoCall(NamedTuple):
    body: list[bytes | memoryview]
    path: bytes
    headers: bytes = b""
    stream: bool = False
    bare: bool = False
    dropped: tuple[str, ...] = ()
    clamped: tuple[str, ...] = ()


class EchoAdapter:
    """The operation at providers that speak it, as a vendor's folder would have it."""

    stream_type = b""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    def to_vendor(self, payload: EchoPayload) -> EchoCall:
        body = json.dumps({"model": self._binding.upstream_model, "sound": payload.sound})
        return EchoCall([body.encode()], self._binding.path)

    def plain(self, _call: EchoCall, body: bytes) -> EchoAnswer:
        return EchoAnswer(body)

    def relay(self, _call: EchoCall) -> NoReturn:
        raise AssertionError("it does not stream")

    assembler = relay

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return upstream_error(status, headers, body)


class EchoDoor(Shout):
    """The same dialect for another operation."""

    api = ECHOES
    new_writer = None

    def __init__(self, operation: Echo) -> None:
        self._operation = operation

    def parse(self, request: Request) -> Demand:
        body = json.loads(request.body)
        return self._operation.demand(EchoPayload(body.get("model", "m"), body["echo"]))


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
        other = await caller.post("/v1/nothing", b"{}", key)
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


def test_an_operation_is_a_module_and_a_row_of_doors_and_of_a_vendor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: ScriptedUpstream
) -> None:
    echo = Echo()
    add(monkeypatch, DoorRow("echo", ("/v1/echoes",), echo, EchoDoor(echo), "Echoes.", streams=False))
    offered = OperationAPI(ECHOES, native=EchoAdapter, path="/echoes/{deployment}?api-version={api_version}")
    monkeypatch.setitem(VENDORS["openai"].operations, echo.name, offered)  # type: ignore[arg-type]

    async def test(it: Running) -> None:
        body = json.dumps({"echo": "a long way " * 1_000}).encode()
        answer = await it.caller().post("/v1/echoes", body, f"X-Shout-Key: {it.key}")
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"] == "text/echo"
        assert answer.headers["x-fairlead-cost"] == "0"
        assert answer.body == b'ay ay ay,"cost":0,"cost_usd":"0"'
        assert (await it.caller().call("m")).status == 200, "chat is what it was"

    with ScriptedUpstream() as other:
        for one in (upstream, other):
            one.paths.append("/echoes/x0" if one is upstream else "/echoes/x1")
            one.enqueue(Reply(body='{"echo": "ay ay ay", "heard": 11000}'))
            one.enqueue(Reply())
        with_gateway(tmp_path, test, upstream.url, other.url)
        sent = next(one for one in upstream.requests + other.requests if "echoes" in one.path)
    assert sent.path in ("/v1/echoes/x0?api-version=", "/v1/echoes/x1?api-version=")
    assert sent.json["sound"].startswith("a long way a long way")
    assert sent.headers["content-type"] == "application/json"
    assert echo.asked == ["demand", "affinity", "kept"], "at the door, where it is planned, where it is tried"
    described: dict[str, Any] = document(all_routes())["paths"]["/v1/echoes"]["post"]
    assert described["tags"] == ["Echo"]
    assert described["summary"] == "Echoes."
    assert "text/event-stream" not in described["responses"]["200"]["content"]


def test_a_provider_without_the_operation_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: ScriptedUpstream
) -> None:
    echo = Echo()
    add(monkeypatch, DoorRow("echo", ("/v1/echoes",), echo, EchoDoor(echo), "Echoes.", streams=False))
    monkeypatch.setitem(VENDORS["openai"].operations, echo.name, OperationAPI(ECHOES, EchoAdapter, path="/echoes"))  # type: ignore[arg-type]
    chats_only = replace(DIALECTS["generic"], name="chats", operations=frozenset({"chat"}))
    monkeypatch.setitem(DIALECTS, "chats", chats_only)  # type: ignore[arg-type]
    upstream.paths.append("/echoes")
    upstream.default = Reply(body='{"echo": "ay", "heard": 1}')

    text = "".join(
        f'[[providers]]\nid = "{name}"\ndialect = "{name}"\nbase_url = "{upstream.url}"\n'
        for name in ("chats", "generic")
    )
    for model, names in (("m", ("chats", "generic")), ("n", ("chats",))):
        text += f'[[models]]\nid = "{model}"\n'
        for name in names:
            text += f'[[models.deployments]]\nprovider = "{name}"\nupstream_model = "x"\nprice = "free"\n'

    async def test() -> None:
        async with running(tmp_path, text) as it:
            caller, key = it.caller(), f"X-Shout-Key: {it.key}"
            for _ in range(4):
                answer = await caller.post("/v1/echoes", b'{"echo": "o"}', key)
                assert answer.headers["x-fairlead-deployment"] == "generic/x"
            refused = await caller.post("/v1/echoes", b'{"echo": "o", "model": "n"}', key)
            assert refused.status == 400
            assert b"'N' OFFERS ECHO" in refused.body

    run(test)


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


@cache
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
    words = {word for row in DOORS.values() for word in (row.name, *row.paths)}
    for file in SOURCE.rglob("*.py"):
        text = file.read_text("utf-8")
        if not any(word in text for word in words):
            continue  # most files: parsing costs more
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in words:
                assert str(file.relative_to(SOURCE)) == "doors/table.py", file


def test_the_endpoints_know_no_operation() -> None:
    for file in (SOURCE / "api").glob("*.py"):
        assert not any(module.startswith("fairlead.operations") for module in imports_of(file)), file
        if file.name != "openapi.py":  # which lists the parameters of a chat
            assert "fairlead.wire.chat" not in imports_of(file), file
