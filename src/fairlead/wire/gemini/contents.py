"""Contents and their parts as OpenAI's messages and parts. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from fairlead.errors import FailurePolicy, InvalidRequest, UnsupportedContent
from fairlead.wire.bounds import LONGEST_FUNCTION_NAME
from fairlead.wire.gemini.shapes import NULL, Blob, Content, FileData, FunctionCall, FunctionResponse, Part
from fairlead.wire.gemini.signatures import UNSIGNED, details_of, standard_base64
from fairlead.wire.messages.decoding import OBJECT, decoded, first_byte

# Others may serve it.
ELSEWHERE: Final = FailurePolicy(elsewhere=True)
# The text of a function's result that is nothing but media: those follow in a message of the user's.
SEE_BELOW: Final = "The result is shown in the next message."
# What only Google can fetch: files that were uploaded there, its storage, its videos.
_GOOGLES: Final = re.compile(
    r"gs://|files/|https://generativelanguage\.googleapis\.com/|https://(?:www\.|m\.)?youtube\.com/|https://youtu\.be/",
    re.IGNORECASE,
)
_PLAIN_NAME: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_FUNCTION_NAME}}}")
_OTHER_LETTERS: Final = re.compile(r"[^A-Za-z0-9_-]")
_AUDIO_FORMATS: Final = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a"}
# Of an object that holds nothing else, the text of a result: Google's own name for it, and this gateway's.
_RESULT_NAMES: Final = frozenset({"output", "result"})
_part: Final = msgspec.json.Decoder(Part)
_parts: Final = msgspec.json.Decoder(list[Part])
_part_names: Final = msgspec.json.Decoder(list[dict[str, Raw]])
_part_name: Final = msgspec.json.Decoder(dict[str, Raw])
_texts: Final = msgspec.json.Decoder(dict[str, str])
# What a model did by itself, or how media are to be looked at.
_LEFT_OUT: Final = (
    "executableCode", "executable_code", "codeExecutionResult", "code_execution_result", "videoMetadata",
    "video_metadata", "mediaResolution", "media_resolution", "toolCall", "toolResponse",
)  # fmt: skip
_LEFT_OUT_NEEDLES: Final = tuple(f'"{name}"'.encode() for name in _LEFT_OUT)

Written = dict[str, Any]


def only_gemini(where: str, what: str) -> UnsupportedContent:
    """Says that the caller must choose another model. Deployments that could serve the call are tried first."""
    error = UnsupportedContent(
        f"{where}: {what} cannot be sent to this model's provider, only to one that speaks Gemini's API.",
        param=where.partition(".")[0],
    )
    error.policy = ELSEWHERE
    return error


def is_googles(uri: str) -> bool:
    """Whether only Google can fetch what is there."""
    return _GOOGLES.match(uri) is not None


def plain_name(name: str, names: dict[str, str]) -> str:
    """The name of a function as OpenAI takes it; `names` remembers those that had to be changed."""
    if _PLAIN_NAME.fullmatch(name) is not None:
        return name
    if name not in names:
        digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        names[name] = f"{_OTHER_LETTERS.sub('_', name)[: LONGEST_FUNCTION_NAME - 9]}_{digest}"
    return names[name]


def parts_in(raw: Raw, where: str) -> list[Part]:
    """Of a content: a list, or one part by itself."""
    if raw == NULL:
        return []
    if first_byte(raw) == OBJECT:
        return [decoded(_part, raw, where)]
    found: list[Part] = decoded(_parts, raw, where)
    return found


def system_text(content: Content, where: str) -> str:
    return "\n".join([part.text for part in parts_in(content.parts, f"{where}.parts") if part.text])


class Turns:
    """Contents as they are read, one after the other. Calls without ids get some, and results find theirs by the name
    of the function, as at Gemini."""

    __slots__ = ("_count", "_messages", "_names", "_open", "lost")

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._messages: list[Written] = []
        self._open: list[tuple[str, str]] = []  # calls without a result: id and name
        self._count = 0
        self.lost: list[str] = []

    def written(self) -> list[Written]:
        return self._messages

    def add_system(self, text: str) -> None:
        if text:
            self._messages.append({"role": "system", "content": text})

    def add(self, content: Content, where: str) -> None:
        parts = parts_in(content.parts, where)
        self._note_lost(content.parts)
        if content.role == "model":
            self._add_model(parts, where)
        elif content.role in (None, "", "user", "function", "tool"):
            self._add_user(parts, where)
        else:
            raise InvalidRequest(f"{where}: the role must be 'user' or 'model'.", param="contents")

    def _note_lost(self, parts: Raw) -> None:
        text = bytes(parts)
        if not any(needle in text for needle in _LEFT_OUT_NEEDLES):
            return
        members = [_part_name.decode(parts)] if first_byte(parts) == OBJECT else _part_names.decode(parts)
        for part in members:
            self.lost += [f"contents.{name}" for name in _LEFT_OUT if name in part]

    def _add_user(self, parts: list[Part], where: str) -> None:
        """Results of functions first, as OpenAI wants them; their media behind them, in the user's message."""
        written: list[Written] = []
        for at, part in enumerate(parts):
            if part.result is not None:
                written += self._add_result(part.result, f"{where}.{at}")
        for at, part in enumerate(parts):
            if part.result is None:
                written += _media_or_text(part, f"{where}.{at}")
        if written:
            self._messages.append({"role": "user", "content": _content(written)})

    def _add_result(self, result: FunctionResponse, where: str) -> list[Written]:
        """Gives what of a result is no text, with a sentence of whose it is."""
        call_id = self._answered(result, where)
        media: list[Written] = []
        for at, part in enumerate(parts_in(result.parts, f"{where}.parts")):
            media += _media_or_text(part, f"{where}.parts.{at}")
        text = "" if result.response == NULL else _result_text(result.response)
        self._messages.append(
            {"role": "tool", "tool_call_id": call_id, "content": SEE_BELOW if media and text in ("", "{}") else text}
        )
        return [{"type": "text", "text": f"From the result of {result.name or call_id}:"}, *media] if media else []

    def _answered(self, result: FunctionResponse, where: str) -> str:
        for at, (call_id, _) in enumerate(self._open):
            if result.id and call_id == result.id:
                del self._open[at]
                return call_id
        for at, (call_id, name) in enumerate(self._open):
            if name == result.name:
                del self._open[at]
                return call_id
        raise InvalidRequest(
            f"{where}.functionResponse is the result of a call of {result.name[:64]!r}, which is not in the contents.",
            param="contents",
        )

    def _add_model(self, parts: list[Part], where: str) -> None:
        last = self._messages[-1] if self._messages else None
        message = last if last is not None and last["role"] == "assistant" else None
        if message is None:
            message = {"role": "assistant", "content": None}
        words = ""
        for at, part in enumerate(parts):
            if details := details_of(part.signed):
                message.setdefault("reasoning_details", []).extend(details)
            if part.call is not None:
                message.setdefault("tool_calls", []).append(self._call(part.call, part.signed, f"{where}.{at}"))
            elif part.thought:
                words += part.text or ""
            elif part.text is not None:
                _say(message, part.text)
            elif part.blob is not None or part.file is not None:
                _show(message, _media_or_text(part, f"{where}.{at}"))
        if words and "reasoning_details" not in message:  # else they are there
            message["reasoning_content"] = message.get("reasoning_content", "") + words
        if message["content"] is None and len(message) > 2 and "tool_calls" not in message:
            message["content"] = ""  # nothing but reasoning
        if message is not last and (message["content"] is not None or len(message) > 2):
            self._messages.append(message)

    def _call(self, call: FunctionCall, signature: str, where: str) -> Written:
        if not call.name:
            raise InvalidRequest(f"{where}.functionCall needs a name.", param="contents")
        if call.args != NULL and first_byte(call.args) != OBJECT:
            raise InvalidRequest(f"{where}.functionCall.args: must be an object.", param="contents")
        self._count += 1
        call_id = call.id or f"call_{self._count}"
        self._open.append((call_id, call.name))
        arguments = "{}" if call.args == NULL else bytes(call.args).decode()
        made: Written = {
            "id": call_id,
            "type": "function",
            "function": {"name": plain_name(call.name, self._names), "arguments": arguments},
        }
        if signature and signature != UNSIGNED and details_of(signature) is None:
            made["extra_content"] = {"google": {"thought_signature": standard_base64(signature)}}
        return made


def _say(message: Written, text: str) -> None:
    content = message["content"]
    if isinstance(content, list):
        content.append({"type": "text", "text": text})
    else:
        message["content"] = (content or "") + text


def _show(message: Written, parts: list[Written]) -> None:
    content = message["content"]
    if not isinstance(content, list):
        content = message["content"] = [{"type": "text", "text": content}] if content else []
    content += parts


def _content(parts: list[Written]) -> Any:
    """A lone text is a string, which every template takes."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return parts


def _result_text(response: Raw) -> str:
    if first_byte(response) == OBJECT and len(response) < 65_536:
        try:
            members = _texts.decode(response)
        except (msgspec.DecodeError, RecursionError):
            members = {}
        if len(members) == 1 and not _RESULT_NAMES.isdisjoint(members):
            return next(iter(members.values()))
    return bytes(response).decode()


def _media_or_text(part: Part, where: str) -> list[Written]:
    if part.text is not None:
        return [{"type": "text", "text": part.text}] if part.text else []
    if part.blob is not None:
        return [_blob(part.blob, where)]
    if part.file is not None:
        return [_file(part.file, where)]
    if part.call is not None:
        raise InvalidRequest(f"{where}: only the model calls functions.", param="contents")
    return []


def _blob(blob: Blob, where: str) -> Written:
    mime, data = blob.mime, standard_base64(blob.data)
    kind, _, subtype = mime.partition("/")
    if not subtype:
        raise InvalidRequest(
            f"{where}.inlineData.mimeType: must be a media type such as 'image/png'.", param="contents"
        )
    address = f"data:{mime.partition(';')[0]};base64,{data}"
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": address}}
    if kind == "audio":
        subtype = subtype.partition(";")[0]
        return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO_FORMATS.get(subtype, subtype)}}
    if kind == "video":
        return {"type": "video_url", "video_url": {"url": address}}
    if kind == "text" and (text := _decoded_text(data)) is not None:
        return {"type": "text", "text": f"{blob.name}\n{text}" if blob.name else text}
    return {"type": "file", "file": {"file_data": address, "filename": (blob.name or _file_name(mime))[:1024]}}


def _decoded_text(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _file_name(mime: str) -> str:
    return "document.pdf" if mime == "application/pdf" else f"file.{mime.partition('/')[2][:32]}"


def _file(file: FileData, where: str) -> Written:
    uri, kind = file.uri, file.mime.partition("/")[0]
    if is_googles(uri) or kind == "audio":
        raise only_gemini(f"{where}.fileData", f"the file {uri[:100]!r}")
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": uri}}
    if kind == "video":
        return {"type": "video_url", "video_url": {"url": uri}}
    name = file.name or urlsplit(uri).path.rpartition("/")[2] or "document"
    return {"type": "file", "file": {"file_data": uri, "filename": name[:1024]}}


__all__ = ["Turns", "is_googles", "only_gemini", "parts_in", "plain_name", "system_text"]
