"""What a request needs of a deployment, and what a deployment lacks: both as bits of one number. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Raw

from fairlead.catalogue.snapshot import Deployment, Model
from fairlead.wire import media
from fairlead.wire.vocabulary import NEEDS, OUTPUT_CAPS, PARAMETERS

CAPABILITY_BITS: Mapping[str, int] = {name: 1 << at for at, name in enumerate(NEEDS)}
(
    TOOLS, PARALLEL_TOOLS, JSON_SCHEMA, JSON_OBJECT, IMAGES, PREFILL, LOGPROBS, CHOICES, AUDIO, FILES, VIDEO,
    MEDIA_URLS, FILE_IDS, ASSISTANT_MEDIA,
) = CAPABILITY_BITS.values()  # fmt: skip
# What a request needs for each bit of its `media`.
MEDIA_NEEDS: Mapping[int, int] = {
    media.IMAGE: IMAGES, media.AUDIO: AUDIO, media.FILE: FILES, media.VIDEO: VIDEO, media.ADDRESS: MEDIA_URLS,
    media.FILE_ID: FILE_IDS, media.ASSISTANT: ASSISTANT_MEDIA,
}  # fmt: skip
MEDIA = IMAGES | AUDIO | FILES | VIDEO | MEDIA_URLS | FILE_IDS | ASSISTANT_MEDIA
HARD = sum(bit for name, bit in CAPABILITY_BITS.items() if NEEDS[name].hard)
EMULATED = sum(bit for name, bit in CAPABILITY_BITS.items() if NEEDS[name].emulated)
PARAMETER_BITS: Mapping[str, int] = {name: 1 << (16 + at) for at, name in enumerate(sorted(PARAMETERS))}
UNKNOWN_PARAMETER = 1 << 15
ALL_PARAMETERS = sum(PARAMETER_BITS.values()) | UNKNOWN_PARAMETER
# More inputs than a deployment takes at once: not a capability, but emulated by several calls.
BATCH = 1 << 60
MAY_BE_EMULATED = EMULATED | BATCH
TRUE = Raw(b"true")
# A parameter that carries capabilities: who does not take the one has not the others.
_CARRIED: Mapping[str, int] = {
    name: sum(bit for need, bit in CAPABILITY_BITS.items() if NEEDS[need].parameter == name) for name in PARAMETERS
}


def lacks_of(model: Model, deployment: Deployment, carries: frozenset[str] | None, passes_unknown: bool) -> int:
    """What a deployment is known to lack: what the operator says, what its dialect cannot carry, what its model cannot.
    What is not known is not lacking."""
    bits = sum(CAPABILITY_BITS[name] for name in set(deployment.lacks))
    for bit, modality in media.MODALITIES.items():
        if not model.may_take(modality):
            bits |= MEDIA_NEEDS[bit]
    carried = carries
    if deployment.parameters is not None:
        carried = deployment.parameters if carries is None else carries & deployment.parameters
        passes_unknown = False
    if carried is not None:
        known = carried | OUTPUT_CAPS if carried & OUTPUT_CAPS else carried
        for name, bit in PARAMETER_BITS.items():
            if name not in known:
                bits |= bit | _CARRIED[name]
        if not passes_unknown:
            bits |= UNKNOWN_PARAMETER
    return bits


def names_of(bits: int) -> list[str]:
    """The names of capabilities and parameters, for people."""
    found = [name for name, bit in CAPABILITY_BITS.items() if bits & bit]
    found += [name for name, bit in PARAMETER_BITS.items() if bits & bit and name not in found]
    return [*found, "parameters that are not the API's"] if bits & UNKNOWN_PARAMETER else found
