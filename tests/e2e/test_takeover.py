"""Vendors with a dialect of their own take over a cut stream where their models go on from a prefill, and only there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from fairlead.testing import Fault, Reply, ScriptedUpstream

from .conftest import IN_ORDER, Served, fairlead, provider, serving
from .test_dialects import Vendors, rows, vendors

__all__ = ["vendors"]

GOES_ON = {
    "anthropic": "claude-sonnet-4-5-20250929",
    "gemini": "gemini-2.5-flash",
    "bedrock": "eu.anthropic.claude-haiku-4-5-20251001-v1",
}
REFUSES = {
    "anthropic": "claude-opus-4-6",
    "gemini": "gemini-3.6-flash",
    "bedrock": "anthropic.claude-sonnet-4-6",
    "azure": "gpt-4.1",
}
CUT = Reply(text="So far: nothing", fault=Fault.EOF, after_chunks=3)


@pytest.fixture(scope="module")
def faulty() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        upstream.default = CUT
        yield upstream


@pytest.fixture(scope="module")
def served(vendors: Vendors, faulty: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = IN_ORDER + "".join(rows(vendors).values())
    for models, kind in ((GOES_ON, "on"), (REFUSES, "not"), ({"anthropic": "claude-sonnet-4-5"}, "told")):
        for name, model in models.items():
            config += provider(faulty.url, name=f"a-{name}-{kind}")
            config += f'[[models]]\nid = "{name}/{kind}"\ncontext_length = 100000\n'
            for at in (f"a-{name}-{kind}", name):
                config += (
                    f'[[models.deployments]]\nprovider = "{at}"\nupstream_model = "{model}"\n'
                    'price = { input = "1", output = "3" }\ncost = { input = "1", output = "2" }\n'
                )
            if kind == "told":
                config += "supports_prefill = false\n"
    with serving(tmp_path_factory.mktemp("takeover"), config) as running:
        yield running


def ask(served: Served, model: str) -> Any:
    with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "case text"}]
        return list(client.chat.completions.create(model=model, messages=messages, stream=True, max_tokens=100))


@pytest.mark.parametrize("dialect", GOES_ON)
def test_a_cut_stream_goes_on_in_the_dialect_of_another_vendor(served: Served, vendors: Vendors, dialect: str) -> None:
    chunks = ask(served, f"{dialect}/on")
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "So far: Héllo 🌍"
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["stop"]
    body = vendors.bodies[-1]
    last = body["contents" if dialect == "gemini" else "messages"][-1]
    part = (last["parts"] if dialect == "gemini" else last["content"])[0]
    assert (last["role"], part["text"]) == ("model" if dialect == "gemini" else "assistant", "So far:")
    assert vendors.troubles == []


@pytest.mark.parametrize("model", [*(f"{name}/not" for name in REFUSES), "anthropic/told"])
def test_who_refuses_a_prefill_or_begins_anew_is_not_tried(served: Served, vendors: Vendors, model: str) -> None:
    before = len(vendors.bodies)
    with pytest.raises(openai.APIError) as raised:
        ask(served, model)
    assert raised.value.code == "upstream_cut"
    assert len(vendors.bodies) == before


def test_what_was_taken_over_can_be_charged_again(served: Served, tmp_path: Path) -> None:
    ask(served, "gemini/on")
    assert fairlead("verify", data=served.data).returncode == 0


def test_what_a_cut_stream_had_reported_by_then_is_its_cost(
    vendors: Vendors, faulty: ScriptedUpstream, tmp_path: Path
) -> None:
    """Anthropic tells the prompt, with what of it was cached, before the first word."""
    config = IN_ORDER + rows(vendors)["anthropic"] + provider(faulty.url, name="b") + '[[models]]\nid = "m"\n'
    for at, model in (("anthropic", "claude-sonnet-4-5"), ("b", "x")):
        config += (
            f'[[models.deployments]]\nprovider = "{at}"\nupstream_model = "{model}"\n'
            'price = { input = "1", output = "3" }\ncost = { input = "1", cached_input = "0.1", output = "2" }\n'
        )
    faulty.enqueue(Reply(text="Héllo 🌍", continues=True))
    with serving(tmp_path, config) as served:
        with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as client:
            messages: Any = [{"role": "user", "content": "case textcut"}]
            raw = client.chat.completions.with_raw_response.create(model="m", messages=messages, stream=True)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse()) == "Héllo 🌍"
            bill: Any = client.get("/receipts/" + raw.headers["x-fairlead-generation-id"], cast_to=object)
        cut = bill["attempts"][0]
        words = round((float(cut["cost_usd"]) * 1e6 - 15 - 10 * 0.1) / 2)
        assert cut["outcome"] == "upstream_cut"
        assert 1 <= words <= 4
        assert float(cut["cost_usd"]) == pytest.approx((15 + 10 * 0.1 + words * 2) / 1e6)
        assert fairlead("verify", data=served.data).returncode == 0
