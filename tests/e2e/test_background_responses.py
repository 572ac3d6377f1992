"""Responses in the background: answered at once, served without their caller, read, cancelled, and never left half done."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from fairlead.testing import Reply, ScriptedUpstream, ToolCall

from .conftest import AT_ONCE, Held, Served, eventually, fairlead, model, provider, serving
from .test_credit import new_key

BOTH = pytest.mark.parametrize("name", ["chat", "native"])


def configuration(url: str) -> str:
    return (
        AT_ONCE
        + "[responses]\nstore = true\n[server]\ndrain_timeout_seconds = 20\n"
        + provider(url, name="chatty")
        + provider(url, name="own", dialect="openai-responses")
        + model("chatty", name="chat", upstream="up-chat")
        + model("own", name="native", upstream="up-native")
    )


@pytest.fixture(scope="module")
def upstream() -> Iterator[Held]:
    with Held() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: Held) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("background"), configuration(upstream.url)) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with caller(served) as client:
        yield client


@pytest.fixture
def held(upstream: Held) -> Iterator[Held]:
    """The provider answers nothing before `held` is False again."""
    upstream.held = True
    yield upstream
    upstream.held = False


def caller(served: Served, key: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=key or served.key, max_retries=0)


def begin(client: openai.OpenAI, name: str, **more: Any) -> Response:
    made = client.responses.create(model=name, input="Think long.", background=True, **more)
    assert (made.status, made.background, made.output, made.error) == ("queued", True, [], None)
    return made


def ended(client: openai.OpenAI, made: Response) -> Response:
    found = [made]

    def over() -> bool:
        found[0] = client.responses.retrieve(made.id)
        return found[0].status not in ("queued", "in_progress")

    eventually(over)
    assert found[0].id == made.id
    return found[0]


@BOTH
def test_it_is_answered_at_once_and_read_when_it_is_complete(client: openai.OpenAI, held: Held, name: str) -> None:
    held.enqueue(Reply("Done at last.", tool_calls=(ToolCall("look", "{}", "c1"),), completion_tokens=7))
    made = begin(client, name, metadata={"a": "b"})
    found = client.responses.retrieve(made.id)
    assert (found.status, found.output, found.metadata) == ("in_progress", [], {"a": "b"})
    with pytest.raises(openai.BadRequestError, match="is not complete yet"):
        client.responses.create(model=name, input="And?", previous_response_id=made.id)
    held.held = False
    found = ended(client, made)
    assert (found.status, found.background, found.model) == ("completed", True, name)
    assert found.output_text == "Done at last."
    assert found.output[-1].type == "function_call"
    assert found.usage is not None
    assert found.usage.output_tokens == 7
    assert "background" not in held.requests[-1].json
    held.enqueue(Reply("Again."))
    output: Any = {"type": "function_call_output", "call_id": "c1", "output": "x"}
    more = client.responses.create(model=name, input=[output], previous_response_id=made.id)
    assert more.output_text == "Again."


@BOTH
def test_it_costs_what_it_costs_with_a_caller_who_waits(
    client: openai.OpenAI, held: Held, served: Served, name: str
) -> None:
    held.held = False
    held.enqueue(*[Reply("One two three.", prompt_tokens=30, completion_tokens=9)] * 2)
    found = ended(client, begin(client, name))
    waited = client.responses.create(model=name, input="Think long.")
    assert found.usage is not None
    assert waited.usage is not None
    assert found.usage.to_dict() == waited.usage.to_dict()
    assert found.usage.to_dict()["cost_usd"] == "0.0000057"


@BOTH
def test_it_fails_with_the_reason(client: openai.OpenAI, upstream: Held, name: str) -> None:
    upstream.enqueue(Reply(status=400, body='{"error": {"message": "Too hot.", "type": "invalid_request_error"}}'))
    found = ended(client, begin(client, name))
    assert found.status == "failed"
    assert found.error is not None
    assert "Too hot." in found.error.message
    upstream.enqueue(Reply(status=503))
    assert ended(client, begin(client, name)).status == "failed"


def test_its_deadline_is_kept(client: openai.OpenAI, held: Held) -> None:
    found = ended(client, begin(client, "chat", extra_headers={"x-fairlead-timeout": "0.2"}))
    assert found.status == "failed"
    assert found.error is not None
    assert "deadline" in found.error.message


@BOTH
def test_it_is_cancelled_and_the_provider_is_left(client: openai.OpenAI, held: Held, served: Served, name: str) -> None:
    arrived, cancelled = held.arrived, held.cancelled
    made = begin(client, name)
    eventually(lambda: held.arrived > arrived)
    gone = client.responses.cancel(made.id)
    assert (gone.id, gone.status, gone.output) == (made.id, "cancelled", [])
    eventually(lambda: held.cancelled > cancelled)
    assert client.responses.retrieve(made.id).status == "cancelled"
    assert client.responses.cancel(made.id).status == "cancelled"  # again: nothing to do


def test_a_deleted_one_is_stopped_and_stays_deleted(client: openai.OpenAI, held: Held) -> None:
    arrived, cancelled = held.arrived, held.cancelled
    made = begin(client, "chat")
    eventually(lambda: held.arrived > arrived)
    client.responses.delete(made.id)
    eventually(lambda: held.cancelled > cancelled)
    held.held = False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_what_cannot_be_is_refused(client: openai.OpenAI, upstream: Held, served: Served) -> None:
    arrived = upstream.arrived
    for more in ({"stream": True}, {"store": False}):
        with pytest.raises(openai.BadRequestError):
            client.responses.create(model="chat", input="x", background=True, **more)  # type: ignore[call-overload]
    upstream.enqueue(Reply("x"))
    whole = client.responses.create(model="chat", input="x")
    with pytest.raises(openai.BadRequestError, match="Only background responses"):
        client.responses.cancel(whole.id)
    with caller(served, new_key(served, "--credit", "5")) as other:
        made = begin(client, "chat")
        for attempt in (other.responses.retrieve, other.responses.cancel, other.responses.delete):
            with pytest.raises(openai.NotFoundError):
                attempt(made.id)
        assert ended(client, made).status == "completed"
    assert upstream.arrived == arrived + 2


def test_an_account_takes_its_share_and_no_more(served: Served, held: Held) -> None:
    with caller(served, new_key(served, "--credit", "5")) as greedy, ThreadPoolExecutor(8) as pool:

        def one(_: int) -> str:
            try:
                return begin(greedy, "chat").id
            except openai.RateLimitError as error:
                return str(error.status_code)

        ids = list(pool.map(one, range(130)))
        assert ids.count("429") == 30
        with caller(served) as other:
            made = begin(other, "chat")
            held.held = False
            assert ended(other, made).status == "completed"
        running = [found for found in ids if found != "429"]
        statuses = list(pool.map(lambda found: ended(greedy, greedy.responses.retrieve(found)).status, running))
    assert statuses == ["completed"] * 100
    assert fairlead("verify", data=served.data).returncode == 0


def test_a_process_that_stops_finishes_what_it_can(tmp_path: Path) -> None:
    with Held() as upstream:
        upstream.held = True
        with serving(tmp_path, configuration(upstream.url)) as served, caller(served) as client:
            made = begin(client, "chat")
            eventually(lambda: upstream.arrived)
            threading.Timer(0.5, lambda: setattr(upstream, "held", False)).start()
            assert served.stop() == 0
        with serving(tmp_path, configuration(upstream.url)) as again, caller(again, served.key) as client:
            assert client.responses.retrieve(made.id).status == "completed"


def test_one_whose_process_was_killed_fails_and_is_charged_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Held() as upstream:
        upstream.held = True
        with serving(tmp_path, configuration(upstream.url)) as served, caller(served) as client:
            made = begin(client, "chat")
            eventually(lambda: upstream.arrived)
            os.kill(served.process.pid, signal.SIGKILL)
            served.process.wait(60)
        upstream.held = False
        _hear_of_nothing_for_a_minute(served)
        with serving(tmp_path, configuration(upstream.url)) as again, caller(again, served.key) as client:
            found = client.responses.retrieve(made.id)
            assert found.status == "failed"
            assert found.error is not None
            assert found.error.message == "The server stopped before this response was complete."
            assert fairlead("verify", data=again.data).returncode == 0


def _hear_of_nothing_for_a_minute(served: Served) -> None:
    with closing(sqlite3.connect(served.data / "fairlead.db")) as database, database:
        changed = database.execute(
            "UPDATE responses SET heard_at = ? WHERE heard_at > 0", (int(time.time() * 1000) - 61_000,)
        )
        assert changed.rowcount == 1


def test_another_worker_reads_and_cancels_it(tmp_path: Path) -> None:
    with Held() as upstream:
        upstream.held = True
        with serving(tmp_path, configuration(upstream.url), workers=2) as served:
            with caller(served) as client:
                made = begin(client, "chat")
            eventually(lambda: upstream.arrived)
            for _ in range(8):  # new connections, at whichever worker
                with caller(served) as client:
                    assert client.responses.retrieve(made.id).status == "in_progress"
            with caller(served) as client:
                assert client.responses.cancel(made.id).status == "cancelled"
            eventually(lambda: upstream.cancelled)


def test_nothing_runs_where_nothing_is_stored(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream:
        config = configuration(upstream.url).replace("store = true", "store = false")
        with (
            serving(tmp_path, config) as served,
            caller(served) as client,
            pytest.raises(openai.BadRequestError, match="stores no responses"),
        ):
            client.responses.create(model="chat", input="x", background=True)
