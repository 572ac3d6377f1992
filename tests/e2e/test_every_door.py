"""The same conversation through every API of callers, to every kind of provider: the same request arrives, the same answer
comes back, and it costs the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.doors.test_matrix import COUNTED

from fairlead.testing import Reply, ScriptedUpstream, ToolCall

from .conftest import AT_ONCE, Served, fairlead, model, provider, serving

TOOL = "look_up"
SCHEMA: Any = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
CAP = 64


class Call(NamedTuple):
    id: str
    place: str
    result: str


class Turn(NamedTuple):
    """What a user says, and the model's answer to it: text, calls, or both. The last turn has no answer; the one before
    may end with calls, and then nothing is asked."""

    asked: str
    said: str = ""
    calls: tuple[Call, ...] = ()


class Conversation(NamedTuple):
    system: str
    turns: tuple[Turn, ...]


class Answer(NamedTuple):
    text: str
    calls: tuple[tuple[str, str], ...]
    finish: str


class Spoken(Protocol):
    """One API: how a conversation is written, how a provider would read it, and how its answers are read."""

    def path(self, model: str, stream: bool) -> str: ...

    def write(self, talk: Conversation, model: str, stream: bool) -> dict[str, Any]: ...

    def read(self, body: dict[str, Any]) -> Conversation: ...

    def answer(self, body: dict[str, Any]) -> Answer: ...

    def streamed(self, events: list[dict[str, Any]]) -> Answer: ...


def place(arguments: Any) -> str:
    found: str = (json.loads(arguments) if isinstance(arguments, str) else arguments)["place"]
    return found


class Reading:
    """Gathers messages of any shape into turns."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def user(self, text: str) -> None:
        self.turns.append(Turn(text))

    def said(self, text: str) -> None:
        last = self._last()
        self.turns[-1] = last._replace(said=last.said + text)

    def call(self, id_: str, where: str) -> None:
        last = self._last()
        self.turns[-1] = last._replace(calls=(*last.calls, Call(id_, where, "")))

    def result(self, id_: str, text: str) -> None:
        last = self._last()
        at = next(at for at, call in enumerate(last.calls) if call.id == id_ and not call.result)
        calls = list(last.calls)
        calls[at] = calls[at]._replace(result=text)
        self.turns[-1] = last._replace(calls=tuple(calls))

    def _last(self) -> Turn:
        if not self.turns or (self.turns[-1].calls and all(call.result for call in self.turns[-1].calls)):
            self.turns.append(Turn(""))
        return self.turns[-1]

    def talk(self, system: str) -> Conversation:
        """Without the ids, which Gemini's API does not need."""
        turns = [turn._replace(calls=tuple(call._replace(id="") for call in turn.calls)) for turn in self.turns]
        return Conversation(system, tuple(turns))


def texts(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content or () if part.get("text") and not part.get("thought"))


class Chat:
    def path(self, model: str, stream: bool) -> str:
        return "/v1/chat/completions"

    def write(self, talk: Conversation, model: str, stream: bool) -> dict[str, Any]:
        messages: list[Any] = [{"role": "system", "content": talk.system}]
        for turn in talk.turns:
            if turn.asked:
                messages.append({"role": "user", "content": turn.asked})
            calls = [
                {"id": one.id, "type": "function", "function": {"name": TOOL, "arguments": json.dumps({"place": one.place})}}
                for one in turn.calls
            ]  # fmt: skip
            if calls:
                messages.append({"role": "assistant", "content": turn.said or None, "tool_calls": calls})
            elif turn.said:
                messages.append({"role": "assistant", "content": turn.said})
            messages += [{"role": "tool", "tool_call_id": one.id, "content": one.result} for one in turn.calls]
        tools = [{"type": "function", "function": {"name": TOOL, "parameters": SCHEMA}}]
        return {"model": model, "messages": messages, "tools": tools, "max_tokens": CAP, "stream": stream}

    def read(self, body: dict[str, Any]) -> Conversation:
        reading, system = Reading(), ""
        assert body["tools"][0]["function"]["name"] == TOOL
        for message in body["messages"]:
            match message["role"]:
                case "system" | "developer":
                    system += texts(message["content"])
                case "user":
                    reading.user(texts(message["content"]))
                case "tool":
                    reading.result(message["tool_call_id"], texts(message["content"]))
                case "assistant":
                    if text := texts(message.get("content")):
                        reading.said(text)
                    for call in message.get("tool_calls") or ():
                        reading.call(call["id"], place(call["function"]["arguments"]))
        return reading.talk(system)

    def answer(self, body: dict[str, Any]) -> Answer:
        (choice,) = body["choices"]
        calls = choice["message"].get("tool_calls") or ()
        made = tuple((one["function"]["name"], place(one["function"]["arguments"])) for one in calls)
        return Answer(choice["message"]["content"] or "", made, choice["finish_reason"])

    def streamed(self, events: list[dict[str, Any]]) -> Answer:
        text, finish, calls = "", "", {}
        for choice in (choice for event in events for choice in event["choices"]):
            text += choice["delta"].get("content") or ""
            finish = choice["finish_reason"] or finish
            for piece in choice["delta"].get("tool_calls") or ():
                name, given = calls.get(piece["index"], ("", ""))
                function = piece["function"]
                calls[piece["index"]] = (name + (function.get("name") or ""), given + (function.get("arguments") or ""))
        return Answer(text, tuple((name, place(given)) for name, given in calls.values()), finish)


class Messages:
    REASONS = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}  # noqa: RUF012

    def path(self, model: str, stream: bool) -> str:
        return "/v1/messages"

    def write(self, talk: Conversation, model: str, stream: bool) -> dict[str, Any]:
        messages: list[Any] = []
        user: list[Any] = []
        for turn in talk.turns:
            if turn.asked:
                user.append({"type": "text", "text": turn.asked})
            said = [{"type": "text", "text": turn.said}] if turn.said else []
            said += [
                {"type": "tool_use", "id": one.id, "name": TOOL, "input": {"place": one.place}} for one in turn.calls
            ]  # type: ignore[misc]
            if said:
                messages += [{"role": "user", "content": user}] if user else []
                messages.append({"role": "assistant", "content": said})
                user = [{"type": "tool_result", "tool_use_id": one.id, "content": one.result} for one in turn.calls]
        messages += [{"role": "user", "content": user}] if user else []
        tools = [{"name": TOOL, "input_schema": SCHEMA}]
        return {
            "model": model, "system": talk.system, "messages": messages, "tools": tools, "max_tokens": CAP, "stream": stream,
        }  # fmt: skip

    def read(self, body: dict[str, Any]) -> Conversation:
        reading = Reading()
        assert body["tools"][0]["name"] == TOOL
        for message in body["messages"]:
            content = message["content"]
            for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                match block["type"]:
                    case "text" if message["role"] == "user":
                        reading.user(block["text"])
                    case "text":
                        reading.said(block["text"])
                    case "tool_use":
                        reading.call(block["id"], place(block["input"]))
                    case "tool_result":
                        reading.result(block["tool_use_id"], texts(block["content"]))
        return reading.talk(texts(body.get("system", "")))

    def answer(self, body: dict[str, Any]) -> Answer:
        text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
        calls = [(block["name"], place(block["input"])) for block in body["content"] if block["type"] == "tool_use"]
        return Answer(text, tuple(calls), self.REASONS[body["stop_reason"]])

    def streamed(self, events: list[dict[str, Any]]) -> Answer:
        text, finish, blocks = "", "", {}
        for event in events:
            match event["type"]:
                case "content_block_start" if event["content_block"]["type"] == "tool_use":
                    blocks[event["index"]] = [event["content_block"]["name"], ""]
                case "content_block_delta" if event["delta"]["type"] == "text_delta":
                    text += event["delta"]["text"]
                case "content_block_delta" if event["delta"]["type"] == "input_json_delta":
                    blocks[event["index"]][1] += event["delta"]["partial_json"]
                case "message_delta":
                    finish = self.REASONS[event["delta"]["stop_reason"]]
        return Answer(text, tuple((name, place(given)) for name, given in blocks.values()), finish)


class Responses:
    def path(self, model: str, stream: bool) -> str:
        return "/v1/responses"

    def write(self, talk: Conversation, model: str, stream: bool) -> dict[str, Any]:
        items: list[Any] = []
        for turn in talk.turns:
            if turn.asked:
                items.append({"role": "user", "content": turn.asked})
            if turn.said:
                items.append({"role": "assistant", "content": turn.said})
            items += [
                {
                    "type": "function_call",
                    "call_id": one.id,
                    "name": TOOL,
                    "arguments": json.dumps({"place": one.place}),
                }
                for one in turn.calls
            ]
            items += [{"type": "function_call_output", "call_id": one.id, "output": one.result} for one in turn.calls]
        tools = [{"type": "function", "name": TOOL, "parameters": SCHEMA}]
        return {
            "model": model, "instructions": talk.system, "input": items, "tools": tools, "max_output_tokens": CAP,
            "store": False, "stream": stream,
        }  # fmt: skip

    def read(self, body: dict[str, Any]) -> Conversation:
        reading, system = Reading(), body.get("instructions") or ""
        assert body["tools"][0]["name"] == TOOL
        for item in body["input"]:
            match item.get("type", "message"):
                case "message" if item["role"] in ("system", "developer"):
                    system += texts(item["content"])
                case "message" if item["role"] == "user":
                    reading.user(texts(item["content"]))
                case "message":
                    reading.said(texts(item["content"]))
                case "function_call":
                    reading.call(item["call_id"], place(item["arguments"]))
                case "function_call_output":
                    reading.result(item["call_id"], texts(item["output"]))
        return reading.talk(system)

    def answer(self, body: dict[str, Any]) -> Answer:
        text = "".join(texts(item["content"]) for item in body["output"] if item["type"] == "message")
        calls = tuple(
            (one["name"], place(one["arguments"])) for one in body["output"] if one["type"] == "function_call"
        )
        if body["status"] == "incomplete":
            assert body["incomplete_details"] == {"reason": "max_output_tokens"}
            return Answer(text, calls, "length")
        return Answer(text, calls, "tool_calls" if calls else "stop")

    def streamed(self, events: list[dict[str, Any]]) -> Answer:
        answer = self.answer(events[-1]["response"])
        assert (
            "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta") == answer.text
        )
        return answer


class Gemini:
    def path(self, model: str, stream: bool) -> str:
        return f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")

    def write(self, talk: Conversation, model: str, stream: bool) -> dict[str, Any]:
        contents: list[Any] = []
        user: list[Any] = []
        for turn in talk.turns:
            if turn.asked:
                user.append({"text": turn.asked})
            said: list[Any] = [{"text": turn.said}] if turn.said else []
            said += [{"functionCall": {"id": one.id, "name": TOOL, "args": {"place": one.place}}} for one in turn.calls]
            if said:
                contents += [{"role": "user", "parts": user}] if user else []
                contents.append({"role": "model", "parts": said})
                user = [
                    {"functionResponse": {"id": one.id, "name": TOOL, "response": {"output": one.result}}}
                    for one in turn.calls
                ]
        contents += [{"role": "user", "parts": user}] if user else []
        tools = [{"functionDeclarations": [{"name": TOOL, "parametersJsonSchema": SCHEMA}]}]
        return {
            "systemInstruction": {"parts": [{"text": talk.system}]}, "contents": contents, "tools": tools,
            "generationConfig": {"maxOutputTokens": CAP},
        }  # fmt: skip

    def read(self, body: dict[str, Any]) -> Conversation:
        reading = Reading()
        assert body["tools"][0]["functionDeclarations"][0]["name"] == TOOL
        for content in body["contents"]:
            for part in content["parts"]:
                if "functionCall" in part:
                    reading.call(part["functionCall"]["name"], place(part["functionCall"]["args"]))
                elif "functionResponse" in part:
                    (result,) = part["functionResponse"]["response"].values()
                    reading.result(
                        part["functionResponse"]["name"], result if isinstance(result, str) else json.dumps(result)
                    )
                elif content["role"] == "user":
                    reading.user(part["text"])
                else:
                    reading.said(part["text"])
        return reading.talk(texts((body.get("systemInstruction") or {}).get("parts")))

    def answer(self, body: dict[str, Any]) -> Answer:
        return self.streamed([body])

    def streamed(self, events: list[dict[str, Any]]) -> Answer:
        candidates = [event["candidates"][0] for event in events if event.get("candidates")]
        parts = [part for one in candidates for part in one.get("content", {}).get("parts", ())]
        calls = tuple(
            (one["functionCall"]["name"], place(one["functionCall"]["args"])) for one in parts if "functionCall" in one
        )
        reason = next(one["finishReason"] for one in reversed(candidates) if one.get("finishReason"))
        finish = {"STOP": "tool_calls" if calls else "stop", "MAX_TOKENS": "length"}[reason]
        return Answer(texts([part for part in parts if "text" in part]), calls, finish)


SPOKEN: dict[str, Spoken] = {"chat": Chat(), "messages": Messages(), "responses": Responses(), "gemini": Gemini()}
# Of providers: the API that each dialect is.
DIALECTS = {
    "vllm": "chat",
    "openai": "chat",
    "anthropic": "messages",
    "openai-responses": "responses",
    "gemini": "gemini",
}

_text = st.text(st.sampled_from('abc "\\\n{}[]<é漢🎈'), min_size=1, max_size=12).map(lambda text: f"x{text}y")
_places = st.lists(st.tuples(_text, _text), min_size=1, max_size=3)


@st.composite
def talks(draw: st.DrawFn) -> Conversation:
    turns: list[Turn] = []
    number = 0
    for _ in range(draw(st.integers(0, 3))):
        asked = "" if turns and turns[-1].calls and draw(st.booleans()) else draw(_text)
        calls = []
        for where, result in draw(_places) if draw(st.booleans()) else ():
            number += 1
            calls.append(Call(f"call_{number}", where, result))
        said = draw(_text) if not calls or draw(st.booleans()) else ""
        turns.append(Turn(asked, said, tuple(calls)))
    if not turns or not turns[-1].calls or draw(st.booleans()):
        turns.append(Turn(draw(_text)))
    return Conversation(draw(_text), tuple(turns))


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    calls = tuple(
        ToolCall(TOOL, json.dumps({"place": where}), f"made_{at}")
        for at, (where, _) in enumerate(draw(_places) if draw(st.booleans()) else ())
    )
    finish = "tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))
    text = draw(_text) if not calls or draw(st.booleans()) else ""
    tokens = draw(st.integers(1, CAP))
    return Reply(text, calls, prompt_tokens=draw(st.integers(1, 500)), completion_tokens=tokens, finish_reason=finish)


class Scene(NamedTuple):
    served: Served
    upstream: ScriptedUpstream
    client: httpx.Client


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ScriptedUpstream() as upstream:
        config = AT_ONCE
        for dialect in DIALECTS:
            config += provider(upstream.url, name=dialect, dialect=dialect) + model(
                dialect, name=f"m-{dialect}", upstream="up"
            )
        with (
            serving(tmp_path_factory.mktemp("doors"), config) as served,
            httpx.Client(base_url=served.url, timeout=120) as client,
        ):
            yield Scene(served, upstream, client)


def ask(scene: Scene, door: str, talk: Conversation, model: str, stream: bool) -> tuple[Answer, str]:
    """The answer, and the generation's id."""
    spoken = SPOKEN[door]
    head = {"authorization": f"Bearer {scene.served.key}"}
    got = scene.client.post(spoken.path(model, stream), json=spoken.write(talk, model, stream), headers=head)
    assert got.status_code == 200, got.text
    generation = got.headers["x-fairlead-generation-id"]
    if not stream:
        return spoken.answer(got.json()), generation
    lines = [line[6:] for line in got.text.splitlines() if line.startswith("data: ")]
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    return spoken.streamed([event for event in events if event.get("type") != "ping"]), generation


def without_ids(talk: Conversation) -> Conversation:
    turns = [turn._replace(calls=tuple(call._replace(id="") for call in turn.calls)) for turn in talk.turns]
    return talk._replace(turns=tuple(turns))


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(talks(), replies(), st.booleans())
def test_the_same_conversation_is_the_same_through_every_door_to_every_provider(
    scene: Scene, talk: Conversation, reply: Reply, stream: bool
) -> None:
    wanted = Answer(
        reply.text, tuple((TOOL, place(one.arguments)) for one in reply.tool_calls), reply.finish_reason or ""
    )
    generations = {}
    for dialect, api in DIALECTS.items():
        for door in SPOKEN:
            scene.upstream.enqueue(reply)
            answer, generation = ask(scene, door, talk, f"m-{dialect}", stream)
            where = f"{door} at {dialect}"
            assert answer == wanted, where
            assert SPOKEN[api].read(scene.upstream.requests[-1].json) == without_ids(talk), where
            generations[where] = generation
    head = {"authorization": f"Bearer {scene.served.key}"}
    costs = {
        where: scene.client.get(f"/v1/receipts/{generation}", headers=head).json()["charged_usd"]
        for where, generation in generations.items()
    }
    assert reply.completion_tokens is not None
    by_hand = (reply.prompt_tokens * Decimal("0.10") + reply.completion_tokens * Decimal("0.30")) / 1_000_000
    assert {where: Decimal(cost) for where, cost in costs.items()} == dict.fromkeys(costs, by_hand)


# Dollars per million tokens, each class another one.
PRICES = {
    "input": "1", "cached_input": "0.1", "cache_write_5m": "1.25", "cache_write_1h": "2", "image": "3", "output": "10",
    "reasoning": "20", "request": "0.01",
}  # fmt: skip


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory, scene: Scene) -> Iterator[Served]:
    config = AT_ONCE
    price = ", ".join(f'{name} = "{value}"' for name, value in PRICES.items())
    for dialect in DIALECTS:
        config += provider(scene.upstream.url, name=dialect, dialect=dialect)
        config += (
            f'[[models]]\nid = "m-{dialect}"\n[[models.deployments]]\nprovider = "{dialect}"\nupstream_model = "up"\n'
        )
        config += f"price = {{ {price} }}\n"
    with serving(tmp_path_factory.mktemp("priced"), config) as served:
        yield served


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_bill_of_every_class_of_tokens_made_by_hand(scene: Scene, priced: Served, stream: bool) -> None:
    """What each provider counts, in its own words, is charged alike at every door; `verify` makes the same bills."""
    talk = Conversation("Be brief.", (Turn("Hi"),))
    head = {"authorization": f"Bearer {priced.key}"}
    for dialect in DIALECTS:
        usage, classes = COUNTED["openai" if dialect == "vllm" else dialect]
        names = ("input", "cached_input", "cache_write_5m", "cache_write_1h", "image", "", "output", "reasoning", "")
        by_hand = Decimal(PRICES["request"])
        for name, tokens in zip(names, classes, strict=False):
            by_hand += Decimal(PRICES.get(name, "0")) * tokens / 1_000_000
        for door, spoken in SPOKEN.items():
            scene.upstream.enqueue(Reply("Hi", usage=usage))
            body = spoken.write(talk, f"m-{dialect}", stream)
            if door == "chat" and stream:
                body["stream_options"] = {"include_usage": True}
            got = httpx.post(priced.url + spoken.path(f"m-{dialect}", stream), json=body, headers=head, timeout=60)
            assert got.status_code == 200, got.text
            name = got.headers["x-fairlead-generation-id"]
            receipt = httpx.get(f"{priced.url}/v1/receipts/{name}", headers=head, timeout=60).json()
            assert Decimal(receipt["charged_usd"]) == by_hand, (door, dialect, receipt)
            assert f'"cost_usd":"{receipt["charged_usd"]}"' in got.text.replace(" ", ""), (door, dialect, got.text)
    assert fairlead("verify", data=priced.data).returncode == 0
