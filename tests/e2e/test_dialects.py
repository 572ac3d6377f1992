"""The openai SDK, a real gateway, and vendors who speak otherwise: imitated on real sockets, by their recorded answers.

The imitation checks what a vendor would: path, credential, and Amazon's signature as botocore makes it.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import httpx2
import openai
import pytest
from tests.providers.recorded import events, whole

from .conftest import AT_ONCE, Served, serving

DIALECTS = ("anthropic", "gemini", "bedrock", "azure")
PATHS = {
    "anthropic": (r"/anthropic/v1/messages", r"/anthropic/v1/messages"),
    "gemini": (
        r"/gemini/v1beta/models/[\w.-]+:generateContent",
        r"/gemini/v1beta/models/[\w.-]+:streamGenerateContent\?alt=sse",
    ),
    "bedrock": (r"/bedrock/model/[\w.%-]+/converse", r"/bedrock/model/[\w.%-]+/converse-stream"),
    "azure": (r"/azure/openai/deployments/m-1/chat/completions\?api-version=2024-10-21",) * 2,
}
TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
# (status, headers, body) of a vendor that has had enough.
BUSY: dict[str, tuple[dict[str, str], Any]] = {
    "anthropic": ({"retry-after": "7"}, {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}),
    "gemini": ({"retry-after": "7"}, {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}),
    "bedrock": ({"retry-after": "7", "x-amzn-ErrorType": "ThrottlingException:http://x"}, {"message": "slow"}),
    "azure": ({"retry-after": "7"}, {"error": {"code": "429", "message": "slow"}}),
}
REFUSED: dict[str, Any] = {
    "anthropic": {"type": "error", "error": {"type": "invalid_request_error", "message": "not like this"}},
    "gemini": {"error": {"code": 400, "message": "not like this", "status": "INVALID_ARGUMENT"}},
    "bedrock": {"message": "not like this"},
    "azure": {"error": {"code": "BadRequest", "message": "not like this"}},
}


class Vendor(BaseHTTPRequestHandler):
    """Answers with the recording that the last message names; a request that a vendor would not take gets 403."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        dialect = self.path.split("/")[1]
        streams = "stream" in self.path.lower() if dialect in ("gemini", "bedrock") else b'"stream":true' in body
        if trouble := self._trouble(dialect, body, streams):
            self._whole(403, {}, json.dumps({"message": trouble}).encode())
            self.server.troubles.append(trouble)  # type: ignore[attr-defined]
            return
        self.server.bodies.append(json.loads(body))  # type: ignore[attr-defined]
        found = re.search(rb"case (\w+)", body)
        assert found is not None
        case = found[1].decode()
        vendor = "openai" if dialect == "azure" else dialect
        if case == "busy":
            headers, said = BUSY[dialect]
            self._whole(429, headers, json.dumps(said).encode())
        elif case == "refused":
            self._whole(400, {"x-amzn-errortype": "ValidationException"}, json.dumps(REFUSED[dialect]).encode())
        elif streams:
            self._stream(vendor, events(vendor, case.removesuffix("cut")), cut=case.endswith("cut"))
        else:
            self._whole(200, {}, whole(vendor, case))

    def _trouble(self, dialect: str, body: bytes, streams: bool) -> str | None:
        if not re.fullmatch(PATHS[dialect][streams], self.path):
            return f"path {self.path}"
        if self.headers["content-type"] != "application/json":
            return "content type"
        given = {name.lower(): value for name, value in self.headers.items()}
        if dialect == "bedrock":
            return self._signature_trouble(given, body)
        wanted = {
            "anthropic": {"x-api-key": "sk-ant", "anthropic-version": "2023-06-01"},
            "gemini": {"x-goog-api-key": "sk-goog"},
            "azure": {"api-key": "sk-az"},
        }[dialect]
        if "authorization" in given or any(given.get(name) != value for name, value in wanted.items()):
            return f"credential {given}"
        return None

    def _signature_trouble(self, given: dict[str, str], body: bytes) -> str | None:
        """Signs the request as it came, at the time that it names, and compares."""
        request = botocore.awsrequest.AWSRequest("POST", f"http://{given['host']}{self.path}", {}, body)
        request.context["timestamp"] = given["x-amz-date"]
        request.headers["Host"] = given["host"]
        request.headers["X-Amz-Date"] = given["x-amz-date"]
        request.headers["X-Amz-Security-Token"] = given["x-amz-security-token"]
        signer = botocore.auth.SigV4Auth(
            botocore.credentials.Credentials("AKID", "secret", "token"), "bedrock", "eu-west-1"
        )
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        if given["authorization"].endswith(f"Signature={signature}") and given["x-amz-security-token"] == "token":
            return None
        return f"signature {given['authorization']}"

    def _whole(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, vendor: str, blocks: list[bytes], *, cut: bool) -> None:
        self.send_response(200)
        kind = "application/vnd.amazon.eventstream" if vendor == "bedrock" else "text/event-stream"
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for block in blocks[: len(blocks) // 2] if cut else blocks:
            middle = len(block) // 2
            for piece in (block[:middle], block[middle:]):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


class Vendors(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Vendor)
        self.troubles: list[str] = []
        self.bodies: list[Any] = []

    def handle_error(self, *_: object) -> None:
        """A gateway that disconnects from a broken stream is no trouble."""
        if not isinstance(sys.exception(), ConnectionError):
            self.troubles.append(repr(sys.exception()))


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    with Vendors() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def rows(vendors: Vendors) -> dict[str, str]:
    """How each of the vendors is reached, by its preset."""
    base = f"http://127.0.0.1:{vendors.server_address[1]}"
    found = {
        "anthropic": f'base_url = "{base}/anthropic/v1"\napi_key = "sk-ant"',
        "gemini": f'base_url = "{base}/gemini/v1beta"\napi_key = "sk-goog"',
        "bedrock": f'base_url = "{base}/bedrock"\nregion = "eu-west-1"\naccess_key_id = "AKID"\n'
        'secret_access_key = "secret"\nsession_token = "token"',
        "azure": f'base_url = "{base}/azure"\napi_key = "sk-az"',
    }
    return {name: f'[[providers]]\nid = "{name}"\npreset = "{name}"\n{row}\n' for name, row in found.items()}


@pytest.fixture(scope="module")
def served(vendors: Vendors, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = AT_ONCE
    for name, row in rows(vendors).items():
        config += row
        for use in ("text", "busy"):
            config += (
                f'[[models]]\nid = "{name}/{use}"\ninput_modalities = ["text", "image"]\n[[models.deployments]]\nprovider = "{name}"\n'
                'upstream_model = "m-1"\nprice = { input = "1", cached_input = "0.1", output = "3" }\n'
            )
    with serving(tmp_path_factory.mktemp("dialects"), config) as running:
        yield running


@pytest.fixture
def client(served: Served, vendors: Vendors) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as sdk:
        yield sdk
    assert vendors.troubles == []


def case(name: str) -> Any:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"case {name}"}]


def charged(served: Served, headers: Any) -> tuple[str, dict[str, int]]:
    """(dollars, tokens by class) of the receipt."""
    with httpx2.Client(trust_env=False, timeout=60) as http:
        url = f"{served.url}/v1/receipts/{headers['x-fairlead-generation-id']}"
        receipt = http.get(url, headers={"Authorization": f"Bearer {served.key}"}).json()
    return receipt["charged_usd"], {line["class"]: line["tokens"] for line in receipt["lines"]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_text_comes_whole_and_in_pieces_and_its_bill_knows_the_cache(
    client: openai.OpenAI, served: Served, dialect: str, stream: bool
) -> None:
    ask = client.chat.completions.with_raw_response.create
    if stream:
        raw: Any = ask(
            model=f"{dialect}/text", messages=case("text"), stream=True, stream_options={"include_usage": True}
        )
        chunks = list(raw.parse())
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        finishes = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
        usage, models = chunks[-1].usage, {chunk.model for chunk in chunks}
    else:
        raw = ask(model=f"{dialect}/text", messages=case("text"))
        answer = raw.parse()
        text, finishes = answer.choices[0].message.content, [answer.choices[0].finish_reason]
        usage, models = answer.usage, {answer.model}
    assert (text, finishes, models) == ("Héllo 🌍", ["stop"], {f"{dialect}/text"})
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (25, 7, 32)
    assert usage.prompt_tokens_details.cached_tokens == 10
    # 15 x 1, 10 x 0.1 and 7 x 3 dollars per million
    dollars, tokens = charged(served, raw.headers)
    assert (dollars, usage.cost_usd) == ("0.000037", "0.000037")
    assert {name: tokens[name] for name in ("input", "cached_input", "output")} == {
        "input": 15, "cached_input": 10, "output": 7,
    }  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_tools_go_there_and_back(client: openai.OpenAI, vendors: Vendors, dialect: str) -> None:
    ask = client.chat.completions.create
    answer = ask(model=f"{dialect}/text", messages=case("tools"), tools=TOOLS, tool_choice="required")
    calls: Any = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "Oslo"}, {"city": "Rome"}]
    with client.chat.completions.stream(model=f"{dialect}/text", messages=case("tools"), tools=TOOLS) as stream:
        streamed: Any = stream.get_final_completion().choices[0].message
    assert [json.loads(call.function.arguments) for call in streamed.tool_calls] == [{"city": "Oslo"}, {"city": "Rome"}]
    assert [call.id for call in streamed.tool_calls] == [call.id for call in calls]
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "wet"} for call in calls]
    said: Any = answer.choices[0].message.model_dump(exclude_none=True)
    again = ask(model=f"{dialect}/text", messages=[*case("text"), said, *results], tools=TOOLS)
    assert again.choices[0].message.content == "Héllo 🌍"
    sent = json.dumps(vendors.bodies[-1])
    assert sent.count("wet") == 2
    assert sent.count("Oslo") == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_thoughts_are_told_apart(client: openai.OpenAI, dialect: str) -> None:
    message: Any = (
        client.chat.completions.create(model=f"{dialect}/text", messages=case("reasoning")).choices[0].message
    )
    assert (message.content, message.reasoning_content) == ("42", "Let me think.")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_vendors_refusal_is_told_and_costs_nothing(client: openai.OpenAI, served: Served, dialect: str) -> None:
    with pytest.raises(openai.BadRequestError, match="not like this") as caught:
        client.chat.completions.create(model=f"{dialect}/text", messages=case("refused"))
    assert charged(served, caught.value.response.headers)[0] == "0"
    with pytest.raises(openai.RateLimitError) as busy:
        client.chat.completions.create(model=f"{dialect}/busy", messages=case("busy"))
    assert int(busy.value.response.headers["retry-after"]) in (6, 7)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["textcut", "error"])
def test_a_stream_that_breaks_never_looks_complete(client: openai.OpenAI, dialect: str, name: str) -> None:
    seen = []
    with pytest.raises(openai.APIError):
        for chunk in client.chat.completions.create(model=f"{dialect}/text", messages=case(name), stream=True):
            seen += [choice.finish_reason for choice in chunk.choices]
    assert set(seen) <= {None, "error"}


def test_several_answers_come_by_several_calls_where_the_dialect_has_no_word_for_it(client: openai.OpenAI) -> None:
    for dialect in ("anthropic", "bedrock"):
        raw = client.chat.completions.with_raw_response.create(model=f"{dialect}/text", messages=case("reasoning"), n=2)
        assert len(raw.parse().choices) == 2
        assert "n" in raw.headers["x-fairlead-emulated"]


def test_what_was_dropped_or_clamped_is_named(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="anthropic/text", messages=case("text"), seed=3)
    assert raw.headers["x-fairlead-dropped"] == "seed"
    raw = client.chat.completions.with_raw_response.create(
        model="anthropic/text", messages=case("text"), temperature=1.7, max_tokens=50,
        extra_body={"fairlead": {"parameters": True}},
    )  # fmt: skip
    assert raw.headers["x-fairlead-parameters"] == "translated=max_tokens; clamped=temperature"
    assert raw.headers["x-fairlead-clamped"] == "temperature"


def test_a_beginning_that_gemini_would_not_go_on_from_is_not_sent(client: openai.OpenAI, vendors: Vendors) -> None:
    begun: Any = [*case("text"), {"role": "assistant", "content": "Hé"}]
    before = len(vendors.bodies)
    with pytest.raises(openai.APIStatusError, match="prefill"):
        client.chat.completions.create(model="gemini/text", messages=begun)
    assert len(vendors.bodies) == before


def test_strict_mode_names_all_that_would_be_lost(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="anthropic/text", messages=case("text"), temperature=1.7, seed=3, presence_penalty=1,
            extra_body={"fairlead": {"strict": True}},
        )  # fmt: skip
    body: Any = caught.value.body
    assert sorted(body["parameters"]) == ["presence_penalty", "seed", "temperature"]
    assert all(repr(name) in body["message"] for name in body["parameters"])
