"""A Responses request that has been checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from fairlead.doors.responses.reasoning_state import is_foreign
from fairlead.doors.responses.shapes import (
    AUTO,
    FALSE,
    OURS,
    PARAMETERS,
    TRUE,
    ChatBody,
    Echo,
    Encrypted,
    Found,
    Keep,
    Tool,
    Typed,
)
from fairlead.doors.responses.to_chat import NAMES, to_chat
from fairlead.doors.responses.tools import may_be_left_out
from fairlead.errors import InvalidRequest
from fairlead.wire.apis import RESPONSES
from fairlead.wire.body import value_span, with_members
from fairlead.wire.chat import parse_chat
from fairlead.wire.chat_request import ChatRequest
from fairlead.wire.chat_shapes import NULL, Options
from fairlead.wire.native import copied
from fairlead.wire.notes import CallNotes
from fairlead.wire.plain import PlainTurns, plain_items, taken
from fairlead.wire.preferences import Preferences
from fairlead.wire.random_ids import random_digits
from fairlead.wire.ready_chat import ReadyChat, ready_chat
from fairlead.wire.template import LONGEST_TEMPLATE, BodyTemplate
from fairlead.wire.traceparent import TraceContext

CAP: Final = "max_output_tokens"
NOTHING_FOUND: Final = Found()
_NO_OPTIONS: Final = Options()
_encode: Final = msgspec.json.encode
# What a response repeats of its request, with what stands there when the request says nothing.
_REPEATED: Final[Mapping[str, bytes]] = {
    "instructions": b"null", "max_output_tokens": b"null", "max_tool_calls": b"null", "metadata": b"{}",
    "parallel_tool_calls": b"true", "previous_response_id": b"null", "prompt_cache_key": b"null",
    "reasoning": b'{"effort":null,"summary":null}', "safety_identifier": b"null", "service_tier": b'"default"',
    "temperature": b"1.0", "text": b'{"format":{"type":"text"}}', "tool_choice": b'"auto"', "tools": b"[]",
    "top_logprobs": b"0", "top_p": b"1.0", "truncation": b'"disabled"', "presence_penalty": b"0.0",
    "frequency_penalty": b"0.0", "user": b"null",
}  # fmt: skip


class ResponsesRequest:
    """A `ChatPayload`. `fields`: the members of `body`, as the caller wrote them; `given`: those that are parameters,
    and not null; `unknown` names those of them that are not the API's. `forwarded`: ready header lines for providers
    of the same API.

    `rewritten`: the request as it was changed here, which every provider gets translated from then on. `history`: items
    of stored responses before those of `input`. `keep`: None: the response is not stored.
    """

    __slots__ = (
        "_chat", "_neutral", "_response_id", "body", "cap", "emulate", "fallbacks", "fields", "formatted", "forwarded",
        "found", "given", "history", "keep", "model", "notes", "other_bytes", "preferences", "reports", "rewritten",
        "stream", "strict", "template", "trace", "unknown",
    )  # fmt: skip

    def __init__(
        self,
        body: bytes,
        fields: dict[str, Raw],
        given: dict[str, Raw],
        *,
        model: str,
        unknown: tuple[str, ...] = (),
        stream: bool = False,
        cap: int = 0,
        options: Options,
        preferences: Preferences | None = None,
        fallbacks: tuple[str, ...] = (),
        found: Found,
        forwarded: bytes = b"",
    ) -> None:
        self.body = body
        self.fields = fields
        self.given = given
        self.model = model
        self._response_id = ""
        self.unknown = unknown
        self.stream = stream
        self.cap = cap
        self.strict = options.strict
        self.reports = options.parameters
        self.emulate = options.emulate
        self.preferences = preferences
        self.fallbacks = fallbacks
        self.found = found
        self.forwarded = forwarded
        # Of what is given: what the answer is to be, and the bytes that come into the prompt beside the input.
        self.formatted = "text"
        self.other_bytes = 0
        self.notes: CallNotes | None = None
        self.template: ResponsesTemplate | None = None
        self.history: list[Raw] = []
        self.keep: Keep | None = None
        self.trace: TraceContext | None = None
        self.rewritten: ChatRequest | None = None
        self._chat: ChatBody | None = None
        self._neutral: ChatRequest | None = None

    @property
    def api(self) -> str:
        return RESPONSES

    @property
    def names(self) -> Iterable[str]:
        return self.given

    @property
    def include_usage(self) -> bool:
        return True

    @property
    def cap_name(self) -> str:
        return CAP

    @property
    def continued(self) -> bytes:
        """The id of the stored response that this one continues, as JSON; empty: none."""
        return bytes(self.given.get("previous_response_id", b""))

    @property
    def response_id(self) -> str:
        """Of the response, where its provider has none of this API's shape."""
        if not self._response_id:
            self._response_id = f"resp_{random_digits(48)}"
        return self._response_id

    @property
    def input(self) -> Raw:
        """The items of this request alone."""
        return self.fields.get("input", NULL)

    @property
    def background(self) -> bool:
        return bool(self.given.get("background") == TRUE)

    @property
    def echo(self) -> Echo:
        template, keep, chat = self.template, self.keep, self._chat
        names = {} if chat is None else chat.names
        if template is not None and keep is None:
            if not template.members:
                template.members = self._echoed()
                template.wants_encrypted = self._wants_encrypted
            return Echo(self.response_id, template.members, names, template.wants_encrypted)
        return Echo(self.response_id, self._echoed(), names, self._wants_encrypted, keep)

    @property
    def _wants_encrypted(self) -> bool:
        return b"reasoning.encrypted_content" in bytes(self.given.get("include", NULL))

    def _echoed(self) -> bytes:
        """What the answer repeats of the request, as ready JSON members."""
        stored = TRUE if self.keep is not None else FALSE
        repeated = b"".join([
            b',"%b":%b' % (name.encode(), _repeated(name, self.given.get(name)) or usual)
            for name, usual in _REPEATED.items()
        ])  # fmt: skip
        return b',"background":%b,"store":%b%b' % (TRUE if self.background else FALSE, stored, repeated)

    def neutral(self) -> ChatRequest:
        """Raises CallerError for what cannot be said in chat, in strict mode also for what would be left out."""
        if self.rewritten is not None:
            return self.rewritten
        if self._neutral is None:
            self._neutral = made = self._plainly() or self._translated()
            made.trace = self.trace
        return self._neutral

    def plain(self) -> PlainTurns | None:
        """As of a `ChatPayload`."""
        template = self.template
        if template is None or template.chat is None:
            return None
        turns = self._plain_turns()
        told = None if turns is None else template.chat.told(turns)
        if told is not None:
            self._chat = template.chat.kept
        return told

    def _plain_turns(self) -> PlainTurns | None:
        """The input, where it is nothing but texts."""
        told = self.found.told
        if self.history:
            return None
        return plain_items(self.input) if told is None else taken(told)

    def _plainly(self) -> ChatRequest | None:
        """By what is known of the template, where the input is nothing but texts."""
        template = self.template
        if template is None or template.chat is None:
            return None
        turns = self._plain_turns()
        made = None if turns is None else template.chat.around(turns)
        if made is not None:
            self._chat = template.chat.kept
        return made

    def _translated(self) -> ChatRequest:
        chat = self._chat = to_chat(self.model, self.given, self._whole_input(), self.unknown)
        if self.strict:
            chat.members["fairlead"] = {"strict": True}
        try:
            request = parse_chat(_encode(chat.members))
        except InvalidRequest as error:
            error.param = _own_path(error.param)
            raise
        request.emulate = self.emulate
        request.reports = self.reports
        template = self.template
        if template is not None and template.chat is None and not self.history:
            if request.template is not None:  # what others are made of that have it
                request.template.request.emulate = self.emulate
                request.template.request.reports = self.reports
            first = chat.members["messages"][0]
            template.chat = ready_chat(
                request, first if first["role"] == "system" else None, chat.left_out,
                ChatBody({}, chat.names, chat.left_out),
            )  # fmt: skip
        return request

    @property
    def lost(self) -> tuple[str, ...]:
        """What the translation left out; known once that was made."""
        return () if self._chat is None else self._chat.left_out

    def named(self, parameters: tuple[str, ...]) -> tuple[str, ...]:
        """Chat's parameters as this API has them."""
        return tuple(dict.fromkeys([NAMES.get(name, name) for name in parameters])) if parameters else ()

    def with_neutral(self, request: ChatRequest) -> ResponsesRequest:
        changed = self._copy()
        changed.rewritten = request
        return changed

    def with_cap(self, tokens: int) -> ResponsesRequest:
        changed = self._copy()
        changed.cap = tokens
        changed.given = {**self.given, CAP: Raw(b"%d" % tokens)}
        if self.rewritten is not None:
            changed.rewritten = self.rewritten.with_cap(tokens)
        if self._neutral is not None:
            changed._neutral = self._neutral.with_cap(tokens)  # noqa: SLF001
        return changed

    def with_history(self, history: list[Raw], keep: Keep | None) -> ResponsesRequest:
        """The same behind the items of a stored conversation, and to be stored itself."""
        changed = self._copy()
        changed.history = history
        changed.keep = keep
        return changed

    def _copy(self) -> ResponsesRequest:
        """Another one, to be changed: it has no template."""
        same = self.copied(self.body, self.fields, self.given, self.found)
        same._response_id, same._chat, same._neutral = self.response_id, self._chat, self._neutral  # noqa: SLF001
        same.rewritten = self.rewritten
        same.history = self.history
        same.keep = self.keep
        same.trace = self.trace
        return same

    def copied(self, body: bytes, fields: dict[str, Raw], given: dict[str, Raw], found: Found) -> ResponsesRequest:
        """The same request in another body, untouched as yet."""
        same = ResponsesRequest(
            body, fields, given, model=self.model, unknown=self.unknown, stream=self.stream, cap=self.cap,
            options=_NO_OPTIONS, preferences=self.preferences, fallbacks=self.fallbacks, found=found,
            forwarded=self.forwarded,
        )  # fmt: skip
        same.strict = self.strict
        same.reports = self.reports
        same.emulate = self.emulate
        same.formatted = self.formatted
        same.other_bytes = self.other_bytes
        same.notes = self.notes
        return same

    def within(self, body: bytes, input_: Raw, found: Found) -> ResponsesRequest:
        """A copy for a body that has another input."""
        return self.copied(body, {**self.fields, "input": input_}, self.given, found)

    @property
    def conversation(self) -> Raw:
        return self.input

    @property
    def is_as_it_came(self) -> bool:
        """What is sent to a provider of the same API depends on nothing but what stands around the input, and that."""
        return (
            self.template is not None and self.rewritten is None and not self.history and not self.found.is_marked
            and not self.found.tools
        )  # fmt: skip

    @property
    def loses_reasoning(self) -> bool:
        """Reasoning of another provider has come back in its input, or stands in what was stored before."""
        return self.found.is_marked or any(_is_foreign(raw) for raw in self.history)

    def billed(self, refused: frozenset[str]) -> tuple[list[str], list[str]]:
        """What of `refused`, tools and members that a provider bills beside its price, is wanted: what the caller
        cannot do without, and what is left out. Codex offers a search that stays off the web to every model."""
        if not refused:
            return [], []
        needed: list[str] = []
        left_out: list[str] = []
        if "service_tier" in refused and self.given.get("service_tier", AUTO) not in _USUAL_TIERS:
            left_out.append("service_tier")
        for tool in (*self.found.tools, *_tools_in(self.given)):
            if tool.type.startswith(tuple(refused)):
                (left_out if may_be_left_out(tool) else needed).append(f"tools.{tool.type[:64]}")
        return needed, list(dict.fromkeys(left_out))

    def native(self, upstream_model: bytes, without: Sequence[str] = ()) -> bytes | None:
        """The caller's body for a provider of the same API: only the model's name (JSON), a lowered cap and what is
        meant for this gateway are changed; `without`: as `billed` names what is left out. None: what the caller wrote
        does not hold any more."""
        if self.rewritten is not None:
            return None
        changes: dict[str, bytes | None] = {name: None for name in OURS if name in self.fields}
        changes["model"] = upstream_model
        if self.given.get(CAP, NULL) != self.fields.get(CAP, NULL):
            changes[CAP] = bytes(self.given[CAP])
        if "previous_response_id" in self.fields:
            changes["previous_response_id"] = None
        if self.background:  # that is between the caller and this server
            changes["background"] = None
        gone = tuple(name.removeprefix("tools.") for name in without if name.startswith("tools."))
        if "service_tier" in without:
            changes["service_tier"] = None
        if gone and "tools" in self.given:
            changes["tools"] = _without_tools(self.given["tools"], gone)
        if self.history or self.found.is_marked or (gone and self.found.tools):
            changes["input"] = _changed_items(self._whole_input(), gone)
        return with_members(self.body, self.fields, changes)

    def release(self) -> None:
        """Drops the caller's bytes, once they will not be sent again."""
        self.body = b""
        self.fields = {}
        self.given = {}
        self.found = NOTHING_FOUND  # what was found refers to the body
        self.history = []
        if self._neutral is not None:
            self._neutral.release()
        if self.rewritten is not None:
            self.rewritten.release()
        self._chat = None
        self.template = None

    def _whole_input(self) -> Raw:
        """With the history before it."""
        own = self.fields.get("input", NULL)
        return Raw(_encode([*self.history, *items_of(own)])) if self.history else own


class ResponsesTemplate(BodyTemplate):
    """`request`: one that has this template, without a body, whose input does not count."""

    __slots__ = ("chat", "members", "request", "wants_encrypted")

    def __init__(self, before: bytes, after: bytes, request: ResponsesRequest) -> None:
        super().__init__(before, after)
        self.request = request
        self.chat: ReadyChat | None = None  # what its plain ones become in OpenAI's shape, once that is known
        self.members = b""  # what their answers repeat of them, once that was written
        self.wants_encrypted = False

    @staticmethod
    def of(request: ResponsesRequest) -> ResponsesTemplate | None:
        """None: the body is not one that others would be like."""
        body, fields = request.body, request.fields
        start, end = value_span(body, fields, "input")
        if start < 0 or start + len(body) - end > LONGEST_TEMPLATE or request.strict:
            return None
        kept = copied(fields, "input")
        given = {name: kept[name] for name in request.given}
        return ResponsesTemplate(body[:start], body[end:], request.copied(b"", kept, given, NOTHING_FOUND))


def items_of(given: Raw) -> list[Raw]:
    """The items of an `input`, of which a text is one."""
    if given == NULL:
        return []
    if memoryview(given)[0] == 0x22:
        return [Raw(b'{"type":"message","role":"user","content":%b}' % given)]
    return msgspec.json.decode(given, type=list[Raw])


_EMPTY: Final = Raw(b"[]")
_USUAL_TIERS: Final = (AUTO, Raw(b'"default"'))
_tool: Final = msgspec.json.Decoder(Typed)
_encrypted: Final = msgspec.json.Decoder(Encrypted)


def _tools_in(given: Mapping[str, Raw]) -> list[Tool]:
    found: list[Tool] = PARAMETERS["tools"].decoder.decode(given["tools"]) if "tools" in given else []
    return found


def _without_tools(tools: Raw, gone: tuple[str, ...]) -> bytes:
    return _encode([raw for raw in msgspec.json.decode(tools, type=list[Raw]) if _tool.decode(raw).type not in gone])


def _is_foreign(item: Raw) -> bool:
    if b'"reasoning"' not in bytes(item):
        return False
    found = _encrypted.decode(item)
    return found.type == "reasoning" and is_foreign(found.id, found.encrypted_content)


def _changed_items(items: Raw, gone: tuple[str, ...]) -> bytes:
    """Without the reasoning that only another provider can read, and without tools that are left out."""
    if memoryview(items)[0] != 0x5B:
        return bytes(items)
    kept = []
    for raw in msgspec.json.decode(items, type=list[Raw]):
        if _is_foreign(raw):
            continue
        if gone and _tool.decode(raw).type == "additional_tools":
            members = msgspec.json.decode(raw, type=dict[str, Raw])
            raw = Raw(_encode({**members, "tools": Raw(_without_tools(members.get("tools", _EMPTY), gone))}))
        kept.append(raw)
    return _encode(kept)


def _repeated(name: str, raw: Raw | None) -> bytes | None:
    """A member as a response has it: with what a request may leave out of it."""
    if raw is None:
        return None
    if name == "tools":
        return _encode([_with_defaults(tool) for tool in msgspec.json.decode(raw, type=list[Raw])])
    if name == "text":
        return _encode({"format": {"type": "text"}, **msgspec.json.decode(raw, type=dict[str, Raw])})
    if name == "reasoning":
        return _encode({"effort": None, "summary": None, **msgspec.json.decode(raw, type=dict[str, Raw])})
    if name == "service_tier" and raw == AUTO:
        return b'"default"'
    return bytes(raw)


def _with_defaults(raw: Raw) -> Raw:
    if _tool.decode(raw).type != "function":
        return raw
    members = msgspec.json.decode(raw, type=dict[str, Raw])
    return Raw(_encode({**dict.fromkeys(("description", "parameters", "strict"), NULL), **members}))


def _own_path(path: str | None) -> str | None:
    if path is None:
        return None
    first, bracket, rest = path.partition("[")
    first = NAMES.get(first, "input" if first == "messages" else first)
    return first + bracket + rest if first != "input" else first
