"""The door of Anthropic's Messages, with Anthropic's own SDK: to a provider that speaks it, and to one that does not.

What real clients send is written down as it was recorded from them: Claude Code's request, its headers, its query.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import os
import re
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import anthropic
import pytest
import zstandard

from fairlead.testing import Fault, Received, Reply, ScriptedUpstream, ToolCall
from fairlead.tokens import count_text

from .conftest import IN_ORDER, Served, eventually, provider, serving
from .test_credit import new_key
from .test_disconnects import receipt_of

CLAUDE, MISTRAL = "claude-x", "mistral-small-3.2"
BOTH = pytest.mark.parametrize("name", [CLAUDE, MISTRAL])
HI: Any = [{"role": "user", "content": "Hi"}]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
TOOLS: Any = [
    {"name": name, "description": name, "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    for name in ("weather", "time")
]
CALLS = (ToolCall("weather", '{"city": "Oslo"}'), ToolCall("time", "{}"))
TEXT = "One two  three four, é🎈 five."


class Scene(NamedTuple):
    served: Served
    claude: ScriptedUpstream  # speaks Messages
    other: ScriptedUpstream  # speaks OpenAI's chat completions
    client: anthropic.Anthropic

    def upstream(self, name: str) -> ScriptedUpstream:
        return self.claude if name == CLAUDE else self.other

    def last(self, name: str) -> Received:
        return self.upstream(name).requests[-1]


def sdk(served: Served, key: str | None = None) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=served.url, api_key=key or served.key, max_retries=0)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ScriptedUpstream() as claude, ScriptedUpstream() as other:
        config = "[routing]\nretries = 0\nprobe_interval_seconds = 0\n"
        config += provider(claude.url, name="ant", dialect="anthropic") + provider(other.url, name="own")
        for name, whose, upstream in ((CLAUDE, "ant", "claude-x-20260101"), (MISTRAL, "own", "mistral-up")):
            config += (
                f'[[models]]\nid = "{name}"\n[[models.deployments]]\nprovider = "{whose}"\nupstream_model = "{upstream}"\n'
                'price = { input = "3", output = "15", cached_input = "0.30", cache_write_5m = "3.75" }\n'
            )
        with serving(tmp_path_factory.mktemp("messages"), config) as running:
            with sdk(running) as client:
                yield Scene(running, claude, other, client)


@pytest.fixture(autouse=True)
def _usual(scene: Scene) -> None:
    scene.claude.default = scene.other.default = Reply(text=TEXT)


def post(
    scene: Scene, body: bytes, *, path: str = "/v1/messages", key: str | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    if key != "":
        lines["x-api-key"] = key or scene.served.key
    connection = http.client.HTTPConnection("127.0.0.1", scene.served.port, timeout=60)
    try:
        connection.request("POST", path, body, lines)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def asking(name: str, **members: Any) -> bytes:
    return json.dumps({"model": name, "max_tokens": 100, "messages": HI, **members}).encode()


# --- with the SDK


@BOTH
def test_a_message_whole_and_streamed(scene: Scene, name: str) -> None:
    found = scene.client.messages.create(model=name, max_tokens=100, messages=HI)
    assert [block.text for block in found.content if block.type == "text"] == [TEXT]
    assert (found.model, found.stop_reason, found.usage.input_tokens) == (name, "end_turn", 12)
    assert found._request_id
    assert found._request_id.startswith("req_")
    cost = found.usage.model_dump()["cost_usd"]
    assert cost == "0.00" + str(12 * 3 + found.usage.output_tokens * 15).rjust(4, "0")
    with scene.client.messages.stream(model=name, max_tokens=100, messages=HI, system="Be brief.") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert final.content[0].type == "text"
    assert final.content[0].text == TEXT
    assert final.usage.input_tokens == 12


@BOTH
def test_the_asynchronous_client(scene: Scene, name: str) -> None:
    async def ask() -> str:
        url, key = scene.served.url, scene.served.key
        async with anthropic.AsyncAnthropic(base_url=url, auth_token=key, max_retries=0) as client:
            async with client.messages.stream(model=name, max_tokens=100, messages=HI) as stream:
                return "".join([text async for text in stream.text_stream])

    assert asyncio.run(ask()) == TEXT


@BOTH
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_with_parallel_calls(scene: Scene, name: str, streamed: bool) -> None:
    scene.upstream(name).enqueue(Reply(text="Let me see.", tool_calls=CALLS), Reply(text="It rains."))
    messages = list(HI)

    def turn() -> Any:
        given: Any = {"model": name, "max_tokens": 100, "messages": messages, "tools": TOOLS}
        if not streamed:
            return scene.client.messages.create(**given)
        with scene.client.messages.stream(**given) as stream:
            return stream.get_final_message()

    first = turn()
    assert first.stop_reason == "tool_use"
    uses = [block for block in first.content if block.type == "tool_use"]
    assert [(use.name, use.input) for use in uses] == [("weather", {"city": "Oslo"}), ("time", {})]
    results = [
        {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": f"result {at}"}]}
        for at, use in enumerate(uses)
    ]
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    assert turn().content[0].text == "It rains."
    sent = scene.last(name).json["messages"]
    if name == CLAUDE:
        assert [block["type"] for block in sent[1]["content"]] == ["text", "tool_use", "tool_use"]
        assert sent[2]["content"] == results
    else:
        assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool"]
        assert [call["id"] for call in sent[1]["tool_calls"]] == [use.id for use in uses]
        assert sent[2]["tool_call_id"] == uses[0].id


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_comes_back_with_its_signature(scene: Scene, streamed: bool) -> None:
    scene.claude.enqueue(Reply(text="Yes.", thinking="Let me think.", signature="c2lnbmVk"))
    given: Any = {
        "model": CLAUDE, "max_tokens": 5000, "messages": HI, "thinking": {"type": "enabled", "budget_tokens": 2000},
    }  # fmt: skip
    if streamed:
        with scene.client.messages.stream(**given) as stream:
            found: Any = stream.get_final_message()
    else:
        found = scene.client.messages.create(**given)
    assert (found.content[0].thinking, found.content[0].signature) == ("Let me think.", "c2lnbmVk")
    assert scene.last(CLAUDE).json["thinking"] == {"type": "enabled", "budget_tokens": 2000}


def test_a_conversation_changes_its_model_in_the_middle(scene: Scene) -> None:
    """Reasoning that a model without signatures has made is not sent to Anthropic, which would refuse it."""
    scene.claude.enqueue(Reply(text="Yes.", thinking="Hm.", signature="c2lnbmVk"))
    first = scene.client.messages.create(model=CLAUDE, max_tokens=100, messages=HI)
    turns: Any = [*HI, {"role": "assistant", "content": first.content}, *HI]
    scene.client.messages.create(model=MISTRAL, max_tokens=100, messages=turns)
    spoken = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    assert scene.last(MISTRAL).json["messages"][1] == spoken, "an engine takes the words, and no signature"
    body = json.dumps(scene.other.default.text)
    reasoned = {
        "id": "x", "object": "chat.completion", "created": 1, "model": "mistral-up",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "No.", "reasoning_content": "Own."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }  # fmt: skip
    assert body
    scene.other.enqueue(Reply(body=json.dumps(reasoned)))
    second = scene.client.messages.create(model=MISTRAL, max_tokens=100, messages=HI)
    assert [block.type for block in second.content] == ["thinking", "text"]
    turns = [*turns, {"role": "assistant", "content": second.content}, *HI]
    scene.client.messages.create(model=CLAUDE, max_tokens=100, messages=turns)
    sent = scene.last(CLAUDE).json["messages"]
    assert sent[1]["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
    assert [block["type"] for block in sent[3]["content"]] == ["text"]


@BOTH
def test_images_and_a_picture_in_a_tools_result(scene: Scene, name: str) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [image]}
    messages: Any = [
        {"role": "user", "content": [image, {"type": "text", "text": "What is it?"}]},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    scene.client.messages.create(model=name, max_tokens=100, messages=messages, tools=TOOLS)
    sent = scene.last(name)
    if name == CLAUDE:
        assert sent.json["messages"] == messages
    else:
        assert sent.body.count(f"data:image/png;base64,{PNG}".encode()) == 2
        assert [message["role"] for message in sent.json["messages"]] == ["user", "assistant", "tool", "user"]


@BOTH
def test_counting_tokens(scene: Scene, name: str) -> None:
    before = len(scene.upstream(name).requests)
    found = scene.client.messages.count_tokens(model=name, messages=HI, tools=[])
    assert found.input_tokens == (12 if name == CLAUDE else found.input_tokens) > 0
    assert len(scene.upstream(name).requests) - before == (1 if name == CLAUDE else 0)
    if name == CLAUDE:
        assert scene.last(name).path == "/v1/messages/count_tokens"
        assert scene.last(name).json["model"] == "claude-x-20260101"


def test_errors_are_the_sdks_own(scene: Scene) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        scene.client.messages.create(model="nobody", max_tokens=1, messages=HI)
    assert missing.value.request_id
    with sdk(scene.served, "sk-fl-x") as stranger, pytest.raises(anthropic.AuthenticationError):
        stranger.messages.create(model=CLAUDE, max_tokens=1, messages=HI)
    scene.other.enqueue(Reply(status=429, headers={"retry-after": "7"}))
    with pytest.raises(anthropic.RateLimitError) as limited:
        scene.client.messages.create(model=MISTRAL, max_tokens=1, messages=HI)
    assert limited.value.response.headers["retry-after"] == "7"
    with pytest.raises(anthropic.BadRequestError, match="web_search_20250305"):
        scene.client.messages.create(
            model=MISTRAL, max_tokens=1, messages=HI, tools=[{"type": "web_search_20250305", "name": "web_search"}]
        )


# --- to the byte

# As Claude Code 2.1 sends it: members in this order, the first block of the system prompt positional.
CLAUDE_CODE = (
    b'{"model":"claude-x","messages":[{"role":"user","content":[{"type":"text","text":"<system-reminder>\\u001b caf\xc3\xa9'
    b'</system-reminder>"},{"type":"text","text":"Hello","cache_control":{"type":"ephemeral"}}]},{"role":"system","content":'
    b'"Available agents: none."}],"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1.197; cch=0f3a1;"},'
    b'{"type":"text","text":"You are Claude Code.","cache_control":{"type":"ephemeral"}}],"tools":[{"name":"Edit","description":'
    b'"Edits","input_schema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{},'
    b'"additionalProperties":false}}],"metadata":{"user_id":"{\\"device_id\\":\\"d\\",\\"session_id\\":\\"s\\"}"},"max_tokens":32000,'
    b'"thinking":{"type":"adaptive"},"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},'
    b'"output_config":{"effort":"high"},"stream":true}'
)
BETA = "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,mid-conversation-system-2026-04-07"
CLAUDE_HEADERS = {
    "anthropic_version": "2023-06-01", "anthropic_beta": BETA, "x_app": "cli", "X_Claude_Code_Session_Id": "s-1",
    "X_Stainless_Lang": "js", "anthropic_dangerous_direct_browser_access": "true", "accept_encoding": "gzip, deflate, br, zstd",
}  # fmt: skip


def test_what_claude_code_sends_reaches_anthropic_as_it_was_sent(scene: Scene) -> None:
    scene.claude.enqueue(Reply(text=TEXT, thinking="Hm."))
    status, headers, body = post(scene, CLAUDE_CODE, path="/v1/messages?beta=true", **CLAUDE_HEADERS)
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    assert "x-fairlead-dropped" not in headers
    sent = scene.last(CLAUDE)
    assert sent.path == "/v1/messages?beta=true"
    assert sent.body == CLAUDE_CODE.replace(b'"claude-x"', b'"claude-x-20260101"')
    assert sent.headers["anthropic-beta"] == BETA
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert sent.headers["x-api-key"] == "sk-up"
    assert scene.served.key not in str(sent.headers)
    assert not any("session" in name or "stainless" in name for name in sent.headers)
    assert b"event: message_stop" in body


def test_the_same_to_another_provider_is_carried_as_far_as_it_has_words(scene: Scene) -> None:
    told = CLAUDE_CODE.replace(b"claude-x", MISTRAL.encode())
    status, headers, body = post(scene, told, path="/v1/messages?beta=true", **CLAUDE_HEADERS)
    assert status == 200
    assert "context_management" in headers["x-fairlead-dropped"]
    sent = scene.last(MISTRAL).json
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert "billing-header" not in json.dumps(sent)
    assert "cache_control" not in json.dumps(sent)
    assert sent["max_tokens"] == 32000
    kinds = re.findall(rb"event: (\w+)", body)
    assert kinds[0] == b"message_start"
    assert kinds[-1] == b"message_stop"
    strict = told[:-1] + b',"fairlead":{"strict":true}}'
    status, _, body = post(scene, strict)
    assert (status, json.loads(body)["error"]["type"]) == (400, "invalid_request_error")
    assert b"context_management" in body


def test_an_answer_is_passed_on_as_it_came_but_for_model_and_cost(scene: Scene) -> None:
    whole = (
        b'{ "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x-20260101", "new": [1.50],\n'
        b'"content": [{"type": "text", "text": "Hi", "citations": [{"type": "char_location", "cited_text": "x"}]},'
        b'{"type":"server_tool_use","id":"s","name":"web_search","input":{}}], "stop_reason": "refusal", "stop_details": {"a": 1},'
        b'"usage": {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 3} }'
    )
    scene.claude.enqueue(Reply(body=whole))
    _, headers, body = post(scene, asking(CLAUDE, messages=[{"role": "user", "content": "Hi" * 200}]))
    cost = headers["x-fairlead-cost"]
    assert cost == "0.00018"  # 10 x 3 + 100 x 0.30 + 20 x 3.75 + 3 x 15 millionths
    members = f', "cost":{cost},"cost_usd":"{cost}"'.encode().replace(b', "cost"', b',"cost"')
    assert body == whole.replace(b"claude-x-20260101", b"claude-x").replace(
        b'"output_tokens": 3', b'"output_tokens": 3' + members
    )


def test_errors_of_the_provider_come_back_as_they_were_written(scene: Scene) -> None:
    written = b'{"type":"error","error":{"type":"invalid_request_error","message":"messages.1: `tool_use` ids  ..."},"request_id":"req_9"}'
    for status in (400, 413, 429, 500, 529):
        scene.claude.enqueue(Reply(status=status, body=written, headers={"x-should-retry": "false"}))
        got, headers, body = post(scene, asking(CLAUDE))
        assert (got, body) == (status, written)
        assert headers["x-should-retry"] == "false"
        eventually(lambda: post(scene, asking(CLAUDE))[0] == 200)  # its breaker has closed again
    scene.claude.enqueue(Reply(status=401, body=written.replace(b"messages.1", b"invalid x-api-key")))
    got, _, body = post(scene, asking(CLAUDE))
    assert got == 502, "the operator's key is not the caller's"
    assert b"x-api-key" not in body
    eventually(lambda: post(scene, asking(CLAUDE))[0] == 200)


def test_a_key_of_ours_in_the_query_stays_here(scene: Scene) -> None:
    """As Gemini's clients send it. The rest of the query goes on."""
    for path, sent in ((f"key={scene.served.key}", ""), (f"beta=true&key={scene.served.key}&x=1", "?beta=true&x=1")):
        assert post(scene, asking(CLAUDE), path=f"/v1/messages?{path}")[0] == 200
        assert scene.last(CLAUDE).path == f"/v1/messages{sent}"


def test_threads_go_to_anthropic_and_are_refused_elsewhere(scene: Scene) -> None:
    body = asking(CLAUDE, thread={"type": "continue", "previous_message_id": "msg_1"})
    assert post(scene, body)[0] == 200
    assert scene.last(CLAUDE).json["thread"] == {"type": "continue", "previous_message_id": "msg_1"}
    status, _, answer = post(scene, body.replace(CLAUDE.encode(), MISTRAL.encode()))
    assert status == 400
    assert json.loads(answer)["error"]["details"]["error_code"] == "thread_unsupported_request"


# --- around it


def test_head_at_the_root_is_answered_without_a_key(scene: Scene) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", scene.served.port, timeout=60)
    connection.request("HEAD", "/")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.read() == b""
    connection.close()


@pytest.mark.parametrize("path", ["/api/v1/messages", "/api/messages", "/v1/messages?beta=true&x=1"])
def test_other_paths_of_the_same_door(scene: Scene, path: str) -> None:
    assert post(scene, asking(MISTRAL), path=path)[0] == 200
    status, _, body = post(scene, asking(MISTRAL), path=path, key="")
    assert (status, json.loads(body)["type"]) == (401, "error")


@BOTH
@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_requests(scene: Scene, name: str, encoding: str) -> None:
    plain = asking(name, messages=[{"role": "user", "content": "words " * 20_000}])
    body = gzip.compress(plain) if encoding == "gzip" else zstandard.compress(plain)
    assert len(body) < len(plain) / 10
    assert post(scene, body, content_encoding=encoding)[0] == 200
    sent = scene.last(name)
    assert sent.json["messages"][0]["content"] == "words " * 20_000
    assert "content-encoding" not in sent.headers
    status, _, answer = post(scene, b"not compressed", content_encoding=encoding)
    assert (status, json.loads(answer)["error"]["type"]) == (400, "invalid_request_error")
    assert post(scene, plain, content_encoding="br")[0] == 415


def test_a_decoded_body_counts_against_the_memory_for_bodies(scene: Scene) -> None:
    """Each call is answered, and nothing stays counted."""
    body = zstandard.compress(asking(MISTRAL, messages=[{"role": "user", "content": "words " * 500_000}]))
    for _ in range(5):
        assert post(scene, body, content_encoding="zstd")[0] in (200, 400)
    assert post(scene, asking(MISTRAL))[0] == 200


@BOTH
def test_limits_and_credit(scene: Scene, name: str) -> None:
    poor = new_key(scene.served, "--budget", "total=0.006")
    status, headers, body = post(scene, asking(name, max_tokens=100_000), key=poor)
    assert (status, json.loads(body)["error"]["type"]) == (402, "billing_error")
    assert json.loads(body)["error"]["largest_max_tokens"] > 0
    given = json.loads(asking(name))
    del given["max_tokens"]
    status, headers, _ = post(scene, json.dumps(given).encode(), key=poor)
    assert status == 200
    assert "max_tokens" in headers["x-fairlead-clamped"]
    assert 0 < scene.last(name).json["max_tokens"] < 400, "what the budget pays for"
    limited = new_key(scene.served, "--limit", "requests_per_minute=1")
    assert post(scene, asking(name), key=limited)[0] == 200
    status, headers, body = post(scene, asking(name), key=limited)
    assert (status, json.loads(body)["error"]["type"]) == (429, "rate_limit_error")
    assert int(headers["retry-after"]) > 0


def test_a_lowered_cap_is_all_that_changes(scene: Scene) -> None:
    """The deployment's own limit, or credit: the rest of the body stays as it was."""
    poor = new_key(scene.served, "--budget", "total=0.006")
    body = b'{"model":"claude-x",  "messages":[{"role":"user","content":"Hi"}] , "new":1.50}'
    assert post(scene, body, key=poor)[0] == 200
    sent = scene.last(CLAUDE).body
    cap = json.loads(sent)["max_tokens"]
    assert sent == body.replace(b'"claude-x"', b'"claude-x-20260101"')[:-1] + b',"max_tokens":%d}' % cap


# --- two providers of one model


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """`pool` is served by one that does not speak Messages, and after it by one that does; `back`: the other way."""
    with ScriptedUpstream() as claude, ScriptedUpstream() as other:
        config = IN_ORDER.replace("[routing]", "[routing]\nretries = 2")
        config += provider(claude.url, name="ant", dialect="anthropic") + provider(other.url, name="own")
        for name, order in (("pool", ("own", "ant")), ("back", ("ant", "own"))):
            config += f'[[models]]\nid = "{name}"\n'
            for whose in order:
                config += (
                    f'[[models.deployments]]\nprovider = "{whose}"\nupstream_model = "{name}-{whose}"\n'
                    'price = { input = "3", output = "15" }\nallow_parameters = ["*"]\n'
                )
        with serving(tmp_path_factory.mktemp("mixed"), config) as running:
            with sdk(running) as client:
                yield Scene(running, claude, other, client)


def test_what_the_first_deployment_cannot_be_sent_goes_to_the_next(mixed: Scene) -> None:
    before = len(mixed.other.requests)
    search = {"type": "web_search_20250305", "name": "web_search"}
    file = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    for members in (
        {"tools": [search]},
        {"messages": [{"role": "user", "content": [file]}]},
        {"thread": {"type": "create"}},
    ):
        status, headers, body = post(mixed, asking("pool", **members))
        assert (status, headers["x-fairlead-deployment"]) == (200, "ant/pool-ant"), body
        sent = mixed.claude.requests[-1].json
        assert all(sent[name] == value for name, value in members.items())
    assert len(mixed.other.requests) == before


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "reply", [Reply(status=529), Reply(status=429), Reply(fault=Fault.ERROR_EVENT, after_chunks=2)]
)
def test_a_provider_that_fails_before_the_first_word_is_replaced(mixed: Scene, reply: Reply, streamed: bool) -> None:
    mixed.claude.enqueue(reply)
    status, headers, body = post(mixed, asking("back", stream=streamed))
    assert status == 200
    if reply.status != 429:
        assert headers["x-fairlead-deployment"] == "own/back-own"
    assert b"scripted failure" not in body
    eventually(lambda: post(mixed, asking("back"))[1].get("x-fairlead-deployment") == "ant/back-ant")


def test_when_all_fail_the_error_is_in_anthropics_shape(mixed: Scene) -> None:
    mixed.claude.enqueue(*[Reply(status=529)] * 3)
    mixed.other.enqueue(*[Reply(status=500)] * 3)
    status, _, body = post(mixed, asking("back"))
    assert status in (502, 529)
    assert json.loads(body)["type"] == "error"


# --- when it breaks

# Per fault: the end of a stream, and whether a whole answer is served.
FAULTS = {
    Fault.EOF: ("error", False), Fault.RESET: ("error", False), Fault.ERROR_EVENT: ("error", False),
    Fault.MALFORMED_JSON: ("error", False), Fault.MALFORMED_FRAME: ("error", False),
    Fault.MISSING_USAGE: ("message_stop", True), Fault.ZERO_USAGE: ("message_stop", True),
    Fault.CRLF: ("message_stop", True), Fault.COMMENTS: ("message_stop", True),
    Fault.ONE_BYTE_AT_A_TIME: ("message_stop", True), Fault.SPLIT_UTF8: ("message_stop", True),
    Fault.HUGE_FRAME: ("message_stop", True),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.value for fault in FAULTS])
def test_a_fault_of_the_provider(scene: Scene, name: str, fault: Fault) -> None:
    end, served = FAULTS[fault]
    reply = Reply(text=TEXT, fault=fault, after_chunks=5, chunk_delay_seconds=0.02)
    scene.upstream(name).enqueue(reply)
    status, _, body = post(scene, asking(name, stream=True, max_tokens=2_000_000))
    assert status == 200
    kinds = re.findall(r"event: (\w+)", body.decode())
    assert kinds[0] == "message_start"
    assert kinds[-1] == end, kinds
    assert ("message_delta" in kinds) == (end == "message_stop")
    said = [
        json.loads(line[6:]) for line in body.decode().replace("\r\n", "\n").split("\n") if line.startswith("data: ")
    ]
    if served and fault is not Fault.HUGE_FRAME:
        assert "".join(one["delta"].get("text", "") for one in said if one["type"] == "content_block_delta") == TEXT
        usage = next(one["usage"] for one in said if one["type"] == "message_delta")
        assert usage["output_tokens"] > 0
        assert float(usage["cost"]) > 0
        counted = fault in (Fault.MISSING_USAGE, Fault.ZERO_USAGE)
        assert usage.get("usage_source") == ("counted" if counted else None)
    eventually(lambda: post(scene, asking(name))[0] == 200)
    scene.upstream(name).enqueue(reply)
    status, _, body = post(scene, asking(name, max_tokens=2_000_000))
    assert status == (200 if served else 529 if fault is Fault.ERROR_EVENT and name == CLAUDE else 502)
    assert served or json.loads(body)["type"] == "error"
    eventually(lambda: post(scene, asking(name))[0] == 200)


@BOTH
def test_an_error_before_the_first_word_is_an_error_answer(scene: Scene, name: str) -> None:
    scene.upstream(name).enqueue(Reply(text=TEXT, fault=Fault.ERROR_EVENT, after_chunks=1))
    status, _, body = post(scene, asking(name, stream=True))
    assert status in (502, 529)
    assert json.loads(body)["type"] == "error"
    eventually(lambda: post(scene, asking(name))[0] == 200)


@BOTH
def test_a_caller_who_leaves_pays_for_what_was_delivered(scene: Scene, name: str) -> None:
    words = [f"word{number} " for number in range(200)]
    scene.upstream(name).enqueue(Reply(text="".join(words), chunk_delay_seconds=0.02))
    body = asking(name, stream=True)
    cancelled = scene.upstream(name).cancelled
    with socket.create_connection(("127.0.0.1", scene.served.port)) as caller:
        caller.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (scene.served.key.encode(), len(body), body)
        )
        got = b""
        while got.count(b"content_block_delta\ndata") < 10:
            got += caller.recv(65536)
    eventually(lambda: scene.upstream(name).cancelled == cancelled + 1)
    found = re.search(rb"x-fairlead-generation-id: (\S+)", got)
    assert found is not None
    receipt = receipt_of(scene.served, found[1].decode())
    assert receipt["outcome"] == "caller_gone"
    tokens = count_text(None, "".join(words)).tokens
    assert 0 < receipt["usage"]["completion_tokens"] < tokens


def test_an_answer_that_comes_whole_is_streamed_all_the_same(scene: Scene) -> None:
    whole = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "x", "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1},
    }  # fmt: skip
    scene.claude.enqueue(Reply(body=json.dumps(whole)))
    with scene.client.messages.stream(model=CLAUDE, max_tokens=9, messages=HI) as stream:
        final = stream.get_final_message()
    assert (final.id, final.usage.output_tokens) == ("msg_1", 1)


def test_a_long_session_is_passed_on_as_it_is(scene: Scene) -> None:
    """5 MB, as an agent's conversation is before its context is full."""
    turns: Any = list(HI)
    for at in range(2_400):
        use = {"type": "tool_use", "id": f"t{at}", "name": "Read", "input": {"offset": at}}
        result = {"type": "tool_result", "tool_use_id": f"t{at}", "content": "a line of code\n" * 120}
        turns += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    body = asking(CLAUDE, messages=turns)
    assert len(body) > 5_000_000
    assert post(scene, body)[0] == 200
    assert scene.last(CLAUDE).body == body.replace(b'"claude-x"', b'"claude-x-20260101"')
    compressed = zstandard.compress(body)
    assert post(scene, compressed, content_encoding="zstd")[0] == 200
    assert scene.last(CLAUDE).body == body.replace(b'"claude-x"', b'"claude-x-20260101"')


def test_garbage_of_every_type_is_refused_in_anthropics_shape(scene: Scene) -> None:
    values: list[Any] = [None, True, -1, 1.5, "", "x", [], {}, [None], [[]], {"a": 1}, "\ud83d", 10**400]
    members = (
        "model", "messages", "max_tokens", "system", "tools", "tool_choice", "thinking", "output_config", "metadata",
        "stop_sequences", "stream", "temperature", "thread", "fairlead", "models", "provider",
    )  # fmt: skip
    for member in members:
        for value in values:
            status, _, body = post(scene, asking(MISTRAL, **{member: value}))
            assert status in (200, 400, 404), (member, value, body)
            if status != 200:
                assert json.loads(body)["type"] == "error", (member, value)


def test_long_and_deep_bodies_are_answered(scene: Scene) -> None:
    block = {"type": "text", "text": ""}
    bodies = [
        asking(MISTRAL, messages=[{"role": "user", "content": [block] * 40_000}]),
        asking(MISTRAL, messages=[{"role": "user", "content": [{"type": "text", "text": "a"}] * 40_000}]),
        asking(CLAUDE, messages=[{"role": "user", "content": "a"}] * 40_000),
        asking(MISTRAL)[:-1] + b',"x":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        asking(CLAUDE)[:-1] + b',"tools":' + b'[{"a":' * 100_000 + b"1" + b"}]" * 100_000 + b"}",
        asking(
            MISTRAL,
            messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": os.urandom(3_000_000).hex()}}]}],
        ),
    ]  # fmt: skip
    for body in bodies:
        assert post(scene, body)[0] in (200, 400)
    assert post(scene, asking(MISTRAL))[0] == 200
