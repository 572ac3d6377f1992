"""The words for what a request needs and a deployment lacks: of settings, dialects, routing and catalogue alike.

A row may have two names: `need` is what operators write in `lacks`, dialects in `incapable`, and routing in its
reasons; `name` is the catalogue's, for facts of a model and for pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

# What a model is for. Calls of another kind are refused with the endpoint that serves its own.
Mode = Literal["chat", "embedding", "rerank", "moderation", "image", "speech", "transcription"]
MODES: tuple[Mode, ...] = get_args(Mode)

# Their order is that of the names in an error.
Need = Literal[
    "tools", "parallel_tools", "json_schema", "json_object", "images", "prefill", "logprobs", "n", "audio", "files",
    "video", "media_urls", "file_ids", "assistant_media",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Capability:
    """`title`, `meaning`: for readers of a page; "" for what is no fact of a model. `takes`, `gives`: the modality that
    a model must take (or give) for it, where it depends on one. `need`: None when no request can need it.

    `parameter`: who does not take this one lacks it. `hard`: without it an answer would be another one than was asked
    for, so such a deployment is not called; what is not hard is left out, and said so. `emulated`: the gateway can make
    up for it.
    """

    name: str
    title: str = ""
    meaning: str = ""
    need: Need | None = None
    takes: str | None = None
    gives: str | None = None
    parameter: str | None = None
    hard: bool = True
    emulated: bool = False


CAPABILITIES: tuple[Capability, ...] = (
    Capability("reasoning", "Reasoning", "Reasons before it answers; reasoning tokens count as output."),
    Capability("tools", "Tools", "Calls functions that the caller defines.", "tools", parameter="tools"),
    Capability(
        "parallel_tools", "Parallel tools", "Calls several functions in one answer.", "parallel_tools",
    ),
    Capability(
        "structured_outputs", "Structured outputs", "Answers conform to a JSON schema that the caller provides.",
        "json_schema",
        parameter="response_format", emulated=True,
    ),
    Capability("vision", "Vision", "Accepts images.", "images", takes="image"),
    Capability("audio_input", "Audio input", "Accepts audio.", "audio", takes="audio"),
    Capability("audio_output", "Audio output", "Answers with audio.", gives="audio"),
    Capability("video_input", "Video input", "Accepts video.", "video", takes="video"),
    Capability("file_input", "Files", "Accepts files such as PDF.", "files", takes="file"),
    Capability("image_output", "Image output", "Generates images.", gives="image"),
    Capability("prefill", "Prefill", "Continues an answer that the caller has started.", "prefill"),
    Capability("prompt_caching", "Prompt caching", "Prompts that share a prefix with an earlier one cost less."),
    Capability("web_search", "Web search", "Searches the web while answering."),
    # Of how a model is served, not of the model.
    Capability("json_object", need="json_object", parameter="response_format", emulated=True),
    Capability("logprobs", need="logprobs", parameter="logprobs", hard=False),
    Capability("n", need="n", parameter="n", emulated=True),
    Capability("media_urls", need="media_urls"),  # fetches what is at an address
    Capability("file_ids", need="file_ids"),  # knows files by the ids that it gave them
    Capability("assistant_media", need="assistant_media"),  # takes images and the like from an assistant
)  # fmt: skip
_BY_NEED: Mapping[str, Capability] = {row.need: row for row in CAPABILITIES if row.need is not None}
NEEDS: Mapping[str, Capability] = {name: _BY_NEED[name] for name in get_args(Need)}

# Of what is left out: reasoning that only another provider could read. It is named and never refused, because changing
# the model in the middle of a conversation must work.
FOREIGN_REASONING: Final = "messages.reasoning"
# Two names of one parameter: a dialect that takes one of them gets either.
OUTPUT_CAPS = frozenset({"max_tokens", "max_completion_tokens"})
# Every parameter that the API knows; what each must be stands where its operation's requests are checked.
PARAMETERS = frozenset({
    "audio", "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "metadata", "min_p",
    "modalities", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key",
    "prompt_cache_retention", "reasoning_effort", "repetition_penalty", "response_format", "safety_identifier", "seed",
    "service_tier", "stop", "store", "stream", "stream_options", "structured_outputs", "temperature", "tool_choice",
    "tools", "top_k", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
})  # fmt: skip
