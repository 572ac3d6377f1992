"""What is at an address, written into the request as data."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fairlead.errors import InvalidRequest, Overloaded, UnsupportedContent
from fairlead.http.fetch import Fetched, Fetcher, FetchError
from fairlead.operations.chat.inlining import MOST_ADDRESSES, MOST_AT_ONCE, Inliner
from fairlead.wire import media
from fairlead.wire.chat import ChatRequest, parse_chat

TEXT = {"type": "text", "text": "What is this?"}
DATA = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


class Web(Fetcher):
    """What there is, by address."""

    def __init__(self, **pages: Fetched) -> None:
        super().__init__()
        self.pages = {f"https://example.com/{name}": page for name, page in pages.items()}
        self.asked: list[str] = []

    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        self.asked.append(url)
        found = self.pages.get(url)
        if found is None:
            raise FetchError("its server answered 404")
        return found


def inlined(web: Web, *parts: Any) -> ChatRequest:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": [TEXT, *parts]}]
    request = parse_chat(json.dumps({"model": "m", "messages": messages}).encode())
    return asyncio.run(Inliner(web).inlined(request))


def test_an_address_becomes_data_and_everything_else_stays() -> None:
    web = Web(a=Fetched("image/png", b"\x89PNG"), b=Fetched("application/pdf", b"%PDF"))
    pdf = {"type": "file", "file": {"file_data": "https://example.com/b", "filename": "b.pdf"}}
    link = image("https://example.com/a", detail="low")
    request = inlined(web, DATA, link, pdf, link, {"type": "file", "file": {"file_id": "f"}})
    assert request.media == media.IMAGE | media.FILE | media.FILE_ID
    there = image("data:image/png;base64,iVBORw==", detail="low")
    assert json.loads(bytes(request.messages))[1]["content"] == [
        TEXT, DATA, there,
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "b.pdf"}}, there,
        {"type": "file", "file": {"file_id": "f"}},
    ]  # fmt: skip
    assert len(web.asked) == 2  # each address once
    assert parse_chat(b'{"model":"m","messages":%b}' % bytes(request.messages)).media == request.media


def test_what_cannot_be_had_is_refused_by_its_path() -> None:
    with pytest.raises(InvalidRequest, match="answered 404") as caught:
        inlined(Web(), image("https://example.com/a"))
    assert caught.value.param == "messages[1].content[1].image_url.url"
    with pytest.raises(UnsupportedContent, match="is not an image"):
        inlined(Web(a=Fetched("text/html", b"<html>")), image("https://example.com/a"))
    many = [image(f"https://example.com/a{at}") for at in range(MOST_ADDRESSES + 1)]
    web = Web(**{f"a{at}": Fetched("image/png", b"\x89PNG") for at in range(MOST_ADDRESSES + 1)})
    with pytest.raises(InvalidRequest, match="more than 16 addresses"):
        inlined(web, *many)


class Slow(Web):
    async def fetch(self, url: str, most_bytes: int) -> Fetched:
        await asyncio.sleep(3600)
        raise AssertionError(url, most_bytes)


def test_all_addresses_of_a_request_have_one_deadline_and_few_requests_wait_at_once() -> None:
    messages = [{"role": "user", "content": [image("https://example.com/a")]}]
    request = parse_chat(json.dumps({"model": "m", "messages": messages}).encode())

    async def run() -> list[BaseException | ChatRequest]:
        inliner = Inliner(Slow(), seconds=0.1)
        return await asyncio.gather(
            *(inliner.inlined(request) for _ in range(MOST_AT_ONCE + 1)), return_exceptions=True
        )

    found = asyncio.run(run())
    assert [type(one) for one in found] == [InvalidRequest] * MOST_AT_ONCE + [Overloaded]
