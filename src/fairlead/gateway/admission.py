"""Which calls are let through: names of models, permissions, limits."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from fairlead.accounts.caller import Caller
from fairlead.accounts.limits import Limited
from fairlead.accounts.meters import Admission
from fairlead.errors import (
    FairleadError,
    Forbidden,
    InvalidRequest,
    ModelNotFound,
    NoDeployment,
    RateLimited,
    UnsupportedContent,
)
from fairlead.gateway.call import CallState
from fairlead.gateway.protocols import Limits
from fairlead.routing.ceiling import calls_foreseen, tokens_foreseen
from fairlead.routing.demand import Demand
from fairlead.routing.needs import MEDIA_URLS
from fairlead.routing.plan import Rejection, with_suffix
from fairlead.routing.upstream import Servable, Upstream, servable
from fairlead.serving import Serving
from fairlead.wire.media import MODALITIES
from fairlead.wire.preferences import FREE, SUFFIXES, Preferences


def called(serving: Serving, demand: Demand) -> Demand:
    """The same for the ids of its models, where it calls them otherwise. Everything from here on - permissions, limits,
    the bill - goes by the model's own id."""
    model, wanted = named(serving, demand.model, demand.preferences)
    fallbacks = []
    for name in demand.fallbacks:
        known, wanted = named(serving, name, wanted)
        fallbacks.append(known)
    if model == demand.model and wanted is demand.preferences and fallbacks == list(demand.fallbacks):
        return demand
    return demand.called(model, tuple(fallbacks), wanted)


def named(serving: Serving, name: str, wanted: Preferences | None) -> tuple[str, Preferences | None]:
    """A model's id, and what the name by which it is called adds to the preferences."""
    if name in serving.servables:
        return name, wanted
    if name.endswith(SUFFIXES):
        known = name[: name.rindex(":")]
        if known in serving.servables:
            return known, with_suffix(wanted, name[len(known) :])
    if name in serving.aliases:
        if name.endswith(FREE):  # whatever it is an alias of, such a name never costs anything
            wanted = with_suffix(wanted, FREE)
        return serving.aliases[name], wanted
    return name, wanted


def offered(serving: Serving, demand: Demand, caller: Caller) -> Sequence[Servable]:
    """The model that is asked for, and those to fall back on."""
    offers = [_speaking(_offer(serving, name, caller), demand) for name in (demand.model, *demand.fallbacks)]
    if not any(offer.upstreams for offer in offers):
        raise NoDeployment(
            f"No deployment serves '{demand.model}' yet: add one under [[models]] (a provider, its upstream_model "
            "and a price) in the file that `fairlead serve --config FILE` reads, then restart.",
            param="model",
        )
    if demand.media:
        for bit, modality in MODALITIES.items():
            if demand.media & bit and not any(offer.model.may_take(modality) for offer in offers):
                raise UnsupportedContent(f"'{demand.model}' takes no {modality} input.", param="messages")
    return offers


def _speaking(offer: Servable, demand: Demand) -> Servable:
    """What of an offer can serve callers of this API. Raises InvalidRequest when nothing of it can."""
    api = demand.api
    if api in offer.apis or not offer.upstreams:
        return offer
    upstreams = [upstream for upstream in offer.upstreams if api in upstream.adapters]
    if not upstreams:
        if offer.model.mode not in demand.operation.modes:
            raise InvalidRequest(_other_mode(offer, demand), param="model")
        raise InvalidRequest(
            f"No deployment of '{offer.model.id}' offers {demand.operation.name} to callers of this API.", param="model"
        )
    return servable(offer.model, upstreams, offer.measured)


def _other_mode(offer: Servable, demand: Demand) -> str:
    path = offer.upstreams[0].served_at
    advice = f"use POST {path}" if path else "no endpoint here serves it"
    return f"'{offer.model.id}' has the mode '{offer.model.mode}' and does not serve {demand.operation.name}: {advice}."


def _offer(serving: Serving, name: str, caller: Caller) -> Servable:
    servable = serving.servables.get(name)
    if servable is None:
        raise ModelNotFound(f"The model '{name}' does not exist here. GET /v1/models lists the models.", param="model")
    if caller.models is not None and not caller.may_use(name):
        raise Forbidden(f"This API key may not use '{name}'.", param="model")
    return servable


def nobody_fetches(offers: Sequence[Servable]) -> bool:
    return all(upstream.lacks & MEDIA_URLS for offer in offers for upstream in offer.upstreams)


def lease(limits: Limits, call_state: CallState) -> Coroutine[Any, Any, None] | None:
    """What has to be awaited before `admit` and `let_in`, where limits are shared with other processes; mostly None."""
    if not limits.shared:
        return None
    calls = _calls(call_state)
    models = [(offer.model.id, not offer.paid) for offer in call_state.offers]
    return limits.lease(_whose(call_state), models, tokens_foreseen(call_state.demand, calls), calls)


def lease_again(limits: Limits, call_state: CallState, model: str, free: bool) -> Coroutine[Any, Any, None] | None:
    """The same before the call goes to another model, where each has limits of its own."""
    admission = call_state.admission
    if not limits.shared or admission is None or admission.whose is None:
        return None
    calls = _calls(call_state)
    return limits.lease(admission.whose, [(model, free)], tokens_foreseen(call_state.demand, calls), calls)


def _whose(call_state: CallState) -> Limited:
    caller = call_state.caller
    return caller.limited or Limited(caller.key_id, caller.account_id, None, None)


def _calls(call_state: CallState) -> int:
    """So many calls of a provider it becomes."""
    calls = 1
    if call_state.demand.choices > 1:
        for offer in call_state.offers:
            calls = max(calls, calls_foreseen(offer, call_state.demand))
    return calls


def admit(limits: Limits, call_state: CallState, now: float) -> Admission | None:
    """Charges a call to the limits of its caller. None: it has none. Raises RateLimited."""
    caller, demand, offers = call_state.caller, call_state.demand, call_state.offers
    calls = _calls(call_state)
    return limits.admit(
        _whose(call_state), demand.model, tokens_foreseen(demand, calls), now, free=not offers[0].paid,
        movable=len(offers) > 1 or demand.preferences is not None or caller.has_fallbacks(), calls=calls,
    )  # fmt: skip


def let_in(limits: Limits, call_state: CallState, now: float) -> None:
    """Leaves out the first candidates, as long as they are of models that are over their limits. Raises RateLimited
    when there is no other."""
    found = call_state.plan
    refused: FairleadError | None = None
    for at, upstream in enumerate(found.candidates):
        refused = meter(limits, call_state, upstream, now)
        if refused is None:
            if at:
                found.rejected += tuple(Rejection(one, "limit") for one in found.candidates[:at])
                found.candidates, found.scores = found.candidates[at:], found.scores[at:]
                found.resting = min(found.resting, len(found.candidates))
            return
    assert refused is not None
    raise refused


def meter(limits: Limits, call_state: CallState, upstream: Upstream, now: float) -> FairleadError | None:
    """Charges the call to the limits of the model that is tried now; the refusal, when one of them is used up."""
    admission = call_state.admission
    assert admission is not None
    try:
        limits.move(admission, upstream.model_id, now, free=upstream.deployment.sheet.free)
    except RateLimited as refused:
        return refused
    return None
