"""With hedge = true a late answer is overtaken by another one, and there is one bill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from fairlead.testing import Fault, Reply, ScriptedUpstream

from .conftest import IN_ORDER, Served, eventually, fairlead, provider, serving
from .test_faults import deployments

MODEL = "mistral-small-3.2"


@pytest.fixture
def upstreams() -> Iterator[tuple[ScriptedUpstream, ScriptedUpstream]]:
    with ScriptedUpstream() as a, ScriptedUpstream() as b:
        b.default = Reply(text="from b")
        yield a, b


@pytest.fixture
def served(upstreams: tuple[ScriptedUpstream, ScriptedUpstream], tmp_path: Path) -> Iterator[Served]:
    a, b = upstreams
    config = IN_ORDER + "hedge = true\n" + provider(b.url, name="b")
    # Its provider bills a prompt to its end, also when nobody waits for the answer.
    config += provider(a.url, name="a", dialect="generic", extra='disconnect = "drain"')
    config += deployments(MODEL, "a", "b")
    with serving(tmp_path, config) as running:
        yield running


def ask(client: openai.OpenAI, *, stream: bool = True) -> tuple[str, list[str]]:
    """The text, and the outcomes of all attempts."""
    text, attempts = asked(client, stream=stream)
    return text, [one["outcome"] for one in attempts]


def asked(client: openai.OpenAI, *, stream: bool = True) -> tuple[str, list[dict[str, str]]]:
    messages: Any = [{"role": "user", "content": "Hello!"}]
    raw: Any = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages, stream=stream)
    if stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse())
    else:
        text = raw.parse().choices[0].message.content
    bill: Any = client.get("/receipts/" + raw.headers["x-fairlead-generation-id"], cast_to=object)
    return text, bill["attempts"]


def test_a_late_answer_is_overtaken_and_a_failure_is_not_hedged_twice(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    a, b = upstreams
    a.default = Reply(text="from a", delay_seconds=0.01)
    with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as client:
        for _ in range(20):
            assert ask(client) == ("from a", ["served"])
        assert not b.requests, "nothing is hedged before it is known what late is"
        a.default = Reply(text="from a", delay_seconds=50)
        assert ask(client) == ("from b", ["hedged", "served"])
        eventually(lambda: a.cancelled == 1)
        a.default = Reply(fault=Fault.CLOSE_AT_ONCE)
        assert ask(client) == ("from b", ["upstream_cut", "served"])
        assert len(b.requests) == 2
    lines = fairlead("usage", "export", "--format", "jsonl", data=served.data).stdout.splitlines()
    assert len(lines) == 22
    assert fairlead("verify", data=served.data).returncode == 0


def test_what_counts_is_the_first_word_and_not_the_head_of_the_answer(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    a, b = upstreams
    a.default = Reply(text="from a", delay_seconds=0.01)
    with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as client:
        for _ in range(20):
            ask(client)
        # Its head and its role come at once, its first word does not.
        a.default = Reply(text="from a", chunk_delay_seconds=50)
        text, attempts = asked(client)
        assert (text, [one["outcome"] for one in attempts]) == ("from b", ["hedged", "served"])
        eventually(lambda: a.cancelled == 1)
        assert float(attempts[0]["cost_usd"]) > 0, "its provider bills a prompt that nobody waits for"
        # A second call that comes to nothing leaves the first one to answer, in time.
        a.default = Reply(text="from a", delay_seconds=0.5)
        b.default = Reply(status=500)
        text, attempts = asked(client)
        assert (text, [one["outcome"] for one in attempts]) == ("from a", ["upstream_failed", "served"])
        # A whole answer has no first word to wait for.
        before = len(b.requests)
        assert ask(client, stream=False) == ("from a", ["served"])
        assert len(b.requests) == before
    assert fairlead("verify", data=served.data).returncode == 0
