"""A Responses request in the format of chat completions, for providers that speak another API. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.doors.responses.reasoning_state import WORDS, Wrapped, unwrapped
from fairlead.doors.responses.shapes import AUTO, ITEMS, PARAMETERS, TRUE, ZERO, ChatBody, Item, Part, Tool, ToolName
from fairlead.doors.responses.tools import ToolSet, arguments_of, chat_name
from fairlead.errors import InvalidRequest, NotTranslated, UnsupportedContent
from fairlead.wire.chat_shapes import NULL
from fairlead.wire.vocabulary import FOREIGN_REASONING

# Members of chat with the same name and meaning.
SAME: Final = (
    "frequency_penalty", "metadata", "parallel_tool_calls", "presence_penalty", "prompt_cache_key",
    "prompt_cache_retention", "safety_identifier", "service_tier", "temperature", "top_p", "user",
)  # fmt: skip
# The member of this API for one of chat, where it has another name: for those who read what was dropped.
NAMES: Final[Mapping[str, str]] = {
    "max_completion_tokens": "max_output_tokens", "max_tokens": "max_output_tokens", "logprobs": "top_logprobs",
    "reasoning_effort": "reasoning", "response_format": "text", "verbosity": "text",
    FOREIGN_REASONING: "input.reasoning",
}  # fmt: skip
# Chat has no word for these, and an answer without them is the one that was asked for, or says itself how it is not.
QUIET: Final = frozenset({
    "background", "client_metadata", "include", "input", "instructions", "max_output_tokens", "previous_response_id",
    "reasoning", "store", "stream", "stream_options", "text", "tool_choice", "tools", "top_logprobs", "truncation",
})  # fmt: skip
# Without these it would be another one.
NEEDED: Final = ("context_management", "conversation", "prompt")
# Items that report what a provider did by itself: its answer has the same in words.
_DONE_BY_PROVIDERS: Final = frozenset({
    "code_interpreter_call", "file_search_call", "image_generation_call", "mcp_list_tools", "tool_search_call",
    "web_search_call",
})  # fmt: skip
_DETAILS: Final = ("auto", "low", "high")
_parts: Final = msgspec.json.Decoder(list[Part])
_tools: Final = msgspec.json.Decoder(list[Tool])
_string: Final = msgspec.json.Decoder(str)
_encode: Final = msgspec.json.encode


def to_chat(model: str, given: Mapping[str, Raw], input_: Raw, unknown: Iterable[str]) -> ChatBody:
    """`given`: the checked members of the request. Raises NotTranslated for what only a provider of this API has, and
    InvalidRequest."""
    for name in NEEDED:
        if name not in given:
            continue
        raise NotTranslated([name], f"{name} needs a provider that speaks the Responses API.")
    tools = ToolSet()
    if "tools" in given:
        tools.add(_tools.decode(given["tools"]))
    conversation = _Conversation(tools)
    if "instructions" in given:
        conversation.say("system", _string.decode(given["instructions"]))
    if memoryview(input_)[0] == 0x22:
        conversation.say("user", _string.decode(input_))
    else:
        for at, item in enumerate(ITEMS.decoder.decode(input_)):
            conversation.take(item, f"input[{at}]")
    members: dict[str, Any] = {"model": model, "messages": conversation.messages()}
    members.update({name: given[name] for name in SAME if name in given})
    _add_options(members, given)
    _add_tools(members, given, tools)
    left_out = [name for name in given if name not in SAME and name not in QUIET]
    left_out += [*unknown, *tools.left_out, *conversation.left_out, *_lost_options(given)]
    return ChatBody(members, tools.names, tuple(dict.fromkeys(left_out)))


def tool_names(given: Mapping[str, Raw]) -> dict[str, ToolName]:
    """What the tools of `given` are called, as far as they can be translated."""
    tools = ToolSet()
    if "tools" in given:
        tools.add(_tools.decode(given["tools"]))
    return tools.names


def _add_options(members: dict[str, Any], given: Mapping[str, Raw]) -> None:
    if given.get("stream") == TRUE:
        members["stream"] = True
        members["stream_options"] = {"include_usage": True}
    if "max_output_tokens" in given:
        members["max_completion_tokens"] = given["max_output_tokens"]
    if "top_logprobs" in given and given["top_logprobs"] != ZERO:
        members["logprobs"] = True
        members["top_logprobs"] = given["top_logprobs"]
    elif "include" in given and "message.output_text.logprobs" in _decoded("include", given):
        members["logprobs"] = True
    if "reasoning" in given:
        effort = _decoded("reasoning", given).effort
        if effort is not None:
            members["reasoning_effort"] = effort
    if "text" in given:
        _add_text(members, _decoded("text", given))


def _add_text(members: dict[str, Any], text: Any) -> None:
    if text.verbosity is not None:
        members["verbosity"] = text.verbosity
    shape = text.format
    if shape is None or shape.type == "text":
        return
    if shape.type == "json_object":
        members["response_format"] = {"type": "json_object"}
        return
    if shape.name is None:
        raise InvalidRequest("text.format needs a name for its schema.", param="text.format.name")
    wanted: dict[str, Any] = {"name": shape.name}
    if shape.description is not None:
        wanted["description"] = shape.description
    if shape.schema != NULL:
        wanted["schema"] = shape.schema
    if shape.strict is not None:
        wanted["strict"] = shape.strict
    members["response_format"] = {"type": "json_schema", "json_schema": wanted}


def _add_tools(members: dict[str, Any], given: Mapping[str, Raw], tools: ToolSet) -> None:
    if tools.functions:
        members["tools"] = tools.functions
    if "tool_choice" in given:
        choice = _decoded("tool_choice", given)
        if tools.functions or choice not in ("auto", "none"):
            members["tool_choice"] = tools.choice(choice)


def _lost_options(given: Mapping[str, Raw]) -> list[str]:
    """What is lost inside members that are translated otherwise."""
    lost = []
    if given.get("truncation") == AUTO:
        lost.append("truncation")
    if "reasoning" in given:
        wanted = _decoded("reasoning", given)
        lost += [f"reasoning.{name}" for name in ("summary", "generate_summary") if getattr(wanted, name) is not None]
    return lost


def _decoded(name: str, given: Mapping[str, Raw]) -> Any:
    return PARAMETERS[name].decoder.decode(given[name])


class _Conversation:
    """Items become messages: what an assistant says, thinks and calls between two others is one message, and the
    outputs of its calls stand right behind it, as chat wants them."""

    __slots__ = ("_assistant", "_calls", "_messages", "_signatures", "_system", "_tools", "left_out")

    def __init__(self, tools: ToolSet) -> None:
        self._tools = tools
        self._messages: list[list[dict[str, Any]]] = []  # each with the outputs of its calls
        self._assistant: dict[str, Any] | None = None
        self._system: list[str] | None = []  # those before everything else are one message
        self._calls: dict[str, list[dict[str, Any]]] = {}  # by the id of a call: where its output belongs
        self._signatures: dict[str, str] = {}  # of calls, by their id
        self.left_out: list[str] = []

    def messages(self) -> list[dict[str, Any]]:
        self._close_system()
        found = [message for group in self._messages for message in group]
        for message in found:
            if message["content"] is None and "tool_calls" not in message:  # nothing but reasoning
                message["content"] = ""
        return found

    def say(self, role: str, content: Any) -> None:
        if role in ("system", "developer"):
            self._instruct(content)
            return
        self._close_system()
        if role == "assistant":
            self._say_as_assistant(content)
            return
        self._assistant = None
        self._messages.append([{"role": role, "content": content}])

    def take(self, item: Item, where: str) -> None:
        kind = item.type
        if kind == "message":
            self._take_message(item, where)
        elif kind == "function_call":
            self._call(item, chat_name(item.name or "", item.namespace or ""), _text(item.arguments, where), where)
        elif kind == "custom_tool_call":
            self._call(item, chat_name(item.name or "", item.namespace or ""), arguments_of(item.input), where)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            self._output(item, where)
        elif kind == "reasoning":
            self._think(item)
        elif kind in ("additional_tools", "tool_search_output"):
            self._tools.add([] if item.tools == NULL else _tools.decode(item.tools))
        elif kind in _DONE_BY_PROVIDERS:
            self.left_out.append(f"input.{kind}")
        else:
            raise NotTranslated(
                [f"input.{kind[:64]}"],
                f"{where} is of type {kind[:64]!r}, which needs a provider that speaks the Responses API.",
            )

    def _take_message(self, item: Item, where: str) -> None:
        if item.role not in ("user", "assistant", "system", "developer"):
            raise InvalidRequest(f"{where}.role must be user, assistant, system or developer.", param=f"{where}.role")
        content = item.content
        if content == NULL:
            raise InvalidRequest(f"{where} has no content.", param=f"{where}.content")
        if memoryview(content)[0] == 0x22:
            self.say(item.role, _string.decode(content))
        else:
            parts = [_part(part, f"{where}.content[{at}]") for at, part in _numbered(content, where)]
            self.say(item.role, parts or "")

    def _instruct(self, content: Any) -> None:
        text = content if isinstance(content, str) else "\n".join([part.get("text", "") for part in content])
        if self._system is not None:
            self._system.append(text)
            return
        self._assistant = None
        self._messages.append([{"role": "system", "content": text}])

    def _close_system(self) -> None:
        """Many templates take one system message, at the beginning."""
        if self._system:
            self._messages.append([{"role": "system", "content": "\n\n".join(self._system)}])
        self._system = None

    def _turn(self) -> dict[str, Any]:
        self._close_system()
        if self._assistant is None:
            self._assistant = {"role": "assistant", "content": None}
            self._messages.append([self._assistant])
        return self._assistant

    def _say_as_assistant(self, content: Any) -> None:
        text = content if isinstance(content, str) else "".join([part.get("text", "") for part in content])
        turn = self._turn()
        if "tool_calls" in turn:  # what it said after its calls is another turn
            self._assistant = None
            turn = self._turn()
        turn["content"] = (turn["content"] or "") + text

    def _call(self, item: Item, name: str, arguments: str, where: str) -> None:
        if not item.call_id or not item.name:
            raise InvalidRequest(f"{where} needs a call_id and a name.", param=where)
        turn = self._turn()
        call: dict[str, Any] = {"id": item.call_id, "type": "function"}
        if signature := self._signatures.get(item.call_id):
            call["extra_content"] = {"google": {"thought_signature": signature}}
        call["function"] = {"name": name, "arguments": arguments or "{}"}
        turn.setdefault("tool_calls", []).append(call)
        self._calls[item.call_id] = self._messages[-1]

    def _output(self, item: Item, where: str) -> None:
        group = self._calls.get(item.call_id or "")
        if group is None:
            raise InvalidRequest(
                f"{where} is the output of the call {(item.call_id or '')[:64]!r}, which is not in the input.",
                param=f"{where}.call_id",
            )
        content: Any
        if item.output == NULL:
            content = ""
        elif memoryview(item.output)[0] == 0x22:
            content = _string.decode(item.output)
        elif memoryview(item.output)[0] == 0x5B:
            parts = [_part(part, f"{where}.output[{at}]") for at, part in _numbered(item.output, where)]
            content = parts or ""
        else:
            raise InvalidRequest(f"{where}.output must be a string or a list of parts.", param=f"{where}.output")
        self._assistant = None
        group.append({"role": "tool", "tool_call_id": item.call_id, "content": content})

    def _think(self, item: Item) -> None:
        """A model gets back what its provider made for that. Words that nobody has signed are for all who take them."""
        state = Wrapped(WORDS) if item.encrypted_content is None else unwrapped(item.encrypted_content)
        if state is None:
            return
        if state.format == WORDS:
            state = Wrapped(WORDS, state.text or _words(item))
            if not state.text:
                return
        if state.call:
            self._signatures[state.call] = state.signature
            return
        turn = self._turn()
        if "tool_calls" in turn or turn["content"]:
            self._assistant = None
            turn = self._turn()
        if state.format == WORDS:
            turn["reasoning_content"] = turn.get("reasoning_content", "") + state.text
            return
        detail: dict[str, Any] = {"type": "reasoning.encrypted" if state.data else "reasoning.text"}
        for name in ("format", "text", "signature", "data"):
            if value := getattr(state, name):
                detail[name] = value
        if item.id:
            detail["id"] = item.id
        turn.setdefault("reasoning_details", []).append(detail)


def _words(item: Item) -> str:
    """Of a reasoning item: what was thought, else its summary."""
    for raw in (item.content, item.summary):
        parts = _numbered(raw, "input") if raw != NULL and memoryview(raw)[0] == 0x5B else ()
        if text := "".join([part.text or "" for _, part in parts]):
            return text
    return ""


def _text(raw: Raw, where: str) -> str:
    try:
        return "" if raw == NULL else _string.decode(raw)
    except msgspec.DecodeError:
        raise InvalidRequest(f"{where}.arguments must be a string of JSON.", param=f"{where}.arguments") from None


def _numbered(raw: Raw, where: str) -> Iterable[tuple[int, Part]]:
    try:
        return enumerate(_parts.decode(raw))
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"{where} has a part that is not valid: {str(error)[:200]}.", param=where) from None
    except RecursionError:
        raise InvalidRequest(f"{where} is nested too deeply.", param=where) from None


def _part(part: Part, where: str) -> dict[str, Any]:
    kind = part.type
    if kind in ("input_text", "output_text", "text", "summary_text", "reasoning_text"):
        return {"type": "text", "text": part.text or ""}
    if kind == "refusal":
        return {"type": "text", "text": part.refusal or ""}
    if kind == "input_image":
        return _image(part, where)
    if kind == "input_file":
        return _file(part, where)
    if kind == "input_audio" and part.input_audio != NULL:
        return {"type": "input_audio", "input_audio": part.input_audio}
    raise UnsupportedContent(
        f"{where} is of type {kind[:64]!r}: the types are input_text, output_text, refusal, input_image, input_file "
        "and input_audio.",
        param=where,
    )


def _image(part: Part, where: str) -> dict[str, Any]:
    if not part.image_url:
        raise NotTranslated(
            ["input.input_image.file_id"],
            f"{where}: an image given by file_id needs a provider that speaks the Responses API.",
        )
    image: dict[str, Any] = {"url": part.image_url}
    if part.detail in _DETAILS:
        image["detail"] = part.detail
    elif part.detail is not None:  # "original": as it is
        image["detail"] = "high"
    return {"type": "image_url", "image_url": image}


def _file(part: Part, where: str) -> dict[str, Any]:
    file: dict[str, Any] = {}
    if part.file_id:
        file["file_id"] = part.file_id
    elif part.file_data or part.file_url:
        file["file_data"] = part.file_data or part.file_url
    else:
        raise InvalidRequest(f"{where} needs file_data, file_url or file_id.", param=where)
    if part.filename:
        file["filename"] = part.filename
    return {"type": "file", "file": file}
