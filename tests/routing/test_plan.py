"""Who serves a call, and why the others do not: the plan, which is pure."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from fairlead.errors import (
    CandidatesResting,
    ContextTooLong,
    FairleadError,
    InvalidRequest,
    NoCandidate,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamRateLimited,
)
from fairlead.operations.chat.operation import CHAT
from fairlead.routing.health import DEAD_FAILURES, Health
from fairlead.routing.plan import STICKY_BYTES, Plan, Rules, merged, plan, refusal, with_suffix
from fairlead.routing.upstream import Servable
from fairlead.wire.chat import ChatRequest

from .support import model, offer, request, upstream

NOW = 1000.0
IN_ORDER = Rules("priority", 0)


def planned(
    chat: ChatRequest, *offers: Servable, health: Health | None = None, rules: Rules = IN_ORDER, now: float = NOW,
    chance: Callable[[], float] = lambda: 0.0, tokens: int | None = None,
) -> Plan:  # fmt: skip
    return plan(CHAT.demand(chat), offers, health or Health(), now, rules, chance, tokens)


def told(found: Plan, chat: ChatRequest, health: Health) -> FairleadError:
    return refusal(found, CHAT.demand(chat), health, NOW)


def names(found: Plan) -> list[str]:
    return [one.deployment.id for one in found.candidates]


def reasons(found: Plan) -> dict[str, str]:
    return {one.upstream.deployment.id: one.reason for one in found.rejected}


A, B, C = upstream("a/x", price="1"), upstream("b/x", price="2"), upstream("c/x", price="4")


def test_one_deployment_with_nothing_to_decide_is_the_plan() -> None:
    found = planned(request(temperature=0.5), offer(A))
    assert found.candidates == (A,)
    assert not found.strategy  # nothing was decided


@pytest.mark.parametrize(
    ("given", "capability"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}], "parallel_tool_calls": True}, "parallel_tools"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "j", "schema": {}}}}, "json_schema"),
        ({"response_format": {"type": "json_object"}}, "json_object"),
        ({"n": 3}, "n"),
        (
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
            "prefill",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}],
                    }
                ]
            },
            "images",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_lacks_what_a_request_needs_is_left_out(given: dict[str, Any], capability: str) -> None:
    lacking = upstream("lacking/x", lacks=(capability,))
    found = planned(request(**given), offer(lacking, A))
    assert names(found) == ["a/x"]
    assert [(one.reason, one.detail) for one in found.rejected] == [("capability", capability)]
    assert names(planned(request(), offer(lacking, A))) == ["lacking/x", "a/x"]
    alone = planned(request(**given), offer(lacking))
    assert names(alone) == [], "a lone deployment is no better"
    assert isinstance(told(alone, request(**given), Health()), NoCandidate)


def test_what_one_deployment_lacks_decides_nothing_where_nobody_asks_for_it() -> None:
    lacking = upstream("lacking/x", lacks=("tools",))
    found = planned(request(temperature=0.5), offer(lacking))
    assert (found.candidates, found.strategy) == ((lacking,), "")
    asked = planned(request(tools=[{"type": "function", "function": {"name": "f"}}]), offer(lacking))
    assert (asked.candidates, asked.strategy) == ((), "priority")


def test_parameters_are_a_reason_only_when_they_are_required() -> None:
    mistral = upstream("mistral/x", dialect="mistral")
    with_bias: dict[str, Any] = {"logit_bias": {"1": 5}}
    assert names(planned(request(**with_bias), offer(mistral, A))) == ["mistral/x", "a/x"]
    found = planned(request(**with_bias, provider={"require_parameters": True}), offer(mistral, A))
    assert names(found) == ["a/x"]
    assert (found.rejected[0].reason, found.rejected[0].detail) == ("parameter", "logit_bias")
    strict = request(**with_bias, user="u", fairlead={"strict": True})
    assert names(planned(strict, offer(mistral, A))) == ["a/x"]
    refused = told(planned(strict, offer(mistral)), strict, Health())
    assert isinstance(refused, InvalidRequest)
    assert "'logit_bias', 'user'" in refused.message, "strict mode names all that would be dropped"
    assert names(planned(request(max_tokens=5, fairlead={"strict": True}), offer(mistral))) == ["mistral/x"]


def test_the_operator_can_say_what_a_deployment_takes() -> None:
    narrow = upstream("narrow/x", parameters=frozenset({"temperature"}))
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert names(planned(request(tools=tools), offer(narrow, A))) == ["a/x"]
    assert names(planned(request(temperature=1), offer(narrow, A))) == ["narrow/x", "a/x"]


def test_a_prompt_that_does_not_fit_is_not_sent() -> None:
    small = upstream("small/x", context_length=1000)
    long = request(messages=[{"role": "user", "content": "word " * 1000}])
    assert reasons(planned(long, offer(small, A))) == {"small/x": "context_estimated"}
    assert reasons(planned(long, offer(small, A), tokens=1200)) == {"small/x": "context"}
    assert names(planned(long, offer(small, A), tokens=900)) == ["small/x", "a/x"]
    assert names(planned(request(max_tokens=5000), offer(small, A))) == ["a/x"], "the answer has to fit too"
    tiny = upstream("tiny/x", context_length=1100)
    assert names(planned(long, offer(small, tiny))) == ["small/x", "tiny/x"], "an estimate refuses nobody everything"
    refused = planned(long, offer(small, tiny), tokens=1200)
    assert isinstance(told(refused, long, Health()), ContextTooLong)


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        ({"order": ["c", "b/x"]}, ["c/x", "b/x", "a/x"]),
        ({"order": ["c"], "allow_fallbacks": False}, ["c/x"]),
        ({"allow_fallbacks": False}, ["a/x"]),
        ({"only": ["B", "c/x"]}, ["b/x", "c/x"]),
        ({"ignore": ["a"]}, ["b/x", "c/x"]),
        ({"sort": "price"}, ["a/x", "b/x", "c/x"]),
        ({"max_price": {"prompt": 2}}, ["a/x", "b/x"]),
        ({"max_price": {"completion": 1.0}}, ["a/x"]),
        ({"max_price": {"request": 0}}, ["a/x", "b/x", "c/x"]),
        ({"order": None, "only": None}, ["a/x", "b/x", "c/x"]),
    ],
    ids=str,
)
def test_the_provider_object_of_a_request_is_obeyed(wanted: dict[str, Any], order: list[str]) -> None:
    assert names(planned(request(provider=wanted), offer(A, B, C))) == order


def test_facts_of_deployments_can_be_asked_for_and_what_is_not_known_does_not_count() -> None:
    known = upstream("eu/x", region="eu", quantization="fp8", keeps_data=False)
    keeps = upstream("us/x", region="us", quantization="bf16", keeps_data=True)
    for wanted, reason in (
        ({"regions": ["EU"]}, "region"),
        ({"quantizations": ["fp8"]}, "quantization"),
        ({"data_collection": "deny"}, "data_policy"),
        ({"zdr": True}, "data_policy"),
    ):
        found = planned(request(provider=wanted), offer(A, keeps, known))
        assert names(found) == ["eu/x"]
        assert reasons(found) == {"a/x": reason, "us/x": reason}
    refused = planned(request(provider={"regions": ["mars"]}), offer(A, known))
    error = told(refused, request(), Health())
    assert isinstance(error, NoCandidate)
    assert "a/x: region (unknown)" in error.message
    assert "eu/x: region (eu)" in error.message


@pytest.mark.parametrize("wrong", [{"oder": ["a"]}, {"sort": "beauty"}, {"max_price": {"prompt": -1}}, [], "a"])
def test_a_wish_that_is_not_understood_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request(provider=wrong)
    assert caught.value.param == "provider"


def test_models_are_fallen_back_on_in_their_order() -> None:
    other = model("other", context_length=None)
    second = upstream("d/y", of=other, price="0.1")
    chat = request(models=["m", "other"])
    assert chat.fallbacks == ("other",)
    offers = (offer(B, A), offer(second, of=other))
    assert names(planned(chat, *offers, rules=Rules("price", 0))) == ["a/x", "b/x", "d/y"]
    whole = merged(offers)
    assert {one.deployment.id for one in whole.upstreams} == {"a/x", "b/x", "d/y"}
    assert whole.model.context_length is None, "the hold has to be enough for all of them"
    only_models = request(model=None, models=["other", "m", "m"])
    assert (only_models.model, only_models.fallbacks) == ("other", ("m",))


def test_suffixes_are_sugar() -> None:
    free = upstream("free/x", price="0")
    chat = request()
    chat.preferences = with_suffix(None, ":free")
    assert names(planned(chat, offer(A, free))) == ["free/x"]
    assert with_suffix(None, ":floor").sort == "price"
    assert with_suffix(None, ":nitro").sort == "throughput"


def test_lower_priority_goes_first_whatever_the_strategy() -> None:
    spare = upstream("spare/x", price="0", priority=1)
    for strategy in ("balanced", "price", "throughput", "latency", "priority", "weighted"):
        found = planned(request(), offer(spare, A, B), rules=Rules(strategy, 0), chance=random.Random(1).random)
        assert names(found)[-1] == "spare/x", strategy


def test_strategies_order_by_what_they_are_named_after() -> None:
    health = Health()
    for one, first_token, tokens in ((A, 0.9, 10), (B, 0.1, 50), (C, 0.3, 90)):
        target = health.of(one.deployment)
        health.first_token(target, first_token, NOW)
        health.speed(target, tokens, 1.0)

    def order(strategy: str) -> list[str]:
        return names(planned(request(), offer(C, B, A), health=health, rules=Rules(strategy, 0)))

    assert order("latency") == ["b/x", "c/x", "a/x"]
    assert order("throughput") == ["c/x", "b/x", "a/x"]
    assert order("price") == ["a/x", "b/x", "c/x"]
    assert order("priority") == ["c/x", "b/x", "a/x"]


def test_weights_share_the_calls_out() -> None:
    heavy, light = upstream("heavy/x", weight=3), upstream("light/x", weight=1)
    chance = random.Random(7).random
    firsts = Counter(
        names(planned(request(), offer(light, heavy), rules=Rules("weighted", 0), chance=chance))[0]
        for _ in range(2000)
    )
    assert 0.70 < firsts["heavy/x"] / 2000 < 0.80


def test_balanced_prefers_the_cheap_and_flees_the_slow_and_the_broken() -> None:
    chance = random.Random(3).random

    def share(health: Health) -> float:
        found = Counter(
            names(planned(request(), offer(A, B), health=health, rules=Rules("balanced", 0), chance=chance))[0]
            for _ in range(1000)
        )
        return found["a/x"] / 1000

    assert share(Health()) > 0.75, "at half the price"
    slow = Health()
    slow.first_token(slow.of(A.deployment), 2.0, NOW)
    slow.first_token(slow.of(B.deployment), 0.2, NOW)
    assert share(slow) < share(Health()) - 0.1
    busy = Health()
    for _ in range(50):
        busy.begin(A.deployment, NOW, first=True)
    assert share(busy) < share(Health()) - 0.1


def test_a_rate_limited_deployment_waits_behind_the_others_until_its_rest_is_over() -> None:
    health = Health()
    health.failed(health.of(A.deployment), UpstreamRateLimited("slow down", retry_after_seconds=30), NOW)
    found = planned(request(), offer(A, B), health=health)
    assert names(found) == ["b/x", "a/x"]
    assert found.resting == 1
    assert names(planned(request(), offer(A), health=health)) == ["a/x"], "better than nothing"
    assert names(planned(request(), offer(A, B), health=health, now=NOW + 31)) == ["a/x", "b/x"]


def test_an_open_breaker_leaves_a_deployment_out_but_not_the_last_one_unless_it_is_clearly_dead() -> None:
    health = Health(probed=True)
    target = health.of(A.deployment)
    for _ in range(6):
        health.failed(target, UpstreamFailed("500"), NOW)
    assert reasons(planned(request(), offer(A, B), health=health)) == {"a/x": "breaker_open"}
    assert names(planned(request(), offer(A), health=health)) == ["a/x"], "the last one left is kept"
    for _ in range(DEAD_FAILURES):
        health.failed(target, UpstreamFailed("500"), NOW)
    dead = planned(request(), offer(A), health=health)
    assert names(dead) == []
    error = told(dead, request(), health)
    assert isinstance(error, CandidatesResting)
    assert error.retry_after_seconds is not None
    assert error.retry_after_seconds >= 1


def test_who_has_no_room_is_left_out() -> None:
    narrow = upstream("narrow/x", max_concurrent=2)
    health = Health()
    by_deployment = [health.begin(narrow.deployment, NOW, first=True) for _ in range(2)]
    assert reasons(planned(request(), offer(narrow, A), health=health)) == {"narrow/x": "full"}
    alone = planned(request(), offer(narrow), health=health)
    assert isinstance(told(alone, request(), health), UpstreamBusy)
    health.end(by_deployment[0])
    assert names(planned(request(), offer(narrow), health=health)) == ["narrow/x"]


def test_a_long_conversation_stays_where_its_beginning_is_cached() -> None:
    health = Health()
    opening = [{"role": "user", "content": "word " * STICKY_BYTES}]
    follow_up = [*opening, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "and then?"}]
    chance = itertools.cycle([0.0, 0.99, 0.5]).__next__
    first = planned(request(messages=opening), offer(A, B), health=health, rules=Rules("balanced", 0), chance=chance)
    assert first.key
    health.remember(first.key, "b/x", NOW)
    for _ in range(10):
        again = planned(
            request(messages=follow_up), offer(A, B), health=health, rules=Rules("balanced", 0), chance=chance
        )
        assert again.key == first.key
        assert names(again)[0] == "b/x"
    assert not planned(request(), offer(A, B)).key, "a short prompt is not worth a cache"
