"""The words of the catalogue: modalities, capabilities, parameters, with a sentence on each for readers of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from fairlead.wire import vocabulary
from fairlead.wire.vocabulary import Capability

MODALITIES: tuple[str, ...] = ("text", "image", "audio", "video", "file")
MODES: tuple[str, ...] = vocabulary.MODES
STATES: tuple[str, ...] = ("current", "preview", "deprecated", "retired")


class Parameter(Struct, frozen=True):
    """`least` and `most`: what the API takes for any model; a model's own range is a fact of it. `otherwise`: what
    OpenAI documents for a call without it, or OpenRouter where OpenAI does not have it; "none" where nothing is done
    then; None: it depends on the model."""

    name: str
    kind: Literal["number", "whole number", "text", "list", "object", "true or false", "text or list", "text or object"]
    meaning: str
    least: float | None = None
    most: float | None = None
    capability: str | None = None
    otherwise: str | None = "none"


# What is a fact of a model.
CAPABILITIES: Mapping[str, Capability] = {row.name: row for row in vocabulary.CAPABILITIES if row.title}
PARAMETERS: Mapping[str, Parameter] = {
    row.name: row
    for row in (
        Parameter(
            "frequency_penalty",
            "number",
            "Makes tokens less likely the more often they have appeared.",
            -2,
            2,
            otherwise="0",
        ),
        Parameter(
            "include_reasoning",
            "true or false",
            "Whether the reasoning is returned with the answer.",
            capability="reasoning",
            otherwise=None,
        ),
        Parameter("logit_bias", "object", "Makes individual tokens, by id, more or less likely."),
        Parameter("logprobs", "true or false", "Returns the log probability of each token.", otherwise="false"),
        Parameter(
            "max_completion_tokens", "whole number", "Maximum number of tokens in the answer, including reasoning.", 1
        ),
        Parameter("max_tokens", "whole number", "Maximum number of tokens in the answer.", 1),
        Parameter(
            "min_p",
            "number",
            "Drops tokens less likely than this value times the probability of the most likely one.",
            0,
            1,
            otherwise="0",
        ),
        Parameter("n", "whole number", "Number of answers to generate.", 1, 128, otherwise="1"),
        Parameter(
            "parallel_tool_calls",
            "true or false",
            "Whether one answer may call several functions.",
            capability="parallel_tools",
            otherwise="true",
        ),
        Parameter(
            "presence_penalty", "number", "Makes tokens less likely once they have appeared.", -2, 2, otherwise="0"
        ),
        Parameter(
            "reasoning",
            "object",
            "How long the model reasons, in OpenRouter's format.",
            capability="reasoning",
            otherwise=None,
        ),
        Parameter("reasoning_effort", "text", "How long the model reasons.", capability="reasoning", otherwise=None),
        Parameter(
            "repetition_penalty",
            "number",
            "Makes tokens that appear in the prompt or the answer less likely.",
            0,
            2,
            otherwise="1",
        ),
        Parameter("response_format", "object", "Requests JSON, or output that conforms to a JSON schema."),
        Parameter("seed", "whole number", "The same seed gives the same answer, as far as the provider supports it."),
        Parameter("stop", "text or list", "Generation stops before any of these strings."),
        Parameter(
            "structured_outputs",
            "object",
            "Constrains the answer to a schema, a pattern, a choice or a grammar.",
            capability="structured_outputs",
        ),
        Parameter(
            "temperature",
            "number",
            "0 always picks the most likely token; higher values vary more.",
            0,
            2,
            otherwise=None,
        ),
        Parameter(
            "tool_choice",
            "text or object",
            "Whether functions may, must or must not be called, or which one.",
            capability="tools",
        ),
        Parameter("tools", "list", "The functions that the model may call.", capability="tools"),
        Parameter(
            "top_a",
            "number",
            "Drops tokens less likely than this value times the squared probability of the most likely one.",
            0,
            1,
            otherwise="0",
        ),
        Parameter(
            "top_k",
            "whole number",
            "Samples from this many of the most likely tokens; 0 turns it off.",
            -1,
            otherwise=None,
        ),
        Parameter(
            "top_logprobs",
            "whole number",
            "Number of alternative tokens to return with their log probabilities.",
            0,
            20,
        ),
        Parameter(
            "top_p",
            "number",
            "Samples from the most likely tokens whose probabilities add up to this value.",
            0,
            1,
            otherwise=None,
        ),
        Parameter("verbosity", "text", "How detailed the answer is.", otherwise=None),
        Parameter("web_search_options", "object", "Options for web search.", capability="web_search"),
    )
}
