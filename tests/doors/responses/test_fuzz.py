"""Whatever JSON comes as a request: it is refused by one of our errors, or it becomes one for every provider."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.doors.responses.operation import RESPONSES_CHAT
from fairlead.doors.responses.parse import read_responses
from fairlead.doors.responses.shapes import PARAMETERS
from fairlead.errors import FairleadError
from fairlead.http.request import Request

TYPES = (
    "message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning",
    "additional_tools", "web_search_call", "tool_search_output", "function", "custom", "namespace", "web_search",
    "tool_search", "allowed_tools", "input_text", "output_text", "input_image", "input_file", "refusal", "json_schema",
)  # fmt: skip
NAMES = (
    "type", "role", "content", "id", "call_id", "name", "namespace", "arguments", "input", "output", "summary", "tools",
    "encrypted_content", "text", "image_url", "file_id", "file_data", "filename", "parameters", "format", "mode", "effort",
)  # fmt: skip
WORDS = st.sampled_from(
    [
        *TYPES,
        "user",
        "assistant",
        "system",
        "developer",
        "auto",
        "none",
        "c1",
        "{}",
        "flr1.e30=",
        "data:image/png;base64,AAAA",
        "https://example.com/x",
        "",
        "\ud7ff",
        "ä",
    ]
)
SCALARS: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | WORDS
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=24,
)
ITEMS = st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), max_size=5)
BODIES = st.fixed_dictionaries(
    {"model": st.just("m"), "input": WORDS | ITEMS | VALUES},
    optional=dict.fromkeys([*PARAMETERS, "fairlead", "provider", "models", "unknown"], VALUES),
)


@settings(max_examples=150, deadline=None)
@given(BODIES)
def test_any_request(body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    try:
        made = read_responses(Request("POST", b"/v1/responses", [], data, "1.1"))
    except FairleadError:
        return
    demand = RESPONSES_CHAT.demand(made)
    RESPONSES_CHAT.kept(made)
    RESPONSES_CHAT.media_tokens(made, 1)
    assert demand.prompt_bytes >= demand.text_bytes
    sent = json.loads(made.native(b'"up"') or b"{}")
    assert sent["model"] == "up"
    assert made.billed(frozenset({"web_search"})) is not None
    try:
        made.neutral()
    except FairleadError as error:
        if error.status not in (400, 422):
            raise
        return
    json.loads(b'{"x":0' + made.echo.members + b"}")
