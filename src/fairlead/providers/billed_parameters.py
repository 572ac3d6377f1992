"""Parameters that change what a call costs, or how long its answer may become: which of them a deployment with a price
is sent.

A price sheet has rates for tokens. What a provider bills beside them, or at other rates, is not on it, so these are not
sent unless the operator says so (`allow_parameters`, or `parameters`). Sources: OpenAI's API reference and pricing page
(service tiers, predicted outputs, web search, audio); llama.cpp's server, where `n_predict` beats `max_tokens`; TGI's,
SGLang's, Ollama's and vLLM's for the other names of a cap and for several answers at once.
"""

from __future__ import annotations

from dataclasses import replace

from fairlead.prices import PriceSheet
from fairlead.providers.dialect import Dialect

# Billed at other rates, or by the call: priority tiers, searches, words that were predicted wrongly. Anthropic's fast
# mode and its regions have prices of their own, and so have the tools that providers run.
UNPRICED = frozenset({
    "code_execution", "code_interpreter", "file_search", "image_generation", "inference_geo", "prediction",
    "service_tier", "speed", "web_search", "web_search_options",
})  # fmt: skip
# Sound is dearer than text: sent where the sheet has another rate for it.
AUDIO = frozenset({"audio", "modalities"})
# Other names of an answer's cap or of `n`, and objects that may hold one: there must be no cap but the one held for.
CAP_ALIASES = frozenset({
    "best_of", "candidate_count", "extra_body", "generation_config", "maxOutputTokens", "maxTokens", "max_gen_len",
    "max_gen_toks", "max_length", "max_new_tokens", "max_output_tokens", "max_tokens_to_sample", "n_predict",
    "num_beams", "num_generations", "num_predict", "num_return_sequences", "options", "parameters", "sampling_params",
    "use_beam_search",
})  # fmt: skip
# Names outside the API that are known to change the sampling, the template or the shape of an answer, not its price.
# Hosted providers with a price get no other unknown ones; engines of one's own get them all, except those above.
HARMLESS = frozenset({
    "add_generation_prompt", "allowed_token_ids", "bad_words", "cache_prompt", "chat_template", "chat_template_kwargs",
    "citation_options", "continue_final_message", "documents", "dry_allowed_length", "dry_base", "dry_multiplier",
    "dry_penalty_last_n", "dry_sequence_breakers", "dynatemp_exponent", "dynatemp_range", "ebnf", "enable_thinking",
    "grammar", "guided_choice", "guided_grammar", "guided_json", "guided_regex", "guided_whitespace_pattern",
    "include_reasoning", "include_stop_str_in_output", "json_schema", "length_penalty", "mirostat", "mirostat_eta",
    "mirostat_tau", "no_repeat_ngram_size", "prompt_logprobs", "prompt_mode", "random_seed", "reasoning",
    "reasoning_format", "regex", "repeat_last_n", "repeat_penalty", "return_token_ids", "safe_prompt", "safety_mode",
    "separate_reasoning", "skip_special_tokens", "spaces_between_special_tokens", "stop_regex", "stop_token_ids",
    "stream_reasoning", "tfs_z", "thinking", "thinking_budget", "top_a", "top_n_sigma", "truncate_prompt_tokens",
    "typical_p", "xtc_probability", "xtc_threshold",
})  # fmt: skip
# Allows every parameter that the dialect can carry.
EVERY = "*"


def priced(dialect: Dialect, sheet: PriceSheet, allowed: frozenset[str]) -> Dialect:
    """The dialect of a deployment with this sheet, less what its provider would bill beside it. `allowed`: what the
    operator lets through anyway."""
    if sheet.free or EVERY in allowed:
        return dialect
    rates = sheet.price.rates
    refused = (UNPRICED | CAP_ALIASES | (frozenset() if rates.audio_output > rates.output else AUDIO)) - allowed
    return replace(
        dialect,
        carries=None if dialect.carries is None else (dialect.carries - refused) | allowed,
        lacks=dialect.lacks | refused,
        unknown=None if dialect.always_streams else HARMLESS | allowed,
    )
