"""The shapes of a conversation: turns and wishes, and what they are read from."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from fairlead.wire.chat_shapes import NULL, File, ImageUrl, InputAudio, Tool, VideoUrl
from fairlead.wire.counting import Item


class Text(Struct, frozen=True):
    """`cache`: a cache breakpoint stands behind it, as `cache_control` in the part says."""

    text: str
    cache: Raw = NULL


class Media(Struct, frozen=True):
    """Something that is no text: its bytes in base64, or the address where it is. `mime`: its type, "" when nothing
    says it; `name`: of a file."""

    kind: Literal["image", "audio", "file", "video"]
    mime: str
    data: str = ""
    url: str = ""
    name: str = ""
    cache: Raw = NULL


class ToolUse(Struct, frozen=True):
    id: str
    name: str
    arguments: Raw  # an object
    signature: str | None = None


class ToolResult(Struct, frozen=True):
    """`media` stands behind the text."""

    id: str
    name: str
    text: str
    cache: Raw = NULL
    media: tuple[Media, ...] = ()


class Thought(Struct, frozen=True):
    """What the model thought before: words with the vendor's signature, or an encrypted block in `data`."""

    text: str = ""
    signature: str = ""
    data: str = ""


Part = Text | Media | ToolUse | ToolResult | Thought


class Turn(Struct, frozen=True):
    role: Literal["user", "assistant"]
    parts: list[Part]


class Conversation(Struct, frozen=True):
    """Turns alternate: messages of one role that follow each other are one turn. `loses_reasoning`: there was some that
    only another provider could read."""

    system: list[Text]
    turns: list[Turn]
    loses_reasoning: bool = False

    @property
    def tool_names(self) -> list[str]:
        """The tools that were called before, each once."""
        return list(dict.fromkeys(p.name for turn in self.turns for p in turn.parts if isinstance(p, ToolUse)))

    @property
    def is_unthought_loop(self) -> bool:
        """It ends with results of tools, and what the assistant has begun with those tools begins with no thought."""
        thought = True
        for turn in reversed(self.turns):
            if turn.role == "user":
                if not any(isinstance(part, ToolResult) for part in turn.parts):
                    break
            elif thought := isinstance(turn.parts[0], Thought):
                break
        return not thought


class Wishes(Struct, frozen=True):
    """The parameters that a dialect carries, decoded. `tools` are those that `tool_choice` allows."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    n: int = 1
    user: str | None = None
    reasoning_effort: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["none", "auto", "required"] | None = None
    forced_tool: str | None = None
    parallel_tool_calls: bool = True
    json_object: bool = False
    schema: Raw | None = None
    schema_name: str = "answer"


class ReadFunction(Struct):
    name: str
    arguments: str = ""


class ReadGoogle(Struct):
    thought_signature: str | None = None


class ReadExtra(Struct):
    google: ReadGoogle = msgspec.field(default_factory=ReadGoogle)


class ReadCall(Struct):
    id: str
    function: ReadFunction
    extra_content: ReadExtra = msgspec.field(default_factory=ReadExtra)


class ReadDetail(Struct):
    type: str = ""
    format: str | None = None
    text: str | None = None
    signature: str | None = None
    data: str | None = None


class ReadMessage(Struct):
    role: str
    content: Raw = NULL
    tool_calls: list[ReadCall] | None = None
    tool_call_id: str | None = None
    reasoning_details: list[ReadDetail] | None = None
    reasoning_content: Raw = NULL
    refusal: str | None = None


class ReadPart(Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | None = None
    input_audio: InputAudio | None = None
    file: File | None = None
    video_url: VideoUrl | None = None
    cache_control: Raw = NULL


class CountedDetails(Struct, gc=False):
    reasoning_details: list[Item] | None = None
