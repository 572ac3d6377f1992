"""The words of the catalogue: modalities, capabilities, parameters, with a sentence on each for readers of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from fairlead.wire import vocabulary
from fairlead.wire.vocabulary import Capability

MODALITIES: tuple[str, ...] = ("text", "image", "audio", "video", "file")
MODES: tuple[str, ...] = ("chat", "embedding", "image", "audio", "rerank", "moderation")
STATES: tuple[str, ...] = ("current", "preview", "deprecated", "retired")


class Parameter(Struct, frozen=True):
    """`least` and `most`: what the API takes for any model; a model's own range is a fact of it."""

    name: str
    kind: Literal["number", "whole number", "text", "list", "object", "true or false", "text or list", "text or object"]
    meaning: str
    least: float | None = None
    most: float | None = None
    capability: str | None = None


# What is a fact of a model.
CAPABILITIES: Mapping[str, Capability] = {row.name: row for row in vocabulary.CAPABILITIES if row.title}
PARAMETERS: Mapping[str, Parameter] = {
    row.name: row
    for row in (
        Parameter("frequency_penalty", "number", "Makes a word less likely each time it has appeared.", -2, 2),
        Parameter(
            "include_reasoning",
            "true or false",
            "Whether the thinking is sent with the answer.",
            capability="reasoning",
        ),
        Parameter("logit_bias", "object", "Makes single tokens more or less likely, by their ids."),
        Parameter("logprobs", "true or false", "Sends the log probability of each token."),
        Parameter(
            "max_completion_tokens", "whole number", "The most tokens that an answer may have, with thinking.", 1
        ),
        Parameter("max_tokens", "whole number", "The most tokens that an answer may have.", 1),
        Parameter("min_p", "number", "Leaves out tokens that are this much less likely than the likeliest one.", 0, 1),
        Parameter("n", "whole number", "How many answers to make.", 1, 128),
        Parameter(
            "parallel_tool_calls",
            "true or false",
            "Whether one answer may call several functions.",
            capability="parallel_tools",
        ),
        Parameter("presence_penalty", "number", "Makes a word less likely once it has appeared.", -2, 2),
        Parameter("reasoning", "object", "How long the model thinks, in OpenRouter's form.", capability="reasoning"),
        Parameter("reasoning_effort", "text", "How long the model thinks.", capability="reasoning"),
        Parameter(
            "repetition_penalty", "number", "Makes tokens less likely that are in the prompt or the answer.", 0, 2
        ),
        Parameter("response_format", "object", "Asks for JSON, or for a JSON schema."),
        Parameter("seed", "whole number", "The same seed gives the same answer, as far as the provider can."),
        Parameter("stop", "text or list", "The answer ends before one of these strings."),
        Parameter(
            "structured_outputs",
            "object",
            "Holds the answer to a schema, a pattern, a choice or a grammar.",
            capability="structured_outputs",
        ),
        Parameter("temperature", "number", "0 always takes the likeliest token; more is more varied.", 0, 2),
        Parameter(
            "tool_choice",
            "text or object",
            "Whether functions may, must or must not be called, or which one.",
            capability="tools",
        ),
        Parameter("tools", "list", "The functions that the model may call.", capability="tools"),
        Parameter("top_a", "number", "Leaves out tokens by the square of the likeliest one's probability.", 0, 1),
        Parameter("top_k", "whole number", "Chooses among so many of the likeliest tokens; 0 turns it off.", -1),
        Parameter("top_logprobs", "whole number", "How many other tokens to send the log probability of.", 0, 20),
        Parameter("top_p", "number", "Chooses among the likeliest tokens that add up to this probability.", 0, 1),
        Parameter("verbosity", "text", "How long the answer is."),
        Parameter("web_search_options", "object", "How the web is searched.", capability="web_search"),
    )
}
