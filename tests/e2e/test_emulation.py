"""What a deployment lacks and is made up for, and what an answer says about its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from fairlead.testing import Reply, ScriptedUpstream

from .conftest import IN_ORDER, Served, fairlead, provider, serving

HELLO: Any = [{"role": "user", "content": "Which city?"}]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^([A-Z][a-z]*)+$"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
    "additionalProperties": False,
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
GOOD = '{"name": "Oslo", "people": 700000}'
BAD = '{"name": "Oslo", "people": "many"}'
PRICE = 'price = { input = "1", output = "2" }\ncost = { input = "1", output = "2" }\n'


@pytest.fixture(scope="module")
def upstreams() -> Iterator[tuple[ScriptedUpstream, ScriptedUpstream]]:
    with ScriptedUpstream() as a, ScriptedUpstream() as b:
        yield a, b


@pytest.fixture(scope="module")
def served(
    upstreams: tuple[ScriptedUpstream, ScriptedUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    a, b = upstreams
    config = IN_ORDER + provider(a.url, name="a") + provider(b.url, name="b")
    lacks = 'lacks = ["json_schema", "json_object", "n"]\n'
    config += f'[[models]]\nid = "m"\n[[models.deployments]]\nprovider = "a"\nupstream_model = "x"\n{PRICE}{lacks}'
    config += f'[[models]]\nid = "two"\n[[models.deployments]]\nprovider = "a"\nupstream_model = "y"\n{PRICE}{lacks}'
    config += f'[[models.deployments]]\nprovider = "b"\nupstream_model = "y"\n{PRICE}'
    config += provider(a.url, name="mistral", dialect="mistral")
    config += f'[[models]]\nid = "narrow"\n[[models.deployments]]\nprovider = "mistral"\nupstream_model = "z"\n{PRICE}'
    config += f'[[models]]\nid = "few"\n[[models.deployments]]\nprovider = "a"\nupstream_model = "f"\n{PRICE}'
    config += 'parameters = ["max_tokens", "stop"]\n'
    with serving(tmp_path_factory.mktemp("emulation"), config) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as sdk:
        yield sdk


def receipt(client: openai.OpenAI, headers: Any) -> Any:
    return client.get("/receipts/" + headers["x-fairlead-generation-id"], cast_to=object)


def test_a_deployment_gets_only_the_parameters_that_it_is_said_to_take(
    client: openai.OpenAI, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    answer = client.chat.completions.with_raw_response.create(
        model="few", messages=HELLO, temperature=0.2, seed=3, stop="x", max_completion_tokens=7, extra_body={"odd": 1}
    )
    sent = upstreams[0].requests[-1].json
    assert (sent["stop"], sent["max_completion_tokens"]) == ("x", 7)
    assert not {"temperature", "seed", "odd"} & set(sent)
    assert set(answer.headers["x-fairlead-dropped"].replace(" ", "").split(",")) == {"temperature", "seed", "odd"}
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(
            model="few", messages=HELLO, temperature=0.2, extra_body={"fairlead": {"strict": True}}
        )


def test_json_by_a_schema_is_checked_and_comes_without_its_fence(
    client: openai.OpenAI, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    upstreams[0].enqueue(Reply(text=f"```json\n{GOOD}\n```"))
    answer = client.chat.completions.with_raw_response.create(model="m", messages=HELLO, response_format=FORMAT)
    assert answer.headers["x-fairlead-emulated"] == "json_schema"
    assert answer.parse().choices[0].message.content == GOOD
    sent = upstreams[0].requests[-1].json
    assert "response_format" not in sent
    assert '"additionalProperties":false' in sent["messages"][0]["content"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_does_not_conform_is_repaired_once_and_its_cost_is_the_operators(
    client: openai.OpenAI, upstreams: tuple[ScriptedUpstream, ScriptedUpstream], stream: bool
) -> None:
    upstreams[0].enqueue(
        Reply(text=BAD, prompt_tokens=50, completion_tokens=20),
        Reply(text=GOOD, prompt_tokens=90, completion_tokens=21),
    )
    raw = client.chat.completions.with_raw_response.create(
        model="m", messages=HELLO, response_format=FORMAT, stream=stream
    )
    if stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse())
    else:
        text = raw.parse().choices[0].message.content  # type: ignore[attr-defined]
    assert text == GOOD
    asked = upstreams[0].requests[-1].json["messages"]
    assert asked[-2] == {"role": "assistant", "content": BAD}
    assert "$.people" in asked[-1]["content"]
    bill = receipt(client, raw.headers)
    assert [one["outcome"] for one in bill["attempts"]] == ["repaired", "served"]
    assert (bill["usage"]["prompt_tokens"], bill["usage"]["completion_tokens"]) == (50, 21)
    assert float(bill["charged_usd"]) == pytest.approx((50 + 2 * 21) / 1e6)
    assert float(bill["attempts"][0]["cost_usd"]) == pytest.approx((50 + 2 * 20) / 1e6)
    assert float(bill["attempts"][1]["cost_usd"]) == pytest.approx((90 + 2 * 21) / 1e6), "as the provider bills it"
    assert bill["routing"]["parameters"]["emulated"] == ["json_schema"]


def test_what_still_does_not_conform_is_tried_elsewhere_and_then_told(
    client: openai.OpenAI, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    a, b = upstreams
    a.enqueue(Reply(text=BAD), Reply(text=BAD))
    b.enqueue(Reply(text=GOOD))
    answer = client.chat.completions.create(model="two", messages=HELLO, response_format=FORMAT)
    assert answer.choices[0].message.content == GOOD
    assert b.requests[-1].json["response_format"] == FORMAT
    a.enqueue(Reply(text="no JSON at all"), Reply(text="none either"))
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="m", messages=HELLO, response_format={"type": "json_object"})
    assert (caught.value.status_code, caught.value.code) == (502, "answer_invalid")


def test_nothing_is_fetched_for_a_schema(
    client: openai.OpenAI, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    before = [len(one.requests) for one in upstreams]
    wanted: Any = {
        "type": "json_schema",
        "json_schema": {"name": "j", "schema": {"$ref": upstreams[1].url + "/models"}},
    }
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="m", messages=HELLO, response_format=wanted)
    assert caught.value.param == "response_format"
    assert [len(one.requests) for one in upstreams] == before, "nor is the model asked"


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices_come_from_as_many_calls_and_each_is_paid(
    client: openai.OpenAI, upstreams: tuple[ScriptedUpstream, ScriptedUpstream], stream: bool
) -> None:
    a, _ = upstreams
    a.enqueue(*(Reply(text=f"answer {at}", prompt_tokens=30, completion_tokens=2) for at in range(3)))
    before = len(a.requests)
    raw = client.chat.completions.with_raw_response.create(model="m", messages=HELLO, n=3, stream=stream)
    assert raw.headers["x-fairlead-emulated"] == "n"
    if stream:
        texts = {
            chunk.choices[0].index: chunk.choices[0].delta.content
            for chunk in raw.parse()
            if chunk.choices[0].delta.content
        }
    else:
        texts = {one.index: one.message.content for one in raw.parse().choices}  # type: ignore[attr-defined]
    assert sorted(texts) == [0, 1, 2]
    assert sorted(str(text) for text in texts.values()) == ["answer 0", "answer 1", "answer 2"]
    assert len(a.requests) == before + 3
    assert all("n" not in one.json for one in a.requests[before:])
    bill = receipt(client, raw.headers)
    assert (bill["usage"]["prompt_tokens"], bill["usage"]["completion_tokens"]) == (90, 6)
    assert [one["outcome"] for one in bill["attempts"]] == ["served"]
    assert float(bill["charged_usd"]) == float(bill["attempts"][0]["cost_usd"]) == pytest.approx((90 + 2 * 6) / 1e6)


def test_it_can_be_switched_off(client: openai.OpenAI) -> None:
    for extra in ({"emulate": False}, {"strict": True}):
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(model="m", messages=HELLO, n=2, extra_body={"fairlead": extra})
        assert caught.value.code in ("no_candidate", "invalid_request")
        assert caught.value.status_code in (400, 404)


def test_an_answer_says_what_became_of_each_parameter_when_asked(
    client: openai.OpenAI, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    upstreams[0].enqueue(Reply(), Reply())
    given: Any = {"temperature": 0.5, "seed": 1, "logit_bias": {"1": 2}, "user": "me"}
    raw = client.chat.completions.with_raw_response.create(
        model="narrow", messages=HELLO, **given, extra_body={"fairlead": {"parameters": True}, "min_p": 0.1}
    )
    assert raw.headers["x-fairlead-parameters"] == (
        "forwarded=temperature; translated=seed; dropped=logit_bias, user, min_p"
    )
    told = receipt(client, raw.headers)["routing"]["parameters"]
    assert told["translated"] == ["seed"]
    assert sorted(told["dropped"]) == ["logit_bias", "min_p", "user"]
    raw = client.chat.completions.with_raw_response.create(model="narrow", messages=HELLO, temperature=0.5)
    assert "x-fairlead-parameters" not in raw.headers
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="narrow", messages=HELLO, **given, extra_body={"fairlead": {"strict": True}}
        )
    assert "logit_bias" in caught.value.message
    assert "user" in caught.value.message


def test_every_charge_of_these_can_be_made_again(served: Served) -> None:
    checked = fairlead("verify", data=served.data)
    assert checked.returncode == 0, checked.stderr
