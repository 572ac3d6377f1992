"""What the heads of answers say about their bodies: ready lines."""

from __future__ import annotations

from typing import Final

JSON_HEAD: Final = b"content-type: application/json\r\nx-content-type-options: nosniff\r\n"
STREAM_HEAD: Final = (
    b"content-type: text/event-stream; charset=utf-8\r\nx-content-type-options: nosniff\r\n"
    b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
)
# The content type of a stream of server-sent events, as it begins.
EVENT_STREAM: Final = b"text/event-stream"
