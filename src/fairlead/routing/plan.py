"""Who may serve a call, in which order, and why the others may not. Pure: no clock, no network, no chance of its own.

One deployment and nothing to decide costs a comparison; names and sentences are only made when they are asked for.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from msgspec import structs

from fairlead.errors import CandidatesResting, ContextTooLong, FairleadError, NoCandidate, NotCarried, UpstreamBusy
from fairlead.routing.demand import Demand
from fairlead.routing.health import DRAINED, DeploymentHealth
from fairlead.routing.needs import (
    ALL_PARAMETERS,
    BATCH,
    HARD,
    JSON_OBJECT,
    JSON_SCHEMA,
    names_of,
)
from fairlead.routing.protocols import Health
from fairlead.routing.strategies import Chance, Ranked, rank
from fairlead.routing.upstream import Servable, Upstream, servable
from fairlead.wire.preferences import FREE, MaxPrice, Preferences

# Prompts shorter than this are not worth a provider's cache: nothing is gained by going back to the same deployment.
STICKY_BYTES: Final = 4096
# No text has tokens that are longer than this on average: a prompt of more bytes does not fit, whatever its tokenizer.
BYTES_PER_TOKEN: Final = 16
# A conversation stays where it began unless another deployment is this much better.
STICKY_ADVANTAGE: Final = 4.0
NOTHING: Final = MaxPrice(0, 0, 0, 0)
# Somebody has to put it back.
DRAINED_RETRY_SECONDS: Final = 30


class Rules(NamedTuple):
    """The operator's choices. `emulated`: capabilities that are offered although a deployment lacks them."""

    strategy: str
    emulated: int


class Rejection(NamedTuple):
    """`reason` is one word for programs, `detail` says more to people."""

    upstream: Upstream
    reason: str
    detail: str = ""


class Plan:
    """`candidates` in the order to try them; the last `resting` only because that is better than nothing.
    `needs`: what the request asks for, as bits (0: nobody looked). `key`: of the conversation, 0: not sticky."""

    __slots__ = ("candidates", "key", "needs", "prompt", "rejected", "resting", "scores", "strategy")

    def __init__(
        self,
        candidates: tuple[Upstream, ...],
        rejected: tuple[Rejection, ...] = (),
        scores: tuple[float, ...] = (),
        strategy: str = "",
        needs: int = 0,
        key: int = 0,
        resting: int = 0,
        prompt: int = 0,
    ) -> None:
        self.candidates = candidates
        self.rejected = rejected
        self.scores = scores
        self.strategy = strategy
        self.needs = needs
        self.key = key
        self.resting = resting
        self.prompt = prompt


def plan(
    demand: Demand,
    offers: Sequence[Servable],
    health: Health,
    now: float,
    rules: Rules,
    chance: Chance = random.random,
    prompt_tokens: int | None = None,
) -> Plan:
    """The plan for one request. `offers`: the model's deployments, then those of every model it may fall back on.
    `prompt_tokens`: counted; None: estimated from the bytes. Raises nothing: see `refusal`."""
    first = offers[0]
    if (
        first.simple and not first.lacks & demand.needs and demand.preferences is None and len(offers) == 1
        and not health.troubled and not demand.strict and not demand.media
    ):  # fmt: skip
        return Plan(first.upstreams)  # nothing is to be decided
    wanted = demand.preferences
    strategy = (wanted.sort if wanted is not None else None) or rules.strategy
    needs = demand.needs
    asked = _Asked(demand, wanted, rules, prompt_tokens)
    key = 0
    if wanted is None:
        if demand.notes is not None:
            key = demand.notes.affinity
        if not key and demand.text_bytes >= STICKY_BYTES:
            key = demand.operation.affinity(demand.payload)
    ranked: Ranked = []
    late: list[tuple[float, Upstream]] = []
    rejected: list[Rejection] = []
    for offer in offers:
        fit = _fit(offer.upstreams, asked, health, now, late, rejected)
        if fit:
            ranked += rank(strategy, fit, health.by_deployment, chance)
    if wanted is not None and wanted.order:
        ranked = _in_order(ranked, wanted.order)
    elif key and len(ranked) > 1:
        ranked = _sticky(ranked, health.recall(key, now))
    if len(late) > 1:
        late.sort(key=_rest_left)
    candidates = [upstream for _, upstream in ranked]
    candidates += [upstream for _, upstream in late]
    scores = [score for score, _ in ranked] + [left for left, _ in late]
    if not candidates:
        candidates, rejected = _better_than_nothing(rejected, health)
        scores = [0.0] * len(candidates)
        late = [(0.0, upstream) for upstream in candidates]
    if wanted is not None and wanted.allow_fallbacks is False and candidates:
        candidates, scores = _without_fallbacks(candidates, scores, wanted, rejected)
    return Plan(
        tuple(candidates), tuple(rejected), tuple(scores), strategy, needs, key, len(late), asked.prompt
    )  # fmt: skip


class _Asked:
    """What is asked for, taken apart once per call."""

    __slots__ = ("closed", "hard", "only", "output", "prompt", "sure", "wanted", "whole")

    def __init__(self, demand: Demand, wanted: Preferences | None, rules: Rules, prompt_tokens: int | None) -> None:
        needs = demand.needs & ~BATCH
        made_up = rules.emulated if demand.emulate and not demand.strict else 0
        hard = needs & HARD & ~made_up
        if demand.strict or (wanted is not None and wanted.require_parameters):
            hard = needs
        elif made_up & JSON_SCHEMA:
            # JSON of any shape is checked in the same way.
            hard &= ~JSON_OBJECT
        self.hard = hard
        self.wanted = wanted
        self.prompt = demand.text_bytes // 4 if prompt_tokens is None else prompt_tokens
        self.sure = prompt_tokens is not None
        # Pictures are bytes that are no text; as many bytes as the context has tokens fit whatever they say.
        self.whole = 0 if demand.media and prompt_tokens is None else demand.text_bytes
        self.output = demand.cap


def _fit(
    upstreams: tuple[Upstream, ...],
    asked: _Asked,
    health: Health,
    now: float,
    late: list[tuple[float, Upstream]],
    rejected: list[Rejection],
) -> list[Upstream]:
    """Those who can serve now; those who rest go to `late`, the others to `rejected`."""
    fit: list[Upstream] = []
    hard, wanted = asked.hard, asked.wanted
    by_deployment = health.by_deployment
    for upstream in upstreams:
        if hard & upstream.lacks:
            rejected.append(_lacking(upstream, hard & upstream.lacks))
            continue
        room = upstream.context
        if room is not None and asked.whole + asked.output > room and asked.prompt + asked.output > room:
            detail = f"{asked.prompt} and {asked.output} tokens in {room}"
            sure = asked.sure or asked.whole > room * BYTES_PER_TOKEN
            rejected.append(Rejection(upstream, "context" if sure else "context_estimated", detail))
            continue
        most = upstream.output
        if most is not None and asked.output > most:
            rejected.append(Rejection(upstream, "output", f"{asked.output} tokens of answer, {most} at most"))
            continue
        if wanted is not None:
            unwanted = _unwanted(upstream, wanted)
            if unwanted is not None:
                rejected.append(unwanted)
                continue
        target = by_deployment.get(upstream.deployment.id)
        if target is None:
            fit.append(upstream)
            continue
        provider = target.provider
        assert provider is not None
        if health.troubled and not (health.may_try(target, now) and health.may_try(provider, now)):
            if target.state is DRAINED:
                rejected.append(Rejection(upstream, "drained"))
            else:
                rejected.append(Rejection(upstream, "breaker_open", target.last_error or provider.last_error))
            continue
        at_once = upstream.deployment.max_concurrent
        if at_once is not None and target.in_flight >= at_once:
            rejected.append(Rejection(upstream, "full", f"{target.in_flight} calls at once"))
            continue
        blocked = max(provider.blocked_until, target.blocked_until)
        if blocked > now:
            late.append((blocked - now, upstream))
        else:
            fit.append(upstream)
    return fit


def _lacking(upstream: Upstream, bits: int) -> Rejection:
    if bits & ~ALL_PARAMETERS:
        return Rejection(upstream, "capability", ", ".join(names_of(bits & ~ALL_PARAMETERS)))
    return Rejection(upstream, "parameter", ", ".join(names_of(bits)))


def _unwanted(upstream: Upstream, wanted: Preferences) -> Rejection | None:
    deployment = upstream.deployment
    if wanted.only is not None and not _named(upstream, wanted.only):
        return Rejection(upstream, "not_in_only")
    if wanted.ignore is not None and _named(upstream, wanted.ignore):
        return Rejection(upstream, "ignored")
    if (wanted.data_collection == "deny" or wanted.zdr) and deployment.keeps_data is not False:
        return Rejection(upstream, "data_policy", "keeps data" if deployment.keeps_data else "not known")
    if wanted.quantizations is not None and (deployment.quantization or "unknown").lower() not in _lower(
        wanted.quantizations
    ):
        return Rejection(upstream, "quantization", deployment.quantization or "unknown")
    if wanted.regions is not None and (deployment.region or "").lower() not in _lower(wanted.regions):
        return Rejection(upstream, "region", deployment.region or "unknown")
    if wanted.max_price is not None:
        return _too_dear(upstream, wanted)
    return None


def _too_dear(upstream: Upstream, wanted: Preferences) -> Rejection | None:
    most = wanted.max_price
    assert most is not None
    if most == NOTHING:  # `:free`: of no class, not only of those that can be named
        return None if upstream.deployment.sheet.free else Rejection(upstream, "max_price", "free")
    rates = upstream.deployment.sheet.price.rates
    for name, limit, rate, unit in (
        ("prompt", most.prompt, rates.input, 1e6),
        ("completion", most.completion, rates.output, 1e6),
        ("image", most.image, rates.image, 1e6),
        ("request", most.request, rates.request, 1e12),
    ):
        # Half a picodollar more: 0.1 dollars as a float are a little more or less than that.
        if limit is not None and rate > limit * unit + (0.5 if limit else 0):
            return Rejection(upstream, "max_price", name)
    return None


def _named(upstream: Upstream, names: Sequence[str]) -> bool:
    deployment = upstream.deployment
    lowered = _lower(names)
    return deployment.provider.lower() in lowered or deployment.id.lower() in lowered


def _lower(names: Sequence[str]) -> set[str]:
    return {name.lower() for name in names}


def _in_order(ranked: Ranked, order: Sequence[str]) -> Ranked:
    places = {name.lower(): at for at, name in enumerate(order)}

    def place(entry: tuple[float, Upstream]) -> int:
        deployment = entry[1].deployment
        by_provider = places.get(deployment.provider.lower(), len(places))
        return min(by_provider, places.get(deployment.id.lower(), len(places)))

    return sorted(ranked, key=place)


def _sticky(ranked: Ranked, deployment_id: str | None) -> Ranked:
    """Who has the conversation in its cache goes first, unless the best one is much better."""
    if deployment_id is None or ranked[0][1].deployment.id == deployment_id:
        return ranked
    for at, entry in enumerate(ranked):
        if entry[1].deployment.id == deployment_id:
            if entry[0] <= ranked[0][0] * STICKY_ADVANTAGE and (
                entry[1].deployment.priority == ranked[0][1].deployment.priority
            ):
                return [entry, *ranked[:at], *ranked[at + 1 :]]
            break
    return ranked


def _rest_left(entry: tuple[float, Upstream]) -> float:
    return entry[0]


def _better_than_nothing(rejected: list[Rejection], health: Health) -> tuple[list[Upstream], list[Rejection]]:
    """Nobody is left: those whose breaker is open, unless they are clearly dead; those whose context an estimate took
    for too small."""
    kept: list[Upstream] = []
    others: list[Rejection] = []
    for one in rejected:
        target = health.by_deployment.get(one.upstream.deployment.id)
        if one.reason == "context_estimated" or (one.reason == "breaker_open" and not _is_dead(target)):
            kept.append(one.upstream)
        else:
            others.append(one)
    return kept, others


def _is_dead(target: DeploymentHealth | None) -> bool:
    return target is not None and (target.dead or (target.provider is not None and target.provider.dead))


def _without_fallbacks(
    candidates: list[Upstream], scores: list[float], wanted: Preferences, rejected: list[Rejection]
) -> tuple[list[Upstream], list[float]]:
    """Only those that `order` names; without an order only the best one."""
    keep = [0]
    if wanted.order:
        keep = [at for at, upstream in enumerate(candidates) if _named(upstream, wanted.order)]
    rejected += [Rejection(one, "no_fallbacks") for at, one in enumerate(candidates) if at not in keep]
    return [candidates[at] for at in keep], [scores[at] for at in keep]


def merged(offers: Sequence[Servable]) -> Servable:
    """Several models as one, for what a call may come to at most."""
    contexts = [offer.model.context_length for offer in offers]
    outputs = [offer.model.max_output_tokens or offer.model.context_length for offer in offers]
    model = replace(
        offers[0].model,
        context_length=None if None in contexts else max(filter(None, contexts)),
        max_output_tokens=None if None in outputs else max(filter(None, outputs)),
    )
    return servable(model, [upstream for offer in offers for upstream in offer.upstreams])


def with_suffix(wanted: Preferences | None, suffix: str) -> Preferences:
    """What a suffix of a model's id stands for: `:free`, `:nitro` (fastest first), `:floor` (cheapest first)."""
    wanted = wanted or Preferences()
    if suffix == FREE:
        return structs.replace(wanted, max_price=NOTHING)
    return structs.replace(wanted, sort="throughput" if suffix == ":nitro" else "price")


def refusal(found: Plan, demand: Demand, health: Health, now: float) -> FairleadError:
    """The error for a request that has no candidate at all."""
    reasons = {one.reason for one in found.rejected}
    reasons_in_words = "; ".join(
        f"{one.upstream.deployment.id}: {one.reason}" + (f" ({one.detail})" if one.detail else "")
        for one in found.rejected[:16]
    )
    if "breaker_open" in reasons:
        waits = [
            target.until - now
            for one in found.rejected
            if (target := health.by_deployment.get(one.upstream.deployment.id)) is not None
        ]
        seconds = max(1, int(min(waits, default=1.0) + 0.999))
        return CandidatesResting(
            f"No healthy deployment for '{demand.model}'; retry after {seconds} s ({reasons_in_words}).",
            retry_after_seconds=seconds,
        )
    if found.rejected and reasons == {"drained"}:
        return CandidatesResting(
            f"Every deployment of '{demand.model}' was taken out of use by the operator ({reasons_in_words}).",
            retry_after_seconds=DRAINED_RETRY_SECONDS,
        )
    if "full" in reasons:
        return UpstreamBusy(
            f"All deployments of '{demand.model}' are busy ({reasons_in_words}).", retry_after_seconds=1
        )
    if found.rejected and reasons <= {"context", "output"}:
        param = "messages" if "context" in reasons else demand.payload.cap_name
        return ContextTooLong(
            f"The prompt and its answer do not fit the context of any deployment ({reasons_in_words}).", param=param
        )
    if demand.strict and reasons <= {"parameter", "capability"} and found.rejected:
        return NotCarried(
            _lost(found.rejected[0].upstream, demand, found.needs), found.rejected[0].upstream.deployment.id
        )
    error = NoCandidate(
        f"No deployment of '{demand.model}' matches this request ({reasons_in_words}).", param="provider"
    )
    if reasons == {"capability"}:  # at a 404 agents take the model for missing, and Codex sends everything again
        error.status = 400
    return error


def _lost(upstream: Upstream, demand: Demand, needs: int) -> list[str]:
    """Everything that would be lost there: what it is known to lack, and what its dialect has no word for."""
    names = names_of(upstream.lacks & needs)
    try:
        upstream.adapters[demand.api].to_vendor(demand.payload)
    except NotCarried as error:
        names += [name for name in error.names if name not in names]
    except FairleadError:
        pass
    return names
