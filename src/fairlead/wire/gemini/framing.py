"""How documents follow each other in a stream of Gemini's: as server-sent events (`?alt=sse`), or as one JSON array.

And its errors, which end both: https://google.aip.dev/193
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fairlead.errors import FairleadError
from fairlead.wire.apis import GENERATE_CONTENT

ARRAY_HEAD: Final = (
    b"content-type: application/json\r\nx-content-type-options: nosniff\r\ncache-control: no-cache\r\n"
    b"x-accel-buffering: no\r\n"
)
STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_encode: Final = msgspec.json.encode


class Framing:
    """Frames the documents of one stream, each as bytes of JSON."""

    __slots__ = ("_begun", "is_array")

    def __init__(self, *, is_array: bool) -> None:
        self.is_array = is_array
        self._begun = False

    def framed(self, document: bytes) -> bytes:
        if not self.is_array:
            if document.find(b"\n") >= 0:  # `in` first makes an error of what is no number
                document = document.replace(b"\n", b"\ndata: ")
            return b"data: %b\n\n" % document
        before = b",\n\n" if self._begun else b"["
        self._begun = True
        return before + document

    @property
    def closing(self) -> bytes:
        """Behind the last document."""
        if not self.is_array:
            return b""
        return b"]\n" if self._begun else b"[]\n"

    def failed(self, error: FairleadError) -> bytes:
        """The last bytes of a stream that has begun and ends for this reason."""
        return self.framed(error_document(error)) + self.closing


def error_document(error: FairleadError) -> bytes:
    """`{"error": {"code", "message", "status", "details"}}`, or what a provider of the same API has written, as it
    came. `details` has our own code and, where waiting helps, for how long."""
    if error.native_api == GENERATE_CONTENT:
        return error.native_body
    status = STATUSES.get(error.status) or ("INVALID_ARGUMENT" if error.status < 500 else "INTERNAL")
    metadata: dict[str, Any] = {"code": error.code}
    if error.param is not None:
        metadata["param"] = error.param
    metadata.update({name: str(value) for name, value in (error.details or {}).items()})
    details: list[dict[str, Any]] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.code.upper(),
            "domain": "fairlead",
            "metadata": metadata,
        }
    ]
    if error.retry_after_seconds is not None:
        details.append(
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{error.retry_after_seconds}s"}
        )
    body = {"code": error.status, "message": error.message, "status": status, "details": details}
    return _encode({"error": body})
