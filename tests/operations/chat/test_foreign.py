"""Chat whose caller speaks another API than chat completions: everything that helps a chat helps it too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.compose.test_serving import Answer, run, running
from tests.house.shout import SHOUT

from fairlead.doors.table import DOORS
from fairlead.testing import Fault, Reply, ScriptedUpstream


@pytest.fixture(autouse=True)
def _door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DOORS, SHOUT.name, SHOUT)  # type: ignore[arg-type]


@pytest.fixture
def providers() -> Iterator[tuple[ScriptedUpstream, ScriptedUpstream]]:
    with ScriptedUpstream() as one, ScriptedUpstream() as other:
        yield one, other


def configuration(*providers: ScriptedUpstream, more: str = "") -> str:
    text = 'strategy = "priority"\n'
    for at, one in enumerate(providers):
        text += f'[[providers]]\nid = "p{at}"\ndialect = "vllm"\nbase_url = "{one.url}"\n'
    text += '[[models]]\nid = "m"\n'
    for at in range(len(providers)):
        text += f'[[models.deployments]]\nprovider = "p{at}"\nupstream_model = "x{at}"\npriority = {at}\n{more}'
        text += 'price = { input = "1", output = "1" }\n'
    return text


def shouted(tmp_path: Path, text: str, **body: Any) -> Answer:
    """The answer to one call at the door, by a whole gateway."""
    found: list[Answer] = []

    async def test() -> None:
        async with running(tmp_path, text) as it:
            found.append(await it.caller().post("/shout/v1/m", json.dumps(body).encode(), f"X-Shout-Key: {it.key}"))

    run(test)
    return found[0]


@pytest.mark.parametrize("live", [False, True])
def test_choices_are_emulated(tmp_path: Path, providers: Any, live: bool) -> None:
    text = configuration(providers[0], more='lacks = ["n"]\n')
    answer = shouted(tmp_path, text, say="hi", live=live, more={"n": 2})
    assert answer.status == 200, answer.body
    assert answer.headers["x-fairlead-emulated"] == "n"
    assert answer.body.count(b"THIS IS A SCRIPTED ANSWER.") == 2
    assert len(providers[0].requests) == 2


def test_a_provider_that_ignores_stream(tmp_path: Path, providers: Any) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "All at once."}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}
    whole = json.dumps({"id": "c", "created": 1, "model": "x0", "choices": [choice], "usage": usage})
    providers[0].default = Reply(body=whole, headers={"content-type": "application/json"})
    answer = shouted(tmp_path, configuration(providers[0]), say="hi", live=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.startswith(b"M SHOUTS: ALL AT ONCE. (STOP)\n3,")


def test_a_beginning_without_a_word_is_served_elsewhere(tmp_path: Path, providers: Any) -> None:
    providers[0].default = Reply(fault=Fault.RESET, after_chunks=1)
    providers[1].default = Reply(text="from the other")
    answer = shouted(tmp_path, configuration(*providers), say="hi", live=True)
    assert answer.body.startswith(b"M SHOUTS: FROM THE OTHER (STOP)\n")


def test_a_stream_that_is_cut_goes_on_elsewhere(tmp_path: Path, providers: Any) -> None:
    providers[0].default = Reply(text="one two three four", fault=Fault.RESET, after_chunks=3)
    providers[1].default = Reply(text="one two three four", continues=True)
    answer = shouted(tmp_path, configuration(*providers), say="hi", live=True)
    text, _, rest = answer.body.decode().partition("\n")
    assert text == "M SHOUTS: ONE TWO THREE FOUR (STOP)", "by one writer, which begins once"
    assert rest.startswith("5,"), "the beginning, counted, and what was written behind it"
    assert providers[1].requests[-1].json["messages"][-1]["role"] == "assistant"


def test_a_stop_sequence_across_the_seam(tmp_path: Path, providers: Any) -> None:
    providers[0].default = Reply(text="one two three four", fault=Fault.RESET, after_chunks=3)
    providers[1].default = Reply(text="one two three four", continues=True)
    answer = shouted(tmp_path, configuration(*providers), say="hi", live=True, more={"stop": "two three"})
    assert answer.body.decode().partition("\n")[0] == "M SHOUTS: ONE TWO  (STOP)"


def test_a_deployment_whose_provider_cannot_serve_this_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, providers: Any
) -> None:
    monkeypatch.setattr(SHOUT.door, "new_writer", None)
    answer = shouted(tmp_path, configuration(*providers), say="hi")
    assert answer.status == 400
    assert answer.body == b"INVALID_REQUEST! NO DEPLOYMENT OF 'M' OFFERS CHAT TO CALLERS OF THIS API."
    assert not providers[0].requests
