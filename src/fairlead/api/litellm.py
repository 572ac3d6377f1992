"""A model as LiteLLM's `/model/info` describes it, for clients that were made for LiteLLM (Roo, Cline and kin).

Its prices are floats per token, as they are there; ours, with every digit, are in /v1/models.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fairlead.catalogue.snapshot import Model
from fairlead.wire.usage import TokenClasses

PICODOLLARS: Final = 1e12
# LiteLLM's words for what a model is for, where they differ from ours.
MODES: Final = {"image": "image_generation", "speech": "audio_speech", "transcription": "audio_transcription"}
RATES: Final = {
    "input": "input_cost_per_token", "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost", "cache_write_5m": "cache_creation_input_token_cost",
    "reasoning": "output_cost_per_reasoning_token", "audio_input": "input_cost_per_audio_token",
    "audio_output": "output_cost_per_audio_token",
}  # fmt: skip
CAPABILITIES: Final = {
    "supports_vision": "vision", "supports_function_calling": "tools",
    "supports_parallel_function_calling": "parallel_tools", "supports_response_schema": "structured_outputs",
    "supports_reasoning": "reasoning", "supports_prompt_caching": "prompt_caching",
    "supports_audio_input": "audio_input", "supports_audio_output": "audio_output", "supports_pdf_input": "file_input",
    "supports_assistant_prefill": "prefill", "supports_web_search": "web_search",
}  # fmt: skip


def litellm_info(model: Model) -> bytes:
    """One entry of `data`. The price is that of the first deployment, which serves while it is healthy."""
    rates: TokenClasses = model.deployments[0].sheet.price.rates
    info: dict[str, Any] = {
        "id": model.id,
        "key": model.id,
        "mode": MODES.get(model.mode, model.mode),
        "litellm_provider": model.deployments[0].provider,
        "max_input_tokens": model.context_length,
        "max_output_tokens": model.max_output_tokens,
        "max_tokens": model.max_output_tokens or model.context_length,
        "supported_openai_params": model.parameters or None,
    }
    for name, theirs in RATES.items():
        info[theirs] = getattr(rates, name) / PICODOLLARS
    for theirs, name in CAPABILITIES.items():
        known = model.facts.get(f"capability.{name}").value
        info[theirs] = known if isinstance(known, bool) else None
    return msgspec.json.encode(
        {"model_name": model.id, "litellm_params": {"model": f"openai/{model.id}"}, "model_info": info}
    )
