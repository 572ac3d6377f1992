"""Everyone who speaks OpenAI's dialect, a row each: where they differ from it.

Sources: the engines' own documentation and source, and trials against llama.cpp's server; for vendors the pages named
here and in `presets.py`.
"""

from __future__ import annotations

from fairlead.providers.dialect import Carried, Dialect
from fairlead.wire.apis import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    IMAGE_EDITS,
    IMAGES,
    MODERATIONS,
    RERANK,
    SPEECH,
    TRANSCRIPTIONS,
    TRANSLATIONS,
)
from fairlead.wire.vocabulary import Need

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
_NO_FILES: frozenset[Need] = frozenset({"files", "file_ids"})
# Engines know no limits of documents, choose none of several answers, and fill no gaps.
_BY_ENGINES: dict[str, Carried] = {
    COMPLETIONS: Carried(lacks=frozenset({"best_of", "suffix"})),
    RERANK: Carried(lacks=frozenset({"max_chunks_per_doc", "max_tokens_per_doc"})),
}
# What a model has thought, as other providers' answers show it: these servers refuse a message that has it, and keep
# nothing of it. The others do so with everything that their API does not have ("property 'refusal' is unsupported",
# "Extra inputs are not permitted"); Groq and Cerebras take `reasoning` of their own models.
_THOUGHTS = frozenset({"extra_content", "reasoning", "reasoning_content", "reasoning_details"})
_OF_ANSWERS = _THOUGHTS | {"annotations", "images", "refusal"}
_SAMPLING = frozenset({"min_p", "repetition_penalty", "structured_outputs", "top_k"})

# https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference
_OF_DEPLOYMENTS = {
    COMPLETIONS: "completions",
    EMBEDDINGS: "embeddings",
    IMAGES: "images/generations",
    IMAGE_EDITS: "images/edits",
    SPEECH: "audio/speech",
    TRANSCRIPTIONS: "audio/transcriptions",
    TRANSLATIONS: "audio/translations",
}

ROWS: tuple[Dialect, ...] = (
    Dialect("generic", carries=None, passes_unknown=True, keeps_marks=True),
    Dialect(
        "openai",
        refuses=_THOUGHTS,
        text_results=True,
        telemetry_name="openai",
        carries=_STANDARD | _OPENAI_ONLY | {"structured_outputs"},
        renames={"max_tokens": "max_completion_tokens"},
        structured="response_format",
        incapable=frozenset({"video"}),
        max_inputs=2_048,
    ),
    Dialect(
        "mistral",
        refuses=_OF_ANSWERS,
        telemetry_name="mistral_ai",
        carries=_STANDARD - {"logit_bias", "logprobs", "top_logprobs", "user"} | {"structured_outputs"},
        renames={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
        bills_cut=True,
        asks_usage=False,
        tool_choice="any",
        structured="response_format",
        supports_prefill=True,
        prefill_prefix=True,
        short_tool_ids=True,
        incapable=frozenset({"video"}),
        own_parts=True,
        operations=frozenset({CHAT, COMPLETIONS, EMBEDDINGS, MODERATIONS}),
        # https://docs.mistral.ai/api/#tag/fim: a gap is filled, with or without a suffix
        paths={COMPLETIONS: "/fim/completions"},
        carried={
            COMPLETIONS: Carried(
                {"seed": "random_seed"},
                frozenset(
                    {
                        "best_of",
                        "echo",
                        "frequency_penalty",
                        "logit_bias",
                        "logprobs",
                        "n",
                        "presence_penalty",
                        "user",
                    }
                ),
                frozenset({"min_tokens"}),
                as_chat=True,
            ),
            EMBEDDINGS: Carried({"dimensions": "output_dimension"}, frozenset({"user"})),
        },
    ),
    Dialect(
        "vllm",
        carries=_STANDARD | _SAMPLING,
        passes_unknown=True,
        always_streams=True,
        supports_prefill=True,
        prefill_members={"continue_final_message": b"true", "add_generation_prompt": b"false"},
        incapable=_NO_FILES,
        carried=_BY_ENGINES,
    ),
    Dialect(
        "sglang",
        carries=_STANDARD | _SAMPLING,
        passes_unknown=True,
        always_streams=True,
        structured="sglang",
        supports_prefill=True,
        prefill_members={"continue_final_message": b"true"},
        incapable=_NO_FILES,
        carried=_BY_ENGINES,
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
        supports_prefill=True,
        echoes_prefill=True,
        short_tool_ids=True,
        parses_control_tokens=True,
        incapable=_NO_FILES | {"media_urls", "video"},
        keeps_connections=False,  # it closes after every stream, unannounced
        carried={
            **_BY_ENGINES,
            COMPLETIONS: Carried(
                {"repetition_penalty": "repeat_penalty"},
                frozenset({"best_of", "echo", "suffix", "user"}),
                frozenset({"min_p", "repetition_penalty", "top_k"}),
            ),
        },
    ),
    Dialect(
        "azure",
        refuses=_THOUGHTS,
        text_results=True,
        telemetry_name="azure.ai.openai",
        path="/openai/deployments/{deployment}/chat/completions?api-version={api_version}",
        paths={
            name: f"/openai/deployments/{{deployment}}/{path}?api-version={{api_version}}"
            for name, path in _OF_DEPLOYMENTS.items()
        },
        operations=frozenset({CHAT, *_OF_DEPLOYMENTS}),
        max_inputs=2_048,
        list_path="/openai/models?api-version={api_version}",
        # The last dated version that is no preview: https://learn.microsoft.com/en-us/azure/ai-foundry/openai/api-version-lifecycle
        api_version="2024-10-21",
        carries=_STANDARD | _OPENAI_ONLY - {"service_tier", "prompt_cache_retention"} | {"structured_outputs"},
        key_header="api-key: {key}",
        renames={"max_tokens": "max_completion_tokens"},
        structured="response_format",
        incapable=frozenset({"video"}),
    ),
    # https://console.groq.com/docs/openai: these are answered with 400
    Dialect(
        "groq",
        refuses=_OF_ANSWERS - {"reasoning"},
        text_results=True,
        telemetry_name="groq",
        carries=None,
        lacks=frozenset({"logit_bias", "logprobs", "top_logprobs", "n"}),
        # https://console.groq.com/docs/speech-to-text, https://console.groq.com/docs/text-to-speech
        operations=frozenset({CHAT, SPEECH, TRANSCRIPTIONS, TRANSLATIONS}),
        carried={
            SPEECH: Carried(lacks=frozenset({"instructions", "stream_format", "user"})),
            TRANSCRIPTIONS: Carried(lacks=frozenset({"chunking_strategy", "include[]", "user"})),
            TRANSLATIONS: Carried(lacks=frozenset({"chunking_strategy", "include[]", "user"})),
        },
        bills_cut=True,
    ),
    # https://inference-docs.cerebras.ai/resources/openai
    Dialect(
        "cerebras",
        refuses=_OF_ANSWERS - {"reasoning"},
        text_results=True,
        carries=None,
        lacks=frozenset({"frequency_penalty", "logit_bias", "presence_penalty", "service_tier"}),
        operations=frozenset({CHAT, COMPLETIONS}),
        bills_cut=True,
    ),
    # https://docs.cohere.com/docs/compatibility-api: it refuses stream_options and sends usage without
    Dialect(
        "cohere",
        refuses=_OF_ANSWERS,
        text_results=True,
        telemetry_name="cohere",
        carries=_STANDARD - {"logit_bias", "n", "parallel_tool_calls", "top_logprobs", "user"},
        renames={"max_completion_tokens": "max_tokens"},
        asks_usage=False,
        operations=frozenset({CHAT, EMBEDDINGS, RERANK}),
        max_inputs=96,  # https://docs.cohere.com/reference/embed
        carried={
            EMBEDDINGS: Carried(lacks=frozenset({"user"})),
            RERANK: Carried(lacks=frozenset({"max_chunks_per_doc", "user"})),
        },
    ),
)
