"""Models as Gemini's API lists them: https://ai.google.dev/api/models"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from fairlead.errors import InvalidRequest
from fairlead.wire.models import ModelEntry

METHODS: Final = ("generateContent", "streamGenerateContent", "countTokens")
USUAL_PAGE, LONGEST_PAGE = 50, 1_000
_encode: Final = msgspec.json.encode


class GeminiModels:
    """A `ModelShape`."""

    __slots__ = ()
    path: Final = "/v1beta/models"
    headers: Final = (b"x-goog-api-key",)

    def one(self, entry: ModelEntry) -> bytes:
        model: dict[str, Any] = {
            "name": f"models/{entry.id}", "baseModelId": entry.id, "version": "1", "displayName": entry.name,
            "description": entry.description, "supportedGenerationMethods": METHODS if entry.deployments else (),
        }  # fmt: skip
        if entry.context_length is not None:
            model["inputTokenLimit"] = entry.context_length
        if entry.max_output_tokens is not None:
            model["outputTokenLimit"] = entry.max_output_tokens
        for name, theirs in (("temperature", "temperature"), ("top_p", "topP"), ("top_k", "topK")):
            if name in entry.default_parameters:
                model[theirs] = entry.default_parameters[name]
        if "reasoning" in entry.capabilities:
            model["thinking"] = True
        return _encode(model)

    def listed(self, entries: Sequence[bytes], query: str) -> bytes:
        """A page of them. Raises InvalidRequest for a page that there is not."""
        given = parse_qs(query)
        size = _whole(given, "pageSize", USUAL_PAGE)
        begin = _whole(given, "pageToken", 0)
        end = begin + min(size or USUAL_PAGE, LONGEST_PAGE)
        more = b',"nextPageToken":"%d"' % end if end < len(entries) else b""
        return b'{"models":[%b]%b}' % (b",".join(entries[begin:end]), more)


def _whole(given: dict[str, list[str]], name: str, usual: int) -> int:
    text = given.get(name, [""])[0]
    if not text:
        return usual
    if not text.isdecimal() or len(text) > 9:
        raise InvalidRequest(f"{name} must be a whole number.", param=name)
    return int(text)


GEMINI_MODELS: Final = GeminiModels()
