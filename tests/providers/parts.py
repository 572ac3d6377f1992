"""Messages with images, audio, files and video."""

from __future__ import annotations

import json
from typing import Any

from fairlead.wire.chat import ChatRequest, parse_chat

PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
REMOTE = {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}}
PDF = {"type": "file", "file": {"filename": "Q3 report_v2.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}
REMOTE_PDF = {"type": "file", "file": {"file_data": "https://example.com/b/c.pdf"}}
PLAIN = {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,SGVsbG8="}}
BY_ID = {"type": "file", "file": {"file_id": "file-abc"}}
WAV = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
MP4 = {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}
TEXT = {"type": "text", "text": "What is this?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def request_of(*parts: Any, **members: Any) -> ChatRequest:
    body = {"model": "public", "messages": [{"role": "user", "content": [TEXT, *parts]}], **members}
    return parse_chat(json.dumps(body).encode())


def tool_request(*parts: Any) -> ChatRequest:
    messages = [
        {"role": "user", "content": "Draw"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": [TEXT, *parts]},
    ]
    return parse_chat(json.dumps({"model": "public", "messages": messages}).encode())


def sent_by(adapter: Any, request: ChatRequest) -> Any:
    return json.loads(b"".join(adapter.to_vendor(request).body))
