"""With hedge = true a late answer is overtaken by another one, and there is one bill."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from fairlead.testing import Fault, Reply, ScriptedUpstream

from .conftest import IN_ORDER, Served, eventually, fairlead, model, provider, serving

MODEL = "mistral-small-3.2"


@pytest.fixture
def upstreams() -> Iterator[tuple[ScriptedUpstream, ScriptedUpstream]]:
    with ScriptedUpstream() as a, ScriptedUpstream() as b:
        b.default = Reply(text="from b")
        yield a, b


@pytest.fixture
def served(upstreams: tuple[ScriptedUpstream, ScriptedUpstream], tmp_path: Path) -> Iterator[Served]:
    a, b = upstreams
    config = IN_ORDER + "hedge = true\n" + provider(a.url, name="a", dialect="generic") + provider(b.url, name="b")
    with serving(tmp_path, config + model("a", "b")) as running:
        yield running


def ask(client: openai.OpenAI) -> tuple[str, list[str]]:
    """The text, and the outcomes of all attempts."""
    messages: Any = [{"role": "user", "content": "Hello!"}]
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse())
    bill: Any = client.get("/receipts/" + raw.headers["x-fairlead-generation-id"], cast_to=object)
    return text, [one["outcome"] for one in bill["attempts"]]


def test_a_late_answer_is_overtaken_and_a_failure_is_not_hedged_twice(
    served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    a, b = upstreams
    a.default = Reply(text="from a", delay_seconds=0.01)
    with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as client:
        for _ in range(20):
            assert ask(client) == ("from a", ["served"])
        assert not b.requests, "nothing is hedged before it is known what late is"
        a.default = Reply(text="from a", delay_seconds=3)
        began = time.monotonic()
        assert ask(client) == ("from b", ["hedged", "served"])
        assert time.monotonic() - began < 2
        eventually(lambda: a.cancelled == 1)
        a.default = Reply(fault=Fault.CLOSE_AT_ONCE)
        assert ask(client) == ("from b", ["upstream_cut", "served"])
        assert len(b.requests) == 2
    lines = fairlead("usage", "export", "--format", "jsonl", data=served.data).stdout.splitlines()
    assert len(lines) == 22
    assert fairlead("verify", data=served.data).returncode == 0
