"""The rows of all dialects: where those who speak OpenAI's differ, and what the others can carry.

Sources: the engines' own documentation and source, and trials against llama.cpp's server; for vendors the pages named
in their own files and in `presets.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

_STANDARD = frozenset({
    "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "n", "parallel_tool_calls",
    "presence_penalty", "reasoning_effort", "response_format", "seed", "stop", "temperature", "tool_choice", "tools",
    "top_logprobs",
    "top_p", "user",
})  # fmt: skip
_OPENAI_ONLY = frozenset({
    "audio", "metadata", "modalities", "prediction", "prompt_cache_key", "prompt_cache_retention", "safety_identifier",
    "service_tier", "store", "verbosity", "web_search_options",
})  # fmt: skip
_TRANSLATED = frozenset({
    "max_completion_tokens", "max_tokens", "parallel_tool_calls", "reasoning_effort", "response_format", "stop",
    "structured_outputs", "temperature", "tool_choice", "tools", "top_k", "top_p",
})  # fmt: skip
_NO_FILES = frozenset({"files", "file_ids"})
_SAMPLING = frozenset({"min_p", "repetition_penalty", "structured_outputs", "top_k"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """One row. `carries`: the parameters that it takes under their own name or a renamed one (None: every one).

    `always_streams`: it is asked for a stream even when the caller wants none, because it stops working for a caller
    who left only then. `bills_cut`: its providers bill an answer to its end although nobody
    waits for it (`presets.STOPS_BILLING` has the source; engines of one's own stop).
    `asks_usage`: it wants `stream_options` to send usage at the end
    of a stream. `key_header`: the line that its key stands in. `lacks`: what it is never sent, whatever it carries.
    `unknown`: which names outside the API are passed, where unknown ones are (None: all).
    `incapable`: the capabilities (of `routing.needs`) that it has no word for. `continues`: whoever speaks it goes on
    from a last assistant message, letter by letter; of others `prefill.py` knows. `list_path`: where its models are
    listed, for nothing; empty: nowhere. `own_parts`: files and audio stand in parts of its own.
    """

    name: str
    carries: frozenset[str] | None
    speaks: Literal["openai", "anthropic", "gemini", "bedrock"] = "openai"
    lacks: frozenset[str] = frozenset()
    unknown: frozenset[str] | None = None
    incapable: frozenset[str] = frozenset()
    continues: bool = False
    key_header: str = "authorization: Bearer {key}"
    headers: bytes = b""
    path: bytes = b"/chat/completions"
    list_path: bytes = b"/models"
    stream_type: bytes = b"text/event-stream"
    passes_unknown: bool = False
    renames: Mapping[str, str] = field(default_factory=dict)
    neutral: Mapping[str, bytes] = field(default_factory=dict)
    always_streams: bool = False
    bills_cut: bool = False
    asks_usage: bool = True
    tool_choice: Literal["as_is", "any", "single_tool"] = "as_is"
    structured: Literal["as_is", "sglang", "llamacpp", "response_format"] = "as_is"
    # What a last assistant message needs so that it is continued: extra members of the body, or of that message.
    prefill_members: Mapping[str, bytes] = field(default_factory=dict)
    prefill_prefix: bool = False
    echoes_prefill: bool = False
    short_tool_ids: bool = False
    own_parts: bool = False
    parses_control_tokens: bool = False
    keeps_connections: bool = True


DIALECTS: Mapping[str, Dialect] = {
    row.name: row
    for row in (
        Dialect("generic", carries=None, passes_unknown=True),
        Dialect(
            "openai",
            carries=_STANDARD | _OPENAI_ONLY | {"structured_outputs"},
            renames={"max_tokens": "max_completion_tokens"},
            structured="response_format",
            incapable=frozenset({"video"}),
        ),
        Dialect(
            "mistral",
            carries=_STANDARD - {"logit_bias", "logprobs", "top_logprobs", "user"} | {"structured_outputs"},
            renames={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
            bills_cut=True,
            asks_usage=False,
            tool_choice="any",
            structured="response_format",
            continues=True,
            prefill_prefix=True,
            short_tool_ids=True,
            incapable=frozenset({"video"}),
            own_parts=True,
        ),
        Dialect(
            "vllm",
            carries=_STANDARD | _SAMPLING,
            passes_unknown=True,
            always_streams=True,
            continues=True,
            prefill_members={"continue_final_message": b"true", "add_generation_prompt": b"false"},
            incapable=_NO_FILES,
        ),
        Dialect(
            "sglang",
            carries=_STANDARD | _SAMPLING,
            passes_unknown=True,
            always_streams=True,
            structured="sglang",
            continues=True,
            prefill_members={"continue_final_message": b"true"},
            incapable=_NO_FILES,
        ),
        Dialect(
            "llamacpp",
            carries=_STANDARD - {"reasoning_effort", "user"} | _SAMPLING,
            renames={"max_completion_tokens": "max_tokens", "repetition_penalty": "repeat_penalty"},
            # Its own defaults (40, 0.95, 0.05) differ from everybody else's.
            neutral={"top_k": b"0", "top_p": b"1", "min_p": b"0"},
            always_streams=True,
            tool_choice="single_tool",
            structured="llamacpp",
            continues=True,
            echoes_prefill=True,
            short_tool_ids=True,
            parses_control_tokens=True,
            incapable=_NO_FILES | {"media_urls", "video"},
            keeps_connections=False,  # it closes after every stream, unannounced
        ),
        Dialect(
            "azure",
            carries=_STANDARD | _OPENAI_ONLY - {"service_tier", "prompt_cache_retention"} | {"structured_outputs"},
            key_header="api-key: {key}",
            renames={"max_tokens": "max_completion_tokens"},
            structured="response_format",
            incapable=frozenset({"video"}),
        ),
        # https://console.groq.com/docs/openai: these are answered with 400
        Dialect("groq", carries=None, lacks=frozenset({"logit_bias", "logprobs", "top_logprobs", "n"}), bills_cut=True),
        # https://inference-docs.cerebras.ai/resources/openai
        Dialect(
            "cerebras",
            carries=None,
            lacks=frozenset({"frequency_penalty", "logit_bias", "presence_penalty", "service_tier"}),
            bills_cut=True,
        ),
        # https://docs.cohere.com/docs/compatibility-api: it refuses stream_options and sends usage without
        Dialect(
            "cohere",
            carries=_STANDARD - {"logit_bias", "n", "parallel_tool_calls", "top_logprobs", "user"},
            renames={"max_completion_tokens": "max_tokens"},
            asks_usage=False,
        ),
        Dialect(
            "anthropic",
            carries=_TRANSLATED | {"safety_identifier", "user"},
            speaks="anthropic",
            key_header="x-api-key: {key}",
            headers=b"anthropic-version: 2023-06-01\r\n",
            path=b"/messages",
            incapable=frozenset({"json_object", "audio", "video", "file_ids", "assistant_media"}),
        ),
        Dialect(
            "gemini",
            carries=_TRANSLATED | {"frequency_penalty", "n", "presence_penalty", "seed"},
            speaks="gemini",
            key_header="x-goog-api-key: {key}",
            bills_cut=True,
            incapable=frozenset({"file_ids"}),
        ),
        Dialect(
            "bedrock",
            carries=_TRANSLATED,
            speaks="bedrock",
            list_path=b"",  # it is told elsewhere, under another permission
            stream_type=b"application/vnd.amazon.eventstream",
            bills_cut=True,
            incapable=frozenset({"json_object", "audio", "file_ids", "media_urls", "assistant_media"}),
        ),
    )
}
