"""A deployment's own limits hold: a call that is over them goes elsewhere or is refused, and no answer is longer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from fairlead.testing import ScriptedUpstream

from .conftest import Served, model, provider, serving
from .test_credit import new_key

SMALL = "context_length = 2000\nmax_output_tokens = 300\n"
LONG = "word " * 2500  # 2,500 tokens or so, fewer than its 12,500 bytes
NOTE = "word " * 1500  # fits into 2,000 tokens, although its bytes do not


def own(text: str, limits: str) -> str:
    """The last deployment in `text`, with limits of its own."""
    before, _, last = text.rpartition("[[models.deployments]]\n")
    return f"{before}[[models.deployments]]\n{limits}{last}"


@pytest.fixture(scope="module")
def small() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def large() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(
    small: ScriptedUpstream, large: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    config = (
        "[routing]\nstrategy = 'priority'\n" + provider(small.url, name="small") + provider(large.url, name="large")
    )
    config += own(model("small", name="alone"), SMALL)
    config += own(model("small", name="narrow"), "context_length = 2000\n")
    both = own(model("small", name="both"), SMALL) + model("large", name="x").replace('[[models]]\nid = "x"\n', "")
    config += both.replace('provider = "large"', 'provider = "large"\npriority = 1')
    config += model("large", name="free")
    with serving(tmp_path_factory.mktemp("own"), config) as running:
        yield running


def ask(served: Served, name: str, text: str = "Hello!", key: str | None = None, **more: Any) -> httpx2.Response:
    with httpx2.Client(trust_env=False, timeout=60) as http:
        return http.post(
            served.url + "/v1/chat/completions", headers={"Authorization": f"Bearer {key or served.key}"},
            json={"model": name, "messages": [{"role": "user", "content": text}], **more},
        )  # fmt: skip


def sent(upstream: ScriptedUpstream) -> Any:
    return json.loads(upstream.requests[-1].body)


@pytest.mark.parametrize("name", ["alone", "narrow"])
def test_a_prompt_over_the_context_is_refused_before_anybody_is_asked(
    served: Served, small: ScriptedUpstream, name: str
) -> None:
    asked = len(small.requests)
    for text in (LONG, LONG * 20):
        answer = ask(served, name, text)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")
        assert "in 2000" in error["message"]
    assert len(small.requests) == asked
    assert ask(served, name, NOTE).status_code == 200, "it is counted, and fits"


def test_a_cap_over_the_answers_limit_is_refused_by_the_name_it_was_given(served: Served) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = ask(served, "alone", **{name: 301})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", name)
        assert "301 tokens of answer, 300 at most" in error["message"]
        assert ask(served, "alone", **{name: 300}).status_code == 200


def test_without_a_cap_the_answer_gets_the_deployments_own(
    served: Served, small: ScriptedUpstream, large: ScriptedUpstream
) -> None:
    answer = ask(served, "alone", fairlead={"parameters": True})
    assert sent(small)["max_tokens"] == 300
    assert answer.headers["x-fairlead-parameters"] == "clamped=max_tokens"
    assert ask(served, "alone", max_tokens=7).status_code == 200
    assert sent(small)["max_tokens"] == 7
    # 1,700 words leave less room than that: the cap has to fit beside the prompt, or an engine refuses it.
    assert ask(served, "alone", "word " * 1700).status_code == 200
    assert 200 < sent(small)["max_tokens"] < 300
    ask(served, "narrow")
    assert "max_tokens" not in sent(small), "its context alone bounds the answer"
    ask(served, "free")
    assert "max_tokens" not in sent(large)


def test_what_does_not_fit_goes_to_a_deployment_that_it_fits(
    served: Served, small: ScriptedUpstream, large: ScriptedUpstream
) -> None:
    for text, more, deployment in (
        ("Hello!", {}, "small"),
        (LONG, {}, "large"),
        ("Hello!", {"max_tokens": 301}, "large"),
    ):
        answer = ask(served, "both", text, **more)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-fairlead-deployment"].startswith(deployment + "/")
    assert sent(large)["max_tokens"] == 301
    ask(served, "both", LONG)
    assert "max_tokens" not in sent(large), "the limit is the other one's own"


def test_no_more_is_set_aside_than_such_an_answer_may_cost(served: Served, small: ScriptedUpstream) -> None:
    # 300 tokens at 0.30 dollars a million are 0.00009; the model's own limit would be far more than this credit.
    key = new_key(served, "--credit", "0.0003")
    assert ask(served, "alone", key=key).status_code == 200
    assert sent(small)["max_tokens"] == 300
