"""Who speaks the Responses API, a row each."""

from __future__ import annotations

from fairlead.providers.dialect import Dialect
from fairlead.providers.responses_api.request import CARRIES

ROWS: tuple[Dialect, ...] = (
    Dialect(
        "openai-responses",
        telemetry_name="openai",
        carries=CARRIES,
        speaks="responses_api",
        path="/responses",
        incapable=frozenset({"video", "assistant_media"}),
    ),
)
