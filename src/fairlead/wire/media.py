"""Parts of a message that are no text: images, audio, files and video, checked for their shape.

Shapes: OpenAI's API reference (`image_url`, `input_audio`, `file`); OpenRouter's and vLLM's (`video_url`, a file's
address in `file_data`). A part's own members are each there once: what is checked here is what an engine reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from fairlead.errors import InvalidRequest, UnsupportedContent
from fairlead.wire.addresses import WEB_ADDRESS, is_private
from fairlead.wire.bounds import LONGEST_URL, MOST_MESSAGE_MEMBERS, SKELETON_BYTES
from fairlead.wire.chat_shapes import File, ImageUrl, InputAudio, VideoUrl
from fairlead.wire.counting import TooMany, decode_members
from fairlead.wire.duplicates import refuse_duplicates

# What a request has beside text, as bits of `ChatRequest.media`.
IMAGE: Final = 1
AUDIO: Final = 2
FILE: Final = 4
VIDEO: Final = 8
# Some of it is at an address, to be fetched; a file is known by the id that a provider gave it; an assistant said it.
ADDRESS: Final = 16
FILE_ID: Final = 32
ASSISTANT: Final = 64
# The modality of the catalogue for each kind.
MODALITIES: Final[Mapping[int, str]] = {IMAGE: "image", AUDIO: "audio", FILE: "file", VIDEO: "video"}

_BASE64 = r";base64,[A-Za-z0-9+/]"
IMAGE_DATA: Final = re.compile(r"data:image/(?:png|jpeg|jpg|webp|gif)" + _BASE64)
VIDEO_DATA: Final = re.compile(r"data:video/[a-z0-9.+-]{1,32}" + _BASE64)
FILE_DATA: Final = re.compile(r"data:[a-z]{1,16}/[A-Za-z0-9.+-]{1,96}" + _BASE64)
_AUDIO_DATA: Final = re.compile(r"[A-Za-z0-9+/]{2}")


class Kind(NamedTuple):
    """One type of part: the shape of its value, and what checks that; the check's answer are more bits."""

    bit: int
    shape: msgspec.json.Decoder[Any]
    check: Callable[[Any, str], int]


def check_media(raw: Raw, type_: str, role: str, here: str) -> int:
    """The bits of one part, `{"type": type_, type_: {...}}`; `here` is its path. Raises InvalidRequest, or
    UnsupportedContent for what no provider could be sent."""
    kind = KINDS.get(type_)
    if kind is None:
        raise UnsupportedContent(
            f"{here} is of type {type_[:64]!r}: the types are text, {', '.join(KINDS)}.", param=here
        )
    where = f"{here}.{type_}"
    if role in ("system", "developer"):
        raise UnsupportedContent(f"{here}: {role} messages hold text only.", param=here)
    members = _members(raw, here)
    value = members.get(type_)
    if value is None:
        raise InvalidRequest(f"{where} is missing.", param=where)
    _members(value, where)
    try:
        given = kind.shape.decode(value)
    except msgspec.DecodeError as error:
        sentence, _, path = str(error).partition(" - at `$")
        where += path.rstrip("`")
        raise InvalidRequest(f"{where}: {sentence[:200]}.", param=where) from None
    return kind.bit | kind.check(given, where) | (ASSISTANT if role == "assistant" else 0)


def _members(text: Raw, where: str) -> dict[str, Raw]:
    twice: str | None = None
    try:
        if len(text) <= SKELETON_BYTES:
            members = _object.decode(text)
            refuse_duplicates(bytes(text), members, where, where)
            return members
        members, twice = decode_members(text, MOST_MESSAGE_MEMBERS)
    except msgspec.DecodeError:
        raise InvalidRequest(f"{where} must be an object.", param=where) from None
    except TooMany:
        raise InvalidRequest(f"{where} has more than {MOST_MESSAGE_MEMBERS} members.", param=where) from None
    if twice is not None:
        raise InvalidRequest(f"{where} has {twice[:64]!r} twice.", param=where)
    return members


def _image(given: ImageUrl, where: str) -> int:
    return _source(given.url, IMAGE_DATA, f"{where}.url", "png, jpeg, webp or gif in base64")


def _video(given: VideoUrl, where: str) -> int:
    return _source(given.url, VIDEO_DATA, f"{where}.url", "a video in base64")


def _file(given: File, where: str) -> int:
    if (given.file_data is None) == (given.file_id is None):
        raise InvalidRequest(f"{where} needs either file_data or file_id.", param=where)
    if given.file_id is not None:
        return FILE_ID
    return _source(given.file_data or "", FILE_DATA, f"{where}.file_data", "a file in base64")


def _audio(given: InputAudio, where: str) -> int:
    if _AUDIO_DATA.match(given.data) is None:
        raise InvalidRequest(f"{where}.data must be audio in base64.", param=f"{where}.data")
    return 0


def _source(url: str, data: re.Pattern[str], where: str, wanted: str) -> int:
    """ADDRESS when it is to be fetched, 0 when it is there."""
    if data.match(url) is not None:
        return 0
    if url[:5].lower() == "data:":
        raise UnsupportedContent(f"{where} must be a data: URL of {wanted}, or an https:// address.", param=where)
    if len(url) > LONGEST_URL:
        raise InvalidRequest(f"{where} is longer than {LONGEST_URL:,} characters.", param=where)
    found = WEB_ADDRESS.fullmatch(url)
    if found is None:
        raise InvalidRequest(f"{where} must be a data: URL of {wanted}, or an https:// address.", param=where)
    if is_private(found["host"]):
        raise InvalidRequest(f"{where} names a private address, which is never fetched.", param=where)
    return ADDRESS


_object: Final = msgspec.json.Decoder(dict[str, Raw])


def _decoder(shape: type[Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


KINDS: Final[Mapping[str, Kind]] = {
    "image_url": Kind(IMAGE, _decoder(ImageUrl), _image),
    "input_audio": Kind(AUDIO, _decoder(InputAudio), _audio),
    "file": Kind(FILE, _decoder(File), _file),
    "video_url": Kind(VIDEO, _decoder(VideoUrl), _video),
}
