"""The doors that stream, as their clients see them: how a plain question is written, and how an answer is read."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

ASKED = "Count, please."


class Door(Protocol):
    """One API. `events` are the data of a stream, without `[DONE]`; a whole answer is read as `whole`."""

    def path(self, model: str, stream: bool) -> str: ...

    def write(self, model: str, *, stream: bool) -> dict[str, Any]: ...

    def text(self, whole: Any) -> str: ...

    def finish(self, whole: Any) -> str: ...

    def streamed_text(self, events: list[Any]) -> str: ...

    def streamed_finish(self, events: list[Any]) -> str: ...

    def errors(self, events: list[Any]) -> list[str]:
        """The messages of errors in a stream."""
        ...

    def ends(self, events: list[Any], done: int) -> int:
        """How often a stream says that it is complete. `done`: how many `[DONE]` it has."""
        ...


class Chat:
    def path(self, model: str, stream: bool) -> str:
        return "/v1/chat/completions"

    def write(self, model: str, *, stream: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": ASKED}], "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        return body

    def text(self, whole: Any) -> str:
        return str(whole["choices"][0]["message"]["content"])

    def finish(self, whole: Any) -> str:
        return str(whole["choices"][0]["finish_reason"])

    def streamed_text(self, events: list[Any]) -> str:
        return "".join(choice["delta"].get("content") or "" for choice in self._choices(events))

    def streamed_finish(self, events: list[Any]) -> str:
        return next((one["finish_reason"] for one in self._choices(events) if one.get("finish_reason")), "")

    def errors(self, events: list[Any]) -> list[str]:
        return [event["error"]["message"] for event in events if "error" in event and "choices" not in event]

    def ends(self, events: list[Any], done: int) -> int:
        return done

    def _choices(self, events: list[Any]) -> Iterable[Any]:
        return (choice for event in events for choice in event.get("choices") or ())


class Completions(Chat):
    def path(self, model: str, stream: bool) -> str:
        return "/v1/completions"

    def write(self, model: str, *, stream: bool) -> dict[str, Any]:
        return {"model": model, "prompt": ASKED, "stream": stream, "max_tokens": 100}

    def text(self, whole: Any) -> str:
        return str(whole["choices"][0]["text"])

    def streamed_text(self, events: list[Any]) -> str:
        return "".join(choice["text"] for choice in self._choices(events))


class Messages:
    def path(self, model: str, stream: bool) -> str:
        return "/v1/messages"

    def write(self, model: str, *, stream: bool) -> dict[str, Any]:
        messages = [{"role": "user", "content": ASKED}]
        return {"model": model, "messages": messages, "max_tokens": 100, "stream": stream}

    def text(self, whole: Any) -> str:
        return "".join(block["text"] for block in whole["content"] if block["type"] == "text")

    def finish(self, whole: Any) -> str:
        return {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}[whole["stop_reason"]]

    def streamed_text(self, events: list[Any]) -> str:
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        return "".join(delta["text"] for delta in deltas if delta["type"] == "text_delta")

    def streamed_finish(self, events: list[Any]) -> str:
        return next((self.finish(event["delta"]) for event in events if event["type"] == "message_delta"), "")

    def errors(self, events: list[Any]) -> list[str]:
        return [event["error"]["message"] for event in events if event["type"] == "error"]

    def ends(self, events: list[Any], done: int) -> int:
        return sum(event["type"] == "message_stop" for event in events) + done


class Responses:
    def path(self, model: str, stream: bool) -> str:
        return "/v1/responses"

    def write(self, model: str, *, stream: bool) -> dict[str, Any]:
        return {"model": model, "input": ASKED, "store": False, "stream": stream}

    def text(self, whole: Any) -> str:
        return "".join(
            part["text"] for item in whole["output"] if item["type"] == "message" for part in item["content"]
        )

    def finish(self, whole: Any) -> str:
        return "stop" if whole["status"] == "completed" else str(whole["status"])

    def streamed_text(self, events: list[Any]) -> str:
        return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")

    def streamed_finish(self, events: list[Any]) -> str:
        last = events[-1]
        return self.finish(last["response"]) if last["type"] in ("response.completed", "response.incomplete") else ""

    def errors(self, events: list[Any]) -> list[str]:
        failed = [event["response"]["error"]["message"] for event in events if event["type"] == "response.failed"]
        return failed + [event["message"] for event in events if event["type"] == "error"]

    def ends(self, events: list[Any], done: int) -> int:
        return sum(event["type"] == "response.completed" for event in events) + done


class Gemini:
    def path(self, model: str, stream: bool) -> str:
        return f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")

    def write(self, model: str, *, stream: bool) -> dict[str, Any]:
        return {"contents": [{"role": "user", "parts": [{"text": ASKED}]}]}

    def text(self, whole: Any) -> str:
        return "".join(
            part.get("text", "")
            for candidate in whole.get("candidates") or ()
            for part in candidate.get("content", {}).get("parts", ())
            if not part.get("thought")
        )

    def finish(self, whole: Any) -> str:
        reasons = {"STOP": "stop", "MAX_TOKENS": "length"}
        found = [one["finishReason"] for one in whole.get("candidates") or () if one.get("finishReason")]
        return reasons.get(found[0], found[0]) if found else ""

    def streamed_text(self, events: list[Any]) -> str:
        return "".join(map(self.text, events))

    def streamed_finish(self, events: list[Any]) -> str:
        return "".join(map(self.finish, events))

    def errors(self, events: list[Any]) -> list[str]:
        return [event["error"]["message"] for event in events if "error" in event]

    def ends(self, events: list[Any], done: int) -> int:
        return sum(bool(self.finish(event)) for event in events) + done


DOORS: dict[str, Door] = {
    "chat": Chat(), "completions": Completions(), "messages": Messages(), "responses": Responses(), "gemini": Gemini(),
}  # fmt: skip


# Whose streams are passed on as they are, but for chat completions.
SAME_API = {"messages": "anthropic", "responses": "openai-responses", "gemini": "gemini"}


class Way(NamedTuple):
    """A door, and the dialect of the providers behind it."""

    door: str
    dialect: str = "vllm"

    @property
    def spoken(self) -> Door:
        return DOORS[self.door]

    @property
    def joins(self) -> bool:
        """Whether a cut stream is continued elsewhere. Streams of another API that are passed on as they are, and
        completions, end with an error."""
        return self.door != "completions" and SAME_API.get(self.door) != self.dialect

    @property
    def name(self) -> str:
        return f"{self.door}-{self.dialect}"


# Every door that streams, every API that is translated from, and what is passed on because both sides speak the same.
WAYS = (
    *map(Way, DOORS), *(Way("chat", dialect) for dialect in ("anthropic", "openai-responses", "gemini")),
    Way("messages", "anthropic"), Way("responses", "openai-responses"), Way("gemini", "gemini"),
)  # fmt: skip


# And every other pair of them.
EVERY_WAY = (
    *WAYS, *(
        way for door in ("messages", "responses", "gemini") for dialect in ("anthropic", "openai-responses", "gemini")
        if (way := Way(door, dialect)) not in WAYS
    ),
)  # fmt: skip


@dataclass
class Answer:
    """One answer as it came. `events`: of a stream."""

    status: int
    headers: dict[str, str]
    body: bytes
    door: Door
    events: list[Any] = field(default_factory=list)
    done: int = 0

    @property
    def text(self) -> str:
        return self.door.streamed_text(self.events) if self.events else self.door.text(json.loads(self.body))

    @property
    def finish(self) -> str:
        return self.door.streamed_finish(self.events) if self.events else self.door.finish(json.loads(self.body))

    @property
    def errors(self) -> list[str]:
        return self.door.errors(self.events)

    @property
    def identities(self) -> int:
        """How many ids the events of a stream have."""
        return len({event["id"] for event in self.events if "id" in event})

    @property
    def ends(self) -> int:
        return self.door.ends(self.events, self.done)


def ask(port: int, key: str, way: Way, model: str, *, stream: bool) -> Answer:
    door = way.spoken
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        body = json.dumps(door.write(model, stream=stream)).encode()
        connection.request("POST", door.path(model, stream), body, {"Authorization": f"Bearer {key}"})
        got = connection.getresponse()
        data = got.read()
    finally:
        connection.close()
    found = Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, data, door)
    if stream and got.status == 200:
        events = re.findall(rb"^data: (.*?)\r?$", data, re.MULTILINE)
        found.done = events.count(b"[DONE]")
        found.events = [json.loads(event) for event in events if event != b"[DONE]"]
    return found
