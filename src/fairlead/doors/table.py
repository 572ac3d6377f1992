"""The table of doors: which dialect is spoken at which path, and for which operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fairlead.doors.door import Door, StoringDoor
from fairlead.doors.messages.door import ANTHROPIC_MESSAGES
from fairlead.doors.openai_chat.door import OPENAI_CHAT
from fairlead.doors.responses.door import RESPONSES_DOOR
from fairlead.doors.responses.operation import RESPONSES_CHAT
from fairlead.operations.chat.messages import MESSAGES_CHAT
from fairlead.operations.chat.operation import CHAT
from fairlead.routing.demand import Operation


@dataclass(frozen=True, slots=True)
class DoorRow:
    """Paths that take calls of one operation, by POST, in one dialect. A path may end with a member in braces, such as
    `/v1beta/models/{model}`.

    `summary`, `details`, `body`, `answer` and `streams` describe it in /openapi.json; `body` and `answer` are names in
    `openapi.SCHEMAS`. `count_paths`: where the tokens of such a request are counted. `request_id`: another name of the
    header with the request id, which its clients know. `outlines`: its door reads long bodies by their outline, which
    is made first (`wire/outline.py`).
    `storing`: the door where answers are stored; None: those of this row never are.
    """

    name: str
    paths: tuple[str, ...]
    operation: Operation
    door: Door
    summary: str
    details: str = ""
    body: str = "Object"
    answer: str = "Object"
    streams: bool = True
    count_paths: tuple[str, ...] = ()
    request_id: bytes = b""
    outlines: bool = False
    storing: StoringDoor | None = None


_ROWS: Final = (
    DoorRow(
        "openai_chat", ("/v1/chat/completions",), CHAT, OPENAI_CHAT,
        "Create a chat completion, whole or as a stream of server-sent events.",
        "OpenAI's chat completions. Parameters that no deployment can carry are named in `x-fairlead-dropped`, or "
        "rejected in strict mode. `usage` also has the cost of the call.",
        "ChatRequest", "ChatCompletion", outlines=True,
    ),
    DoorRow(
        "openai_responses", ("/v1/responses",), RESPONSES_CHAT, RESPONSES_DOOR,
        "Create a response, whole or as a stream of server-sent events.",
        "OpenAI's Responses. A provider that speaks the Responses API gets the request as it came; for others it is "
        "translated: what they cannot be sent is named in `x-fairlead-dropped`, or rejected. `usage` also has the cost "
        "of the call.",
        "ResponsesRequest", "Response", storing=RESPONSES_DOOR,
    ),
    DoorRow(
        "anthropic_messages", ("/v1/messages", "/api/v1/messages", "/api/messages"), MESSAGES_CHAT, ANTHROPIC_MESSAGES,
        "Create a message, whole or as a stream of server-sent events.",
        "Anthropic's Messages. A provider that speaks the same API gets the request as it was sent, but for the key "
        "and the model's name; for others it is translated. `usage` also has the cost of the call.",
        "MessagesRequest", "AnthropicMessage",
        count_paths=(
            "/v1/messages/count_tokens", "/api/v1/messages/count_tokens", "/api/messages/count_tokens",
        ),
        request_id=b"request-id",
    ),
)  # fmt: skip
DOORS: Final[Mapping[str, DoorRow]] = {row.name: row for row in _ROWS}
# Spoken wherever no other door is: by the endpoints that are no calls, and at paths that do not exist.
DEFAULT_DOOR: Final[Door] = OPENAI_CHAT


class DoorFinder:
    """Finds the door of a path."""

    __slots__ = ("_paths", "_prefixes")

    def __init__(self, rows: Iterable[DoorRow] = ()) -> None:
        self._paths: dict[str, Door] = {}
        self._prefixes: dict[str, Door] = {}
        for row in rows:
            for path in (*row.paths, *row.count_paths):
                prefix, brace, _ = path.partition("{")
                (self._prefixes if brace else self._paths)[prefix] = row.door

    def at(self, path: str) -> Door:
        door = self._paths.get(path)
        if door is not None:
            return door
        for prefix, door in self._prefixes.items():
            if path.startswith(prefix):
                return door
        return DEFAULT_DOOR
