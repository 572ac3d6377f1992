"""What became of each parameter is told, whatever dialect the deployment speaks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.providers.recorded import SPOKEN, adapter

from fairlead.errors import NotCarried
from fairlead.providers.dialects import DIALECTS
from fairlead.routing.parameters import header, parameters
from fairlead.wire.apis import CHAT_COMPLETIONS

from .support import request, upstream

CLAUDE_OLD, CLAUDE_NEW = "anthropic.claude-sonnet-4-5", "anthropic.claude-opus-4-6"


def claude(dialect: str, model: str) -> Any:
    return adapter(dialect, model, most_output=8000)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_cap_that_was_shrunk_to_the_credit_is_told_as_clamped(dialect: str) -> None:
    asked = request(max_tokens=100, temperature=0.5)
    one = replace(upstream("a/x"), translated=frozenset({"max_tokens"}))
    spoken = adapter(dialect) if dialect in SPOKEN else upstream("a/x", dialect=dialect).adapters[CHAT_COMPLETIONS]
    found = parameters(asked.given, spoken.to_vendor(asked), one, ("max_tokens",), ())
    assert found.clamped == ("max_tokens",)
    assert "max_tokens" not in (*found.forwarded, *found.translated, *found.dropped)
    assert b"clamped=max_tokens" in header(found)


@pytest.mark.parametrize(
    ("made", "given", "clamped"),
    [
        (claude("anthropic", "claude-sonnet-4-5"), {"temperature": 1.7}, "temperature"),
        (claude("bedrock", CLAUDE_OLD), {"temperature": 2}, "temperature"),
        (
            claude("anthropic", "claude-opus-4-6"),
            {"reasoning_effort": "minimal"},
            "reasoning_effort",
        ),
        (claude("bedrock", CLAUDE_NEW), {"reasoning_effort": "minimal"}, "reasoning_effort"),
        (
            claude("anthropic", "claude-sonnet-4-5"),
            {"reasoning_effort": "high", "max_tokens": 5000},
            "reasoning_effort",
        ),
        (
            adapter("gemini", "gemini-3-pro"),
            {"reasoning_effort": "xhigh"},
            "reasoning_effort",
        ),
    ],
)
def test_what_is_brought_into_a_vendors_range_is_told_and_refused_when_strict(
    made: Any, given: dict[str, Any], clamped: str
) -> None:
    asked = request(**given, logit_bias={"1": 1})
    call = made.to_vendor(asked)
    assert (call.clamped, call.dropped) == ((clamped,), ("logit_bias",))
    assert parameters(asked.given, call, upstream("a/x"), call.clamped, ()).clamped == (clamped,)
    with pytest.raises(NotCarried) as caught:
        made.to_vendor(request(**given, logit_bias={"1": 1}, fairlead={"strict": True}))
    assert caught.value.names == ("logit_bias", clamped)
