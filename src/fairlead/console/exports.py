"""Files that are written while they are sent: however long one is, its first byte comes at once and little memory is
held."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response, StreamingResponse

from fairlead.errors import Overloaded

# That are written at the same time, so that they leave threads and connections to others.
MOST_EXPORTS: Final = 2
_running: Final[set[object]] = set()


def download(parts: AsyncIterator[bytes], media_type: str, name: str) -> Response:
    """An answer of these parts, to be saved under this name. Raises Overloaded."""
    if len(_running) >= MOST_EXPORTS:
        raise Overloaded("Too many exports are being written at the moment. Try again soon.", retry_after_seconds=5)

    async def counted() -> AsyncIterator[bytes]:
        mark = object()
        _running.add(mark)
        try:
            async for part in parts:
                yield part
        finally:
            _running.discard(mark)

    answer = StreamingResponse(counted(), media_type=media_type)
    answer.headers["content-disposition"] = f'attachment; filename="{name}"'
    return answer
