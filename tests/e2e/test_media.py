"""A newcomer's provider, of which nothing but its address is known, serves whatever an OpenAI SDK sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from fairlead.testing import Reply, ScriptedUpstream, ToolCall

from .conftest import AT_ONCE, Served, eventually, provider, serving

MODELS = """
[[models]]
id = "{name}"
{facts}
[[models.deployments]]
provider = "{provider}"
upstream_model = "theirs"
price = "free"
"""
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}}
REMOTE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png?b=1&c=2"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}
BY_ID = {"type": "file", "file": {"file_id": "file-1"}}
VIDEO = {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}
TEXT = {"type": "text", "text": "What is this?"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = f'{AT_ONCE}\n[[providers]]\nid = "newcomer"\nbase_url = "{upstream.url}"\n'
    config += provider(upstream.url, name="own", dialect="llamacpp")
    for name, by, facts in (
        ("anything", "newcomer", ""),
        ("texts-only", "newcomer", 'input_modalities = ["text"]'),
        ("local", "own", ""),
    ):
        config += MODELS.format(name=name, provider=by, facts=facts)
    priced = MODELS.format(name="priced", provider="newcomer", facts="")
    config += priced.replace('"free"', '{ input = "1", image = "2", audio_input = "4", output = "8" }')
    with serving(tmp_path_factory.mktemp("media"), config) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as sdk:
        yield sdk


def test_images_audio_files_and_video_arrive_as_they_were_sent(
    client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages: list[Any] = [
        {"role": "user", "content": [TEXT, IMAGE, REMOTE, AUDIO, PDF, BY_ID, VIDEO]},
        {"role": "assistant", "content": [TEXT, IMAGE], "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": [TEXT, REMOTE]},
        {"role": "user", "content": [IMAGE]},
    ]
    upstream.enqueue(Reply(text="A cat."))
    answer = client.chat.completions.create(model="anything", messages=messages)
    assert answer.choices[0].message.content == "A cat."
    assert upstream.requests[-1].json["messages"] == messages


def test_tools_and_streams_of_it(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    tools: Any = [TOOL]
    messages: Any = [{"role": "user", "content": [TEXT, IMAGE]}]
    upstream.enqueue(Reply(text="", tool_calls=(ToolCall("look", '{"at":"it"}'),)), Reply(text="one two three"))
    asked = client.chat.completions.create(model="anything", messages=messages, tools=tools)
    assert asked.choices[0].message.tool_calls
    assert upstream.requests[-1].json["tools"] == tools
    with client.chat.completions.create(model="anything", messages=messages, stream=True) as stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == "one two three"
    assert upstream.requests[-1].json["messages"] == messages


def test_a_stream_that_nobody_reads_is_cancelled_there(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    before = upstream.cancelled
    upstream.enqueue(Reply(text="word " * 2000, chunk_delay_seconds=0.05))
    messages: Any = [{"role": "user", "content": [TEXT, IMAGE]}]
    with client.chat.completions.create(model="anything", messages=messages, stream=True) as stream:
        next(iter(stream))
    eventually(lambda: upstream.cancelled > before)


@pytest.mark.parametrize(
    ("model", "part", "code", "words"),
    [
        ("texts-only", IMAGE, "unsupported_content", "takes no image"),
        ("texts-only", AUDIO, "unsupported_content", "takes no audio"),
        ("texts-only", PDF, "unsupported_content", "takes no file"),
        ("texts-only", VIDEO, "unsupported_content", "takes no video"),
        ("local", REMOTE, "no_candidate", "media_urls"),
        ("local", PDF, "no_candidate", "files"),
    ],
)
def test_what_cannot_be_carried_is_named(
    client: openai.OpenAI, upstream: ScriptedUpstream, model: str, part: dict[str, Any], code: str, words: str
) -> None:
    before = len(upstream.requests)
    messages: Any = [{"role": "user", "content": [TEXT, part]}]
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=model, messages=messages)
    assert (caught.value.status_code, caught.value.code) == (400, code)
    assert words in json.dumps(caught.value.body)
    assert len(upstream.requests) == before


def test_tokens_of_images_and_audio_are_charged_in_their_classes(
    client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    usage = {
        "prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010,
        "prompt_tokens_details": {"image_tokens": 500, "audio_tokens": 300},
    }  # fmt: skip
    upstream.enqueue(Reply(text="A cat.", usage=usage))
    messages: Any = [{"role": "user", "content": [TEXT, IMAGE, AUDIO]}]
    answer = client.chat.completions.create(model="priced", messages=messages)
    assert answer.usage is not None
    # 200 tokens of text at 1, 500 of image at 2, 300 of audio at 4 and 10 of answer at 8 dollars per million.
    assert answer.usage.cost == pytest.approx((200 + 1000 + 1200 + 80) / 1e6)  # type: ignore[attr-defined]


def test_an_operator_may_let_addresses_be_fetched_for_who_fetches_nothing(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    config = AT_ONCE.replace("[routing]", "[routing]\nfetch_media = true") + provider(upstream.url, dialect="llamacpp")
    config += MODELS.format(name="local", provider="mock", facts="")
    remote = {"type": "image_url", "image_url": {"url": "https://nothing.example.invalid/a.png"}}
    messages: Any = [{"role": "user", "content": [TEXT, remote]}]
    with (
        serving(tmp_path, config) as served,
        openai.OpenAI(base_url=served.url + "/v1", api_key=served.key, max_retries=0) as client,
        pytest.raises(openai.BadRequestError) as caught,
    ):
        client.chat.completions.create(model="local", messages=messages)
    assert "cannot be fetched" in str(caught.value)
    assert caught.value.param == "messages[0].content[1].image_url.url"
