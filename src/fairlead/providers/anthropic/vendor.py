"""Anthropic's Messages API: what it can carry, and how a deployment is bound to it."""

from __future__ import annotations

from fairlead.providers.anthropic.adapter import AnthropicMessages
from fairlead.providers.claude import supports_prefill
from fairlead.providers.dialect import Binding, Dialect, VendorAPI
from fairlead.providers.translated import TRANSLATED

DIALECT = Dialect(
    "anthropic",
    telemetry_name="anthropic",
    carries=TRANSLATED | {"safety_identifier", "user"},
    speaks="anthropic",
    key_header="x-api-key: {key}",
    headers=b"anthropic-version: 2023-06-01\r\n",
    path="/messages",
    incapable=frozenset({"json_object", "audio", "video", "file_ids", "assistant_media"}),
)


def _adapter(binding: Binding) -> AnthropicMessages:
    return AnthropicMessages(
        binding.dialect, binding.public_model, binding.upstream_model, binding.defaults, clock=binding.clock,
        most_output=binding.most_output,
    )  # fmt: skip


def _supports_prefill(_dialect: Dialect, model: str) -> bool | None:
    return supports_prefill(model)


ANTHROPIC = VendorAPI("anthropic", (DIALECT,), _adapter, _supports_prefill)
