"""What a chat request is, whichever API its caller speaks."""

from __future__ import annotations

from typing import Any, Protocol

from fairlead.wire.chat_request import ChatRequest


class ChatPayload(Protocol):
    """A `Payload` of the operation chat. `ChatRequest` is one; a door of another API makes its own, which keeps the
    caller's body for providers of the same API and is translated only for others.

    `api`: in which the caller wrote it and reads the answer (`wire/apis.py`). `echo`: what the answer repeats of the
    request, and must still have when the body has been released; None: nothing.
    """

    @property
    def api(self) -> str: ...

    @property
    def echo(self) -> Any: ...

    def neutral(self) -> ChatRequest:
        """The request in OpenAI's shape: made when it is first asked for, and kept. Raises CallerError for what cannot
        be said there."""

    def with_neutral(self, request: ChatRequest) -> ChatPayload:
        """The same caller with a request that was rewritten here (media fetched, an answer that is continued): it is
        translated for every provider from now on, because the caller's own body does not hold any more."""
