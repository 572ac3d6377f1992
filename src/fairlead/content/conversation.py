"""A request and its answer as a conversation, whatever API they are in: what is kept of a call, and shown.

Requests were checked before, answers are what a caller was sent; nothing is refused here. What is not known is kept as
its JSON.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from fairlead.content.redaction import Redactor

# --- what is kept of one call

# Of one text, in characters: a longer one is cut, and says so.
LONGEST_TEXT: Final = 65_536
# Of all texts of a request, and of an answer. The newest turns of a request are kept, and its instructions.
MOST_REQUEST: Final = 262_144
MOST_ANSWER: Final = 262_144
# Where media is kept: of one, in bytes, and of all.
LONGEST_MEDIA: Final = 262_144
MOST_MEDIA: Final = 524_288
MOST_TURNS: Final = 2_000
MOST_PARTS: Final = 2_000
MOST_TOOLS: Final = 256
DEEPEST: Final = 64
# A text is redacted so far behind what is kept of it: what is cut in two would not be found.
BEHIND_CUT: Final = 8_192
# A string of nothing but this is data, wherever it stands.
LEAST_DATA: Final = 2_048
_DATA: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_DATA_URL: Final = re.compile(r"data:([A-Za-z0-9.+/-]{0,100})(?:;[A-Za-z0-9=_.-]{1,100}){0,4};base64,")
DECODED_AT_ONCE: Final = 262_144  # characters of base64


class Part(Struct, omit_defaults=True):
    """`kind`: "text", "reasoning", "refusal", "call" of a tool, its "result", "media", "tool" that can be called, or
    "other". `text`: redacted; `cut`: characters of it that are not kept. `name`, `id`: of a tool and of its call.
    `media`: its type; `bytes` and `sha256`: of its content; `data`: in base64, where media is kept."""

    kind: str
    text: str = ""
    cut: int = 0
    name: str = ""
    id: str = ""
    media: str = ""
    bytes: int = 0
    sha256: str = ""
    data: str = ""


class Turn(Struct, omit_defaults=True):
    role: str
    parts: list[Part]
    end: str = ""  # why an answer ended


class Conversation(Struct, omit_defaults=True):
    """`left_out`: turns between the instructions and the first one that is kept. `redacted`: marks by name.
    `request_bytes`, `answer_bytes`: as they came over the wire. `request`, `answer` are None where they are not kept:
    `why` says so ("asked": the request asked for it, "long", "memory"). `whole`: the answer came to its end."""

    request: list[Turn] | None = None
    answer: list[Turn] | None = None
    tools: list[Part] = []
    parameters: dict[str, str] = {}
    left_out: int = 0
    redacted: dict[str, int] = {}
    request_bytes: int = 0
    answer_bytes: int = 0
    why_no_request: str = ""
    why_no_answer: str = ""
    whole: bool = True


class Reader:
    """Makes parts of JSON, redacted. `media`: it is kept, as far as it fits."""

    def __init__(self, redactor: Redactor, *, media: bool) -> None:
        self._redactor = redactor
        self._media = MOST_MEDIA if media else 0
        self._room = 0

    # --- requests

    def request(self, body: Any, into: Conversation) -> None:
        """Of any API. What a call is made of besides its turns goes to `tools` and `parameters`."""
        if not isinstance(body, dict):
            into.request = [Turn("user", [self._other(body)])]
            return
        self._room = MOST_REQUEST
        head = [turn for name in ("system", "instructions", "systemInstruction", "system_instruction")
                for turn in self._turns("system", body.get(name))]  # fmt: skip
        given = [body.get(name) for name in ("messages", "contents", "input", "prompt", "query", "documents")]
        items = [one for value in given if value is not None for one in (value if isinstance(value, list) else [value])]
        kept: list[list[Turn]] = []
        for at, item in enumerate(reversed(items)):  # the newest first: they get the room
            if self._room <= 0 or at >= MOST_TURNS:
                into.left_out = len(items) - at
                break
            kept.append(self._turns("user", item))
        into.request = head + [turn for turns in reversed(kept) for turn in turns]
        self._room = LONGEST_TEXT
        for tool in self._listed(body.get("tools"))[:MOST_TOOLS]:
            into.tools += self._tools(tool)
        for name, value in body.items():
            if name not in _NOT_PARAMETERS and len(into.parameters) < 100:
                into.parameters[self._redacted(str(name)[:100])] = self._cut(self._json(value), 2_000)[0]

    def _turns(self, role: str, item: Any) -> list[Turn]:
        """Of a message, an item of a list, or a text."""
        if item is None:
            return []
        if isinstance(item, dict):
            given = item.get("role")
            if isinstance(given, str):
                role = self._redacted(given[:32])
            elif item.get("type") in ("function_call", "reasoning", "custom_tool_call"):
                role = "assistant"
            elif isinstance(item.get("type"), str) and str(item["type"]).endswith("_output"):
                role = "tool"
        return [Turn(role, list(self._parts(item, 0)))]

    def _tools(self, tool: Any) -> Iterator[Part]:
        if not isinstance(tool, dict):
            yield self._other(tool)
            return
        for one in self._listed(tool.get("functionDeclarations")) or [tool.get("function") or tool]:
            if isinstance(one, dict):
                name = self._redacted(str(one.get("name") or one.get("type") or "")[:100])
                text, cut = self._text(self._json({key: value for key, value in one.items() if key != "name"}))
                yield Part("tool", text, cut, name)

    # --- parts

    def _parts(self, item: Any, depth: int) -> Iterator[Part]:
        """Of whatever may stand in a message."""
        if item is None:
            return
        if depth > DEEPEST:
            yield Part("other", "…")
            return
        if isinstance(item, str):
            yield self._string(item)
            return
        if isinstance(item, list):
            if len(item) > 8 and all(isinstance(one, (int, float)) for one in item):
                yield Part("other", f"{len(item):,} numbers")
                return
            for one in item[:MOST_PARTS]:
                yield from self._parts(one, depth + 1)
            return
        if not isinstance(item, dict):
            yield self._other(item)
            return
        found = list(self._known(item, depth))
        if found:
            yield from found
        elif ("role" not in item and "type" not in item) or item.get("type") not in (
            None,
            "message",
            "reasoning",
            "text",
        ):
            yield self._other(item)

    def _known(self, item: dict[str, Any], depth: int) -> Iterator[Part]:
        """What all four APIs call their parts."""
        kind = item.get("type")
        call_id = self._short(item.get("tool_call_id") or item.get("call_id") or item.get("tool_use_id"))
        result = (
            kind in ("tool_result", "function_call_output", "custom_tool_call_output") or item.get("role") == "tool"
        )
        if result:
            value = item.get("output") if "output" in item else item.get("content")
            for part in self._parts(value, depth + 1):
                if part.kind == "text":
                    part.kind, part.id = "result", call_id
                yield part
            return
        for name in ("reasoning_content", "thinking", "summary", "reasoning"):
            for part in self._parts(item.get(name), depth + 1):
                part.kind = "reasoning" if part.kind == "text" else part.kind
                yield part
        media = self._media_of(item)
        if media is not None:
            yield media
            return
        text = item.get("text")
        if isinstance(text, str):
            part = self._string(text)
            if part.kind == "text" and (kind in ("reasoning_text", "summary_text") or item.get("thought") is True):
                part.kind = "reasoning"
            yield part
        if isinstance(item.get("refusal"), str):
            refused = self._string(item["refusal"])
            refused.kind = "refusal"
            yield refused
        yield from self._parts(item.get("content"), depth + 1)
        yield from self._parts(item.get("parts"), depth + 1)
        for one in self._listed(item.get("tool_calls")):
            yield from self._call(one)
        for name in ("functionCall", "function_call"):
            yield from self._call(item.get(name))
        if kind in ("tool_use", "server_tool_use", "function_call", "custom_tool_call"):
            yield from self._call(item)
        answered = item.get("functionResponse") or item.get("function_response")
        if isinstance(answered, dict):
            text, cut = self._text(self._json(answered.get("response")))
            yield Part("result", text, cut, self._short(answered.get("name")), self._short(answered.get("id")))

    def _call(self, given: Any) -> Iterator[Part]:
        if not isinstance(given, dict):
            return
        function = given.get("function")
        of = function if isinstance(function, dict) else given
        arguments = next((of[name] for name in ("arguments", "input", "args") if of.get(name) is not None), "")
        text, cut = self._text(self._json(_opened(arguments)))
        yield Part("call", text, cut, self._short(of.get("name")), self._short(given.get("call_id") or given.get("id")))

    def _media_of(self, item: Mapping[str, Any]) -> Part | None:
        """What is an image, audio or a file; None for anything else. One that has an address is shown by that."""
        for name in ("image_url", "video_url", "input_audio", "file", "source", "inlineData", "inline_data", "fileData",
                     "file_data", "audio", "image", "b64_json"):  # fmt: skip
            value = item.get(name)
            if value is None:
                continue
            media = ""
            if isinstance(value, dict):
                media = str(value.get("media_type") or value.get("mimeType") or value.get("mime_type")
                            or value.get("format") or "")[:100]  # fmt: skip
                value = next(
                    (value[one] for one in ("data", "url", "file_data", "fileUri", "file_uri", "file_id", "text")
                     if isinstance(value.get(one), str)), None,
                )  # fmt: skip
            if isinstance(value, str):
                named = self._short(
                    item.get("filename") or (isinstance(item.get("file"), dict) and item["file"].get("filename"))
                )
                return self._file(value, media, named)
        return None

    def _file(self, value: str, media: str, name: str = "") -> Part:
        found = _DATA_URL.match(value[:600])
        if found:
            media, value = found[1] or media, value[found.end() :]
        elif value.startswith(("http://", "https://", "gs://", "file-", "files/")) or len(value) < 64:
            text, cut = self._text(value)
            return Part("media", text, cut, name, media=self._redacted(media))
        size, digest = digest_of(value)
        part = Part("media", name=name, media=self._redacted(media), bytes=size, sha256=digest)
        if self._media and size <= min(LONGEST_MEDIA, self._media):
            self._media -= size
            part.data = value
        return part

    def _string(self, text: str) -> Part:
        if len(text) >= LEAST_DATA and (_DATA_URL.match(text[:600]) or _DATA.fullmatch(text)):
            return self._file(text, "")
        kept, cut = self._text(text)
        return Part("text", kept, cut)

    def _other(self, value: Any) -> Part:
        text, cut = self._text(self._json(value))
        return Part("other", text, cut)

    # --- texts

    def _text(self, text: str) -> tuple[str, int]:
        """What is kept of a text, redacted, and how many characters are not."""
        kept, cut = self._cut(text, max(0, min(LONGEST_TEXT, self._room)))
        self._room -= len(kept)
        return kept, cut

    def _cut(self, text: str, most: int) -> tuple[str, int]:
        if not most:
            return "", len(text)
        long = len(text) > most
        redacted = self._redactor.text(text[: most + BEHIND_CUT] if long else text)
        if not long and len(redacted) <= most + BEHIND_CUT:
            return redacted, 0
        kept = redacted[:most]
        if kept.rfind("\ue000") > kept.rfind("\ue001"):  # not a half of a mark
            kept = kept[: kept.rfind("\ue000")]
        return kept, max(1, len(text) - most)

    def _redacted(self, text: str) -> str:
        return self._redactor.text(text)

    def _short(self, value: Any) -> str:
        return self._redacted(value[:200]) if isinstance(value, str) else ""

    def _json(self, value: Any) -> str:
        """As text: without data, and not escaped, so that what is to be redacted is found."""
        if isinstance(value, str):
            return value
        return msgspec.json.encode(_without_data(value, 0)).decode()

    def _listed(self, value: Any) -> list[Any]:
        return value if isinstance(value, list) else []

    # --- answers

    def answer(self, body: Any, into: Conversation) -> None:
        """Of an answer that is one document."""
        self._room = MOST_ANSWER
        into.answer = turns = []
        if not isinstance(body, dict):
            turns.append(Turn("assistant", [self._other(body)]))
            return
        for name in ("choices", "candidates"):
            for one in self._listed(body.get(name)):
                if isinstance(one, dict):
                    said = next((one[key] for key in ("message", "content", "text") if one.get(key) is not None), None)
                    end = self._short(one.get("finish_reason") or one.get("finishReason"))
                    turns.append(Turn("assistant", list(self._parts(said, 0)), end))
        for item in self._listed(body.get("output")):
            turns += self._turns("assistant", item)
        if body.get("type") == "message":
            turns.append(
                Turn("assistant", list(self._parts(body.get("content"), 0)), self._short(body.get("stop_reason")))
            )
        if turns:
            if body.get("error") is not None:
                turns.append(Turn("assistant", [self._other(body["error"])]))
            return
        parts = [part for name in ("data", "results", "text", "error") for part in self._answered(body.get(name))]
        turns.append(Turn("assistant", parts or [self._other(body)]))

    def _answered(self, value: Any) -> Iterator[Part]:
        """Vectors by their number, pictures by their digests, anything else as it is."""
        if isinstance(value, str):
            yield self._string(value)
        elif isinstance(value, list) and value and isinstance(value[0], dict) and "embedding" in value[0]:
            yield Part("other", f"{len(value):,} vectors")
        elif isinstance(value, list) and value and isinstance(value[0], dict) and {"b64_json", "url"} & value[0].keys():
            for one in value[:MOST_PARTS]:
                media = self._media_of(one) if isinstance(one, dict) and "b64_json" in one else None
                yield media or self._other(one)
        elif value is not None:
            yield self._other(value)

    def file(self, body: bytes, media: str) -> Part:
        """An answer or a request that is no JSON."""
        part = Part(
            "media", media=self._redacted(media[:100]), bytes=len(body), sha256=hashlib.sha256(body).hexdigest()
        )
        if self._media and len(body) <= min(LONGEST_MEDIA, self._media):
            part.data = base64.b64encode(body).decode()
        return part


_NOT_PARAMETERS: Final = frozenset({
    "system", "instructions", "systemInstruction", "system_instruction", "messages", "contents", "input", "prompt",
    "query", "documents", "tools", "model",
})  # fmt: skip


def _opened(arguments: Any) -> Any:
    """Arguments of a call as a value: in a string of JSON, escapes could hide what is to be redacted."""
    if isinstance(arguments, str):
        try:
            return msgspec.json.decode(arguments)
        except (msgspec.DecodeError, RecursionError):
            return arguments
    return arguments


def _without_data(value: Any, depth: int) -> Any:
    if depth > DEEPEST:
        return "…"
    if isinstance(value, str):
        if len(value) >= LEAST_DATA and (_DATA_URL.match(value[:600]) or _DATA.fullmatch(value)):
            size, digest = digest_of(value.partition(",")[2] if value.startswith("data:") else value)
            return f"[{size:,} bytes, sha256 {digest}]"
        return value
    if isinstance(value, list):
        return [_without_data(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {key: _without_data(one, depth + 1) for key, one in value.items()}
    return value


def digest_of(data: str) -> tuple[int, str]:
    """The bytes that base64 stands for, and their SHA-256; of the text itself where it is none. In steps, between which
    others get the interpreter."""
    plain = data.translate({0x2D: "+", 0x5F: "/"}) if "-" in data or "_" in data else data
    digest, size = hashlib.sha256(), 0
    try:
        for at in range(0, len(plain), DECODED_AT_ONCE):
            piece = plain[at : at + DECODED_AT_ONCE]
            decoded = binascii.a2b_base64(piece + "=" * (-len(piece) % 4))
            digest.update(decoded)
            size += len(decoded)
    except (binascii.Error, ValueError):
        encoded = data.encode("utf-8", "replace")
        return len(encoded), hashlib.sha256(encoded).hexdigest()
    return size, digest.hexdigest()


# --- streams


def assembled(events: Iterable[Any]) -> tuple[Any, bool]:
    """The document that the events of a stream come to, and whether the last one was among them."""
    made = _Assembly()
    for event in events:
        if isinstance(event, dict):
            made.add(event)
    return made.document(), made.whole


class _Assembly:
    """Puts together what came in pieces: of all four APIs, which are told apart by their members."""

    def __init__(self) -> None:
        self.whole = False
        self._choices: dict[int, dict[str, Any]] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._parts: dict[int, dict[str, Any]] = {}
        self._response: dict[str, Any] | None = None
        self._words: list[str] = []
        self._stop = ""
        self._error: Any = None

    def add(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if event.get("error") is not None:
            self._error = event["error"]
        if isinstance(event.get("choices"), list):
            for one in event["choices"]:
                if isinstance(one, dict):
                    self._choice(one)
        elif isinstance(event.get("candidates"), list):
            for one in event["candidates"]:
                if isinstance(one, dict):
                    self._candidate(one)
        elif isinstance(kind, str):
            if kind.startswith("response."):
                self._event(kind, event)
            else:
                self._block(kind, event)

    def _choice(self, one: dict[str, Any]) -> None:
        into = self._choices.setdefault(_index(one), {"message": {"role": "assistant"}, "finish_reason": None})
        message: dict[str, Any] = into["message"]
        delta = one.get("delta")
        if isinstance(one.get("text"), str):
            delta = {"content": one["text"]}
        for name, value in delta.items() if isinstance(delta, dict) else ():
            if isinstance(value, str) and name != "role":
                message.setdefault(name, []).append(value)
            elif name == "tool_calls" and isinstance(value, list):
                for call in value:
                    if isinstance(call, dict):
                        self._tool_call(message.setdefault("tool_calls", {}), call)
        if one.get("finish_reason"):
            into["finish_reason"] = one["finish_reason"]
            self.whole = True

    def _tool_call(self, calls: dict[int, dict[str, Any]], call: dict[str, Any]) -> None:
        into = calls.setdefault(_index(call), {"id": "", "name": "", "arguments": []})
        function = call.get("function")
        if isinstance(call.get("id"), str):
            into["id"] = call["id"]
        if isinstance(function, dict):
            if isinstance(function.get("name"), str) and function["name"]:
                into["name"] = function["name"]
            if isinstance(function.get("arguments"), str):
                into["arguments"].append(function["arguments"])

    def _candidate(self, one: dict[str, Any]) -> None:
        into = self._parts.setdefault(_index(one), {"parts": [], "end": ""})
        content = one.get("content")
        for part in (content.get("parts") or ()) if isinstance(content, dict) else ():
            if not isinstance(part, dict):
                continue
            last = into["parts"][-1] if into["parts"] else None
            thought = part.get("thought") is True
            if last is not None and "text" in last and isinstance(part.get("text"), str) and last["thought"] == thought:
                last["text"].append(part["text"])
            elif isinstance(part.get("text"), str):
                into["parts"].append({"text": [part["text"]], "thought": thought})
            else:
                into["parts"].append(part)
        if one.get("finishReason"):
            into["end"] = one["finishReason"]
            self.whole = True

    def _event(self, kind: str, event: dict[str, Any]) -> None:
        """Of the Responses API: the last event has everything; before it, the words."""
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self._response = event.get("response") if isinstance(event.get("response"), dict) else None
            self.whole = True
        elif kind == "response.output_text.delta" and isinstance(event.get("delta"), str):
            self._words.append(event["delta"])

    def _block(self, kind: str, event: dict[str, Any]) -> None:
        """Of the Messages API."""
        if kind == "content_block_start" and isinstance(event.get("content_block"), dict):
            self._blocks[_index(event)] = {**event["content_block"], "pieces": []}
        elif kind == "content_block_delta" and isinstance(event.get("delta"), dict):
            into = self._blocks.setdefault(_index(event), {"type": "text", "pieces": []})
            delta = event["delta"]
            for name in ("text", "thinking", "partial_json"):
                if isinstance(delta.get(name), str):
                    into["pieces"].append(delta[name])
        elif kind == "message_delta" and isinstance(event.get("delta"), dict):
            self._stop = str(event["delta"].get("stop_reason") or self._stop)
        elif kind == "message_stop":
            self.whole = True

    def document(self) -> dict[str, Any]:
        """As an answer that came whole would be."""
        if self._response is not None:
            return self._response
        made: dict[str, Any] = {}
        if self._choices:
            made["choices"] = [_joined(self._choices[at]) for at in sorted(self._choices)]
        elif self._parts:
            made["candidates"] = [
                {"content": {"parts": [_joined_part(one) for one in self._parts[at]["parts"]]},
                 "finishReason": self._parts[at]["end"]}
                for at in sorted(self._parts)
            ]  # fmt: skip
        elif self._blocks:
            made |= {"type": "message", "stop_reason": self._stop,
                     "content": [_joined_block(self._blocks[at]) for at in sorted(self._blocks)]}  # fmt: skip
        elif self._words:
            made["output"] = [{"type": "message", "role": "assistant", "content": "".join(self._words)}]
        if self._error is not None:
            made["error"] = self._error
        return made


def _index(one: Mapping[str, Any]) -> int:
    at = one.get("index")
    return at if isinstance(at, int) and 0 <= at < MOST_PARTS else 0


def _joined(choice: dict[str, Any]) -> dict[str, Any]:
    message = {name: "".join(value) if isinstance(value, list) else value for name, value in choice["message"].items()}
    calls = message.get("tool_calls")
    if isinstance(calls, dict):
        message["tool_calls"] = [
            {"id": call["id"], "function": {"name": call["name"], "arguments": "".join(call["arguments"])}}
            for call in calls.values()
        ]
    return {"message": message, "finish_reason": choice["finish_reason"]}


def _joined_part(part: dict[str, Any]) -> dict[str, Any]:
    return {**part, "text": "".join(part["text"])} if isinstance(part.get("text"), list) else part


def _joined_block(block: dict[str, Any]) -> dict[str, Any]:
    text = "".join(block.pop("pieces"))
    kind = block.get("type")
    if kind == "thinking":
        return {**block, "thinking": f"{block.get('thinking') or ''}{text}"}
    if kind == "text":
        return {**block, "text": f"{block.get('text') or ''}{text}"}
    return {**block, "input": text or block.get("input")}
