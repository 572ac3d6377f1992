"""A caller with OpenAI's SDK, a real gateway, and vendors that speak dialects of their own on real sockets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from fairlead.testing import Received, Reply, ScriptedUpstream

from ..providers.support import document_of, stream_of  # noqa: TID252 - the recordings stand beside their dialects
from .conftest import Served, fairlead, serving

HELLO: Any = [{"role": "user", "content": "Hello!"}]
NAMES = ["anthropic", "gemini", "bedrock", "azure"]
STREAMS = {"bedrock": "application/vnd.amazon.eventstream"}
PATHS = {
    "anthropic": (r"/v1/messages", r"/v1/messages"),
    "gemini": (r"/v1beta/models/m:generateContent", r"/v1beta/models/m:streamGenerateContent\?alt=sse"),
    "bedrock": (r"/model/a.m%3A0/converse", r"/model/a.m%3A0/converse-stream"),
    "azure": (r"/openai/deployments/m/chat/completions\?api-version=2024-10-21",) * 2,
}


def recorded(name: str, case: str, *, stream: bool) -> Reply:
    if not stream:
        return Reply(body=document_of(name, case))
    return Reply(body=stream_of(name, case), headers={"content-type": STREAMS.get(name, "text/event-stream")})


@pytest.fixture(scope="module")
def vendors() -> Iterator[dict[str, ScriptedUpstream]]:
    started = {name: ScriptedUpstream(any_path=True) for name in NAMES}
    for one in started.values():
        one.start()
    yield started
    for one in started.values():
        one.stop()


@pytest.fixture(scope="module")
def served(vendors: dict[str, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = ""
    for name, vendor in vendors.items():
        prefix = {"anthropic": "/v1", "gemini": "/v1beta"}.get(name, "")
        key = 'api_key = "sk-up"'
        if name == "bedrock":
            key = 'region = "us-east-1"\naccess_key_id = "AKIDEXAMPLE"\nsecret_access_key = "secret"'
        model = "a.m:0" if name == "bedrock" else "m"
        config += (
            f'[[providers]]\nid = "{name}"\npreset = "{name}"\nbase_url = "http://127.0.0.1:{vendor.port}{prefix}"\n{key}\n'
            f'[[models]]\nid = "by/{name}"\n[[models.deployments]]\nprovider = "{name}"\nupstream_model = "{model}"\n'
            'price = { input = "1", output = "2" }\n'
        )
    with serving(tmp_path_factory.mktemp("vendors"), config) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as sdk:
        yield sdk


def last(vendor: ScriptedUpstream) -> Received:
    return vendor.requests[-1]


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_answer_and_a_stream_come_in_openais_shape_and_are_charged(
    client: openai.OpenAI, vendors: dict[str, ScriptedUpstream], name: str
) -> None:
    vendor = vendors[name]
    vendor.enqueue(recorded(name, "text", stream=False), recorded(name, "text", stream=True))
    answer = client.chat.completions.create(model=f"by/{name}", messages=HELLO)
    assert answer.choices[0].message.content == "Héllo 🌍"
    assert answer.usage is not None
    assert answer.usage.model_dump()["cost_usd"] == "0.000039"
    assert re.fullmatch(PATHS[name][0], last(vendor).path)
    chunks = list(
        client.chat.completions.create(
            model=f"by/{name}", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Héllo 🌍"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.model_dump()["cost_usd"] == "0.000039"
    assert {chunk.model for chunk in chunks} == {f"by/{name}"}
    assert re.fullmatch(PATHS[name][1], last(vendor).path)


@pytest.mark.parametrize("name", NAMES)
def test_the_key_goes_where_the_vendor_looks_for_it(
    client: openai.OpenAI, vendors: dict[str, ScriptedUpstream], name: str
) -> None:
    vendors[name].enqueue(recorded(name, "text", stream=False))
    client.chat.completions.create(model=f"by/{name}", messages=HELLO)
    sent = last(vendors[name]).headers
    if name == "bedrock":
        scope = r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/us-east-1/bedrock/aws4_request, "
        assert re.fullmatch(scope + r"SignedHeaders=host;x-amz-date, Signature=[0-9a-f]{64}", sent["authorization"])
        assert re.fullmatch(r"\d{8}T\d{6}Z", sent["x-amz-date"])
        return
    header = {"anthropic": "x-api-key", "gemini": "x-goog-api-key", "azure": "api-key"}[name]
    assert sent[header] == "sk-up"
    assert "authorization" not in sent
    if name == "anthropic":
        assert sent["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("name", NAMES)
def test_a_vendor_that_fails_in_the_middle_is_an_error_and_never_an_end(
    client: openai.OpenAI, vendors: dict[str, ScriptedUpstream], name: str
) -> None:
    whole = recorded(name, "text", stream=True)
    assert isinstance(whole.body, bytes)
    cut = Reply(body=whole.body[: len(whole.body) // 2], headers=whole.headers)
    for reply in (recorded(name, "error", stream=True), cut):
        vendors[name].default = reply
        finishes = []
        with pytest.raises(openai.APIError):
            for chunk in client.chat.completions.create(model=f"by/{name}", messages=HELLO, stream=True):
                finishes += [choice.finish_reason for choice in chunk.choices]
        assert set(finishes) <= {None, "error"}


@pytest.mark.parametrize("name", ["anthropic", "gemini", "bedrock"])
def test_sdk_tools_run_in_a_loop(client: openai.OpenAI, vendors: dict[str, ScriptedUpstream], name: str) -> None:
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]
    vendors[name].enqueue(recorded(name, "tools", stream=True), recorded(name, "text", stream=False))
    with client.chat.completions.stream(model=f"by/{name}", messages=HELLO, tools=tools) as stream:
        message = stream.get_final_completion().choices[0].message
    assert [call.function.arguments for call in message.tool_calls or ()] == ['{"city":"Oslo"}', '{"city":"Rome"}']
    history: Any = [*HELLO, message.model_dump(exclude_none=True, exclude={"parsed"})]
    history += [{"role": "tool", "tool_call_id": call.id, "content": "21C"} for call in message.tool_calls or ()]
    for call in history[1]["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
    answer = client.chat.completions.create(model=f"by/{name}", messages=history, tools=tools)
    assert answer.choices[0].message.content == "Héllo 🌍"
    assert b"Rome" in last(vendors[name]).body


def test_what_was_charged_can_be_made_again(served: Served, tmp_path: Path) -> None:
    checked = fairlead("verify", data=served.data)
    assert checked.returncode == 0, checked.stdout + checked.stderr
