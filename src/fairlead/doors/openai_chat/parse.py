"""Reads the body of a chat completion."""

from __future__ import annotations

from fairlead.http.request import Request
from fairlead.wire.chat import ChatRequest, parse_chat
from fairlead.wire.chat_request import RequestTemplate
from fairlead.wire.outline import Outline


def read_chat(request: Request) -> ChatRequest:
    """`parse_chat`, which may know what stands around the messages from the request before."""
    outline = request.outline
    if outline is not None:
        return parse_chat(request.body, outline=outline if isinstance(outline, Outline) else None)
    known = request.known
    if known is None:
        return parse_chat(request.body)
    template = known.template
    chat = parse_chat(request.block, template if isinstance(template, RequestTemplate) else None, request.at)
    if chat.template is not None:
        known.template = chat.template
    return chat
