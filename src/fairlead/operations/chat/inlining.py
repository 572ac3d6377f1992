"""Images, files and video at an address, written into the request as data: for providers that fetch nothing."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import InvalidRequest, Overloaded, UnsupportedContent
from fairlead.http.fetch import FETCH_SECONDS, Fetched, Fetcher, FetchError
from fairlead.wire.chat import ChatRequest
from fairlead.wire.media import ADDRESS, FILE_DATA, IMAGE_DATA, VIDEO_DATA

# Of one request.
MOST_ADDRESSES: Final = 16
MOST_BYTES: Final = 20_971_520
# Of all requests: each may come to MOST_BYTES in memory.
MOST_AT_ONCE: Final = 8
# The member of a part's value that holds its address, and what the data must be.
_PLACES: Final = {
    "image_url": ("url", IMAGE_DATA, "an image (png, jpeg, webp or gif)"),
    "video_url": ("url", VIDEO_DATA, "a video"),
    "file": ("file_data", FILE_DATA, "a file"),
}
_list: Final = msgspec.json.Decoder(list[dict[str, Raw]])
_object: Final = msgspec.json.Decoder(dict[str, Raw])
_string: Final = msgspec.json.Decoder(str)
_encode: Final = msgspec.json.encode


class Inliner:
    """Fetches what a request has at addresses."""

    def __init__(self, fetcher: Fetcher | None = None, seconds: float = FETCH_SECONDS) -> None:
        self._fetcher = fetcher or Fetcher()
        self._seconds = seconds
        self._running = 0

    async def inlined(self, request: ChatRequest) -> ChatRequest:
        """The request with data in the place of every address. Raises InvalidRequest (`param`: the part) for what
        cannot be had, Overloaded when too many wait already."""
        if self._running >= MOST_AT_ONCE:
            raise Overloaded("Too many requests are waiting for files to be fetched.", retry_after_seconds=1)
        self._running += 1
        # A task of its own: calls are driven without one, and deadlines need one.
        task = asyncio.get_running_loop().create_task(self._in_time(request.messages))
        try:
            messages = await task
        finally:
            self._running -= 1
            task.cancel()
        changed = request.copy()
        changed.messages = messages
        changed.outline = None
        changed.media = request.media & ~ADDRESS
        return changed

    async def _in_time(self, raw: Raw) -> Raw:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._messages(raw)
        except TimeoutError:
            raise InvalidRequest(
                f"The files at the given addresses did not arrive within {self._seconds:g} s.", param="messages"
            ) from None

    async def _messages(self, raw: Raw) -> Raw:
        messages = _list.decode(raw)
        known: dict[str, Fetched] = {}
        for at, message in enumerate(messages):
            content = message.get("content")
            if content is None or memoryview(content)[0] != 0x5B:
                continue
            parts = _list.decode(content)
            for place, part in enumerate(parts):
                kind = _string.decode(part["type"])
                if kind in _PLACES:
                    part[kind] = await self._value(kind, part[kind], f"messages[{at}].content[{place}].{kind}", known)
            message["content"] = Raw(_encode(parts))
        return Raw(_encode(messages))

    async def _value(self, kind: str, raw: Raw, where: str, known: dict[str, Fetched]) -> Raw:
        name, data, wanted = _PLACES[kind]
        value: dict[str, Any] = dict(_object.decode(raw))
        url = _string.decode(value[name]) if name in value else "data:"
        if url[:5].lower() == "data:":
            return raw
        where = f"{where}.{name}"
        found = known.get(url)
        if found is None:
            if len(known) >= MOST_ADDRESSES:
                raise InvalidRequest(f"The request has more than {MOST_ADDRESSES} addresses to fetch.", param=where)
            room = MOST_BYTES - sum(len(one.data) for one in known.values())
            try:
                found = known[url] = await self._fetcher.fetch(url, room)
            except FetchError as error:
                raise InvalidRequest(f"{where} cannot be fetched: {error}.", param=where) from None
        written = f"data:{found.kind};base64,{b64encode(found.data).decode()}"
        if data.match(written) is None:
            raise UnsupportedContent(f"{where} is not {wanted}.", param=where)
        value[name] = written
        return Raw(_encode(value))
