"""Responses that are stored: read again, gone on from, listed, deleted; and never on the disk where that is off."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import pytest
from sqlalchemy import update
from tests.e2e.conftest import AT_ONCE, Served, eventually, fairlead, model, provider, serving

from fairlead.store import open_store
from fairlead.store.responses import DAY_MS, keep_response, stored_response
from fairlead.store.tables import responses
from fairlead.testing import Reply, ScriptedUpstream, ToolCall
from fairlead.wire.stored import StoredResponse

WEATHER: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


def configuration(url: str, more: str = "[responses]\nstore = true\n") -> str:
    return (
        AT_ONCE
        + more
        + provider(url, name="chatty")
        + provider(url, name="own", dialect="openai-responses")
        + model("chatty", name="chat", upstream="up-chat")
        + model("own", name="native", upstream="up-native")
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("stored"), configuration(upstream.url)) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        yield client


BOTH = pytest.mark.parametrize("name", ["chat", "native"])


@BOTH
def test_a_response_is_read_again_and_deleted(client: openai.OpenAI, upstream: ScriptedUpstream, name: str) -> None:
    upstream.enqueue(Reply("Kept."))
    made = client.responses.create(model=name, input="Keep this.")
    found = client.responses.retrieve(made.id)
    assert found == made
    items = client.responses.input_items.list(made.id)
    assert [item.type for item in items.data] == ["message"]
    assert items.data[0].content[0].text == "Keep this."  # type: ignore[union-attr]
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(made.id)
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(made.id)


@BOTH
def test_a_conversation_goes_on(client: openai.OpenAI, upstream: ScriptedUpstream, name: str) -> None:
    upstream.enqueue(
        Reply("", tool_calls=(ToolCall("weather", "{}", "c1"),)), Reply("Sunny."), Reply("Yes."),
    )  # fmt: skip
    first = client.responses.create(model=name, input="Weather?", tools=[WEATHER])
    output: Any = {"type": "function_call_output", "call_id": "c1", "output": "sun"}
    second = client.responses.create(model=name, input=[output], previous_response_id=first.id, tools=[WEATHER])
    assert second.output_text == "Sunny."
    assert second.previous_response_id == first.id
    third = list(client.responses.create(model=name, input="Sure?", previous_response_id=second.id, stream=True))
    assert third[-1].type == "response.completed"
    sent = upstream.requests[-1].json
    if name == "chat":
        assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool", "assistant", "user"]
    else:
        assert "previous_response_id" not in sent
        assert [item["type"] for item in sent["input"]] == [
            "message", "function_call", "function_call_output", "message", "message",
        ]  # fmt: skip
    last = third[-1].response.id
    assert client.responses.retrieve(last).output_text == "Yes."
    assert len(client.responses.input_items.list(last).data) == 3


def test_another_model_goes_on(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(Reply("Hm, yes.", thinking="Hm."), Reply("And so on."))
    first = client.responses.create(model="native", input="Begin.", include=["reasoning.encrypted_content"])
    client.responses.create(model="chat", input="Go on.", previous_response_id=first.id)
    assert upstream.requests[-1].json["messages"][1]["content"] == "Hm, yes."


def test_another_account_does_not_see_it(served: Served, client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(Reply("Mine."))
    made = client.responses.create(model="chat", input="A secret.")
    stranger = re.search(
        r"sk-fl-\S+", fairlead("keys", "create", "--name", "other", "--credit", "1", data=served.data).stdout
    )
    assert stranger is not None
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=stranger[0], max_retries=0) as other:
        before = len(upstream.requests)
        with pytest.raises(openai.NotFoundError):
            other.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            other.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError) as caught:
            other.responses.create(model="chat", input="What was it?", previous_response_id=made.id)
        assert "secret" not in str(caught.value)
        assert len(upstream.requests) == before
    assert client.responses.retrieve(made.id).output_text == "Mine."
    assert httpx.get(f"{served.url}/v1/responses/{made.id}").status_code == 401


def test_what_is_not_to_be_stored_is_not(served: Served, client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(Reply("Gone."))
    made = client.responses.create(model="chat", input="Forget this.", store=False)
    assert made.store is False  # type: ignore[attr-defined]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    upstream.enqueue(Reply("Kept."))
    assert client.responses.create(model="chat", input="Keep.").store is True  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "response_id", ["x", "a" * 5_000, "%00", "..%2F..", "resp_1/input_items/more", "'; drop table responses; --"]
)
def test_ids_that_are_none(served: Served, response_id: str) -> None:
    head = {"authorization": f"Bearer {served.key}"}
    for method in ("GET", "DELETE"):
        assert httpx.request(method, f"{served.url}/v1/responses/{response_id}", headers=head).status_code in (404, 405)
    assert httpx.post(f"{served.url}/v1/responses/{response_id}", headers=head).status_code in (404, 405)


def test_a_restart_keeps_what_is_stored(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    config = configuration(upstream.url)
    with serving(tmp_path, config) as served:
        upstream.enqueue(Reply("Kept."))
        head = {"authorization": f"Bearer {served.key}"}
        body = {"model": "chat", "input": "Keep this."}
        made = httpx.post(f"{served.url}/v1/responses", json=body, headers=head).json()
    with serving(tmp_path, config) as again:
        found = httpx.get(f"{again.url}/v1/responses/{made['id']}", headers=head)
        assert found.json() == made


def test_the_tokens_of_a_request_are_counted_with_what_it_continues(
    client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    upstream.requests.clear()
    alone = client.responses.input_tokens.count(model="chat", input="Hello there.")
    assert alone.object == "response.input_tokens"
    made = client.responses.create(model="chat", input="A question of some length.")
    for name in ("chat", "native"):
        more = client.responses.input_tokens.count(model=name, input="Hello there.", previous_response_id=made.id)
        assert more.input_tokens > alone.input_tokens > 0
    assert len(upstream.requests) == 1, "counting calls nobody"
    with pytest.raises(openai.NotFoundError):
        client.responses.input_tokens.count(model="chat", input="Hi", previous_response_id="resp_none")
    with pytest.raises(openai.NotFoundError):
        client.post("/responses/compact", cast_to=object, body={"model": "chat", "input": "Hi"})


def test_what_was_stored_goes_in_time_also_where_nothing_is_stored_any_more(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    def left() -> set[str]:
        with store.read() as connection:
            return {one for one in ("old", "new") if stored_response(connection, "a", one)}

    store = open_store(tmp_path / "data")
    with store.write() as connection:
        for name, days in (("old", 31), ("new", 29)):
            keep_response(connection, "a", StoredResponse(name, "", b"[]", b"{}"))
            old = update(responses).where(responses.c.id == name).values(at=responses.c.at - days * DAY_MS)
            connection.execute(old)
    with serving(tmp_path, configuration(upstream.url, "")):
        eventually(lambda: left() == {"new"})
    store.close()


def test_nothing_is_on_the_disk_where_it_is_off(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with serving(tmp_path, configuration(upstream.url, "")) as served:
        head = {"authorization": f"Bearer {served.key}"}
        upstream.enqueue(Reply("Whisperingly."))
        body = {"model": "chat", "input": "Confidentially.", "store": True}
        made = httpx.post(f"{served.url}/v1/responses", json=body, headers=head)
        assert made.json()["store"] is False
        for method, end in (("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")):
            answer = httpx.request(method, f"{served.url}/v1/responses/{made.json()['id']}{end}", headers=head)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        eventually((served.data / "fairlead.db").exists)
    for file in served.data.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert b"Confidentially" not in content
            assert b"Whisperingly" not in content
    assert json.loads(made.content)["output"]
