"""What a request needs of a deployment, and what a deployment lacks: both as bits of one number. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.catalogue.vocabulary import OUTPUT_CAPS
from fairlead.wire.chat import PARAMETERS, ChatRequest

CAPABILITIES = ("tools", "parallel_tools", "json_schema", "json_object", "images", "prefill", "logprobs", "n")
CAPABILITY_BITS: Mapping[str, int] = {name: 1 << at for at, name in enumerate(CAPABILITIES)}
TOOLS, PARALLEL_TOOLS, JSON_SCHEMA, JSON_OBJECT, IMAGES, PREFILL, LOGPROBS, CHOICES = CAPABILITY_BITS.values()
# Without these an answer would be another one than was asked for; the others are left out, and said so.
HARD = TOOLS | PARALLEL_TOOLS | JSON_SCHEMA | JSON_OBJECT | IMAGES | PREFILL | CHOICES
MAY_BE_EMULATED = JSON_SCHEMA | JSON_OBJECT | CHOICES
PARAMETER_BITS: Mapping[str, int] = {name: 1 << (16 + at) for at, name in enumerate(sorted(PARAMETERS))}
UNKNOWN_PARAMETER = 1 << 15
ALL_PARAMETERS = sum(PARAMETER_BITS.values()) | UNKNOWN_PARAMETER
TRUE = Raw(b"true")
# A parameter that carries a capability: who does not take the one has not the other.
_CARRIED = {"tools": TOOLS, "response_format": JSON_SCHEMA | JSON_OBJECT, "logprobs": LOGPROBS, "n": CHOICES}


class _Kind(Struct):
    type: str = ""


def needs_of(request: ChatRequest) -> int:
    """Capabilities and parameters that a request asks for."""
    needs = IMAGES if request.has_images else 0
    if request.prefill is not None:
        needs |= PREFILL
    if request.choices > 1:
        needs |= CHOICES
    given = request.given
    if given:
        for name in given:
            needs |= PARAMETER_BITS.get(name, UNKNOWN_PARAMETER)
        if "tools" in given:
            needs |= TOOLS
            if given.get("parallel_tool_calls") == TRUE:
                needs |= PARALLEL_TOOLS
        if "response_format" in given:
            kind = msgspec.json.decode(given["response_format"], type=_Kind).type
            needs |= JSON_SCHEMA if kind == "json_schema" else JSON_OBJECT if kind == "json_object" else 0
        if given.get("logprobs") == TRUE:
            needs |= LOGPROBS
    return needs


def lacks_of(model: Model, deployment: Deployment, carries: frozenset[str] | None, passes_unknown: bool) -> int:
    """What a deployment is known to lack: what the operator says, what its dialect cannot carry, what its model cannot.
    What is not known is not lacking."""
    bits = sum(CAPABILITY_BITS[name] for name in set(deployment.lacks))
    if "image" not in model.input_modalities:
        bits |= IMAGES
    carried = carries
    if deployment.parameters is not None:
        carried = deployment.parameters if carries is None else carries & deployment.parameters
        passes_unknown = False
    if carried is not None:
        known = carried | OUTPUT_CAPS if carried & OUTPUT_CAPS else carried
        for name, bit in PARAMETER_BITS.items():
            if name not in known:
                bits |= bit | _CARRIED.get(name, 0)
        if not passes_unknown:
            bits |= UNKNOWN_PARAMETER
    return bits


def names_of(bits: int) -> list[str]:
    """The names of capabilities and parameters, for people."""
    found = [name for name, bit in CAPABILITY_BITS.items() if bits & bit]
    found += [name for name, bit in PARAMETER_BITS.items() if bits & bit and name not in found]
    return [*found, "parameters that are not the API's"] if bits & UNKNOWN_PARAMETER else found
