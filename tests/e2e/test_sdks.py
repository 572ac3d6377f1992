"""The vendors' own SDKs, one table of cases for each: every case at every API of providers, sync and async, streamed and whole.

What needs more than a scripted model (background responses, thinking, disconnects) has tests of its own beside these.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import openai
import pytest
from google import genai
from google.genai import types as google
from pydantic import BaseModel

from fairlead.site.model.code import endpoints
from fairlead.testing import Reply

from .conftest import AT_ONCE, Served, provider, serving
from .responder import HELLO, Responder

DIALECTS = ("openai", "anthropic", "gemini", "openai-responses")
WEATHER = "What is the weather in 'Oslo'?"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
PDF = b"%PDF-1.4 and not much more"
MODES = {
    "ranks": "rerank",
    "embeds": "embedding",
    "draws": "image",
    "says": "speech",
    "hears": "transcription",
    "judges": "moderation",
}


class City(BaseModel):
    city: str


SCHEMA: Any = {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False,
}  # fmt: skip
CHAT_TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}
TOOL: Any = {"type": "function", "name": "look", "parameters": SCHEMA, "strict": False}
DATA_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
PDF_URL = f"data:application/pdf;base64,{base64.b64encode(PDF).decode()}"


class Scene(NamedTuple):
    upstream: Responder
    served: Served
    openai: openai.OpenAI
    anthropic: anthropic.Anthropic
    google: genai.Client

    @property
    def given(self) -> dict[str, Any]:
        return {"base_url": self.served.url + "/v1", "api_key": self.served.key, "max_retries": 0}

    def new_google(self) -> genai.Client:
        return genai.Client(api_key=self.served.key, http_options=google.HttpOptions(base_url=self.served.url))


Case = Callable[[Scene, str], Any]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Responder() as upstream:
        upstream.paths += ["/images/generations", "/audio/speech", "/audio/transcriptions"]
        config = AT_ONCE + "[responses]\nstore = true\n"
        models = {dialect: ("chat", dialect) for dialect in DIALECTS} | {
            name: (mode, "openai") for name, mode in MODES.items()
        }
        for dialect in DIALECTS:
            config += provider(upstream.url, name=dialect, dialect=dialect)
        for name, (mode, dialect) in models.items():
            config += (
                f'[[models]]\nid = "{name}"\nmode = "{mode}"\ninput_modalities = ["text", "image", "file", "audio"]\n'
                f'[[models.deployments]]\nprovider = "{dialect}"\nupstream_model = "up"\n'
                'price = { input = "1", output = "2", request = "0.01" }\n'
            )
        with serving(tmp_path_factory.mktemp("sdks"), config) as served:
            given: Any = {"api_key": served.key, "max_retries": 0}
            with (
                openai.OpenAI(base_url=served.url + "/v1", **given) as one,
                anthropic.Anthropic(base_url=served.url, **given) as two,
                genai.Client(api_key=served.key, http_options=google.HttpOptions(base_url=served.url)) as three,
            ):
                yield Scene(upstream, served, one, two, three)


# Chat completions.


def chat_text(it: Scene, model: str) -> None:
    found = it.openai.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}])
    assert found.choices[0].message.content == HELLO
    assert found.usage is not None
    assert found.usage.total_tokens > 0


async def chat_async_stream(it: Scene, model: str) -> None:
    asked: Any = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    async with openai.AsyncOpenAI(**it.given) as client, client.chat.completions.stream(**asked) as stream:
        kinds = {event.type async for event in stream}
        found = await stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert found.choices[0].message.content == HELLO


def chat_parse(it: Scene, model: str) -> None:
    asked: Any = [{"role": "user", "content": WEATHER}]
    found = it.openai.chat.completions.parse(model=model, messages=asked, response_format=City)
    assert found.choices[0].message.parsed == City(city="Oslo")


def chat_tools_with_an_image(it: Scene, model: str) -> None:
    messages: Any = [{"role": "user", "content": WEATHER}]
    first = it.openai.chat.completions.create(model=model, messages=messages, tools=[CHAT_TOOL])
    said = first.choices[0].message
    assert said.tool_calls is not None
    content: Any = [{"type": "text", "text": "wet"}, {"type": "image_url", "image_url": {"url": DATA_URL}}]
    messages += [
        said.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": content},
    ]  # fmt: skip
    second = it.openai.chat.completions.create(model=model, messages=messages, tools=[CHAT_TOOL])
    if second.choices[0].message.content is not None:  # where the image follows in a turn of the user's, it looks again
        assert "wet" in second.choices[0].message.content
    assert base64.b64encode(PNG) in it.upstream.requests[-1].body


# Responses.


def responses_parse(it: Scene, model: str) -> None:
    found = it.openai.responses.parse(model=model, input=WEATHER, text_format=City)
    assert found.output_parsed == City(city="Oslo")


def responses_stream(it: Scene, model: str) -> None:
    with it.openai.responses.stream(model=model, input="Hi", instructions="Be brief.") as stream:
        kinds = [event.type for event in stream]
        found = stream.get_final_response()
    assert found.output_text == HELLO
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


async def responses_async_tools(it: Scene, model: str) -> None:
    async with openai.AsyncOpenAI(**it.given) as client:
        async with client.responses.stream(model=model, input=WEATHER, tools=[TOOL]) as stream:
            found = await stream.get_final_response()
        call: Any = found.output[-1]  # behind a reasoning item, where there is a signature
        assert (call.type, json.loads(call.arguments)) == ("function_call", {"city": "Oslo"})
        items: Any = [
            {"role": "user", "content": WEATHER},
            *(one.model_dump(exclude_none=True) for one in found.output),
        ]
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": "wet"})
        again = await client.responses.create(model=model, input=items, tools=[TOOL])
    assert again.output_text.startswith("The tool says: ")
    assert "wet" in again.output_text


def responses_stored(it: Scene, model: str) -> None:
    made = it.openai.responses.create(model=model, input="Hi", store=True)
    assert it.openai.responses.retrieve(made.id).output_text == HELLO
    more = it.openai.responses.create(model=model, input="And?", previous_response_id=made.id)
    assert more.previous_response_id == made.id
    assert b"Hello, how" in it.upstream.requests[-1].body, "what was said before"
    it.openai.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        it.openai.responses.retrieve(made.id)


def responses_files(it: Scene, model: str) -> None:
    content: Any = [
        {"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": DATA_URL, "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": PDF_URL},
    ]  # fmt: skip
    assert it.openai.responses.create(model=model, input=[{"role": "user", "content": content}]).output_text == HELLO
    for data in (PNG, PDF):
        assert base64.b64encode(data) in it.upstream.requests[-1].body


# Messages.


def messages_text(it: Scene, model: str) -> None:
    found = it.anthropic.messages.create(model=model, max_tokens=99, messages=[{"role": "user", "content": "Hi"}])
    assert found.content[0].type == "text"
    assert (found.content[0].text, found.stop_reason) == (HELLO, "end_turn")
    assert found.usage.output_tokens > 0


async def messages_async_stream(it: Scene, model: str) -> None:
    asked: Any = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]}
    given = {**it.given, "base_url": it.served.url}
    async with anthropic.AsyncAnthropic(**given) as client, client.messages.stream(**asked) as stream:
        assert "".join([text async for text in stream.text_stream]) == HELLO
        found = await stream.get_final_message()
    assert found.stop_reason == "end_turn"


def messages_parse(it: Scene, model: str) -> None:
    asked: Any = [{"role": "user", "content": WEATHER}]
    found = it.anthropic.messages.parse(model=model, max_tokens=99, messages=asked, output_format=City)
    assert found.parsed_output == City(city="Oslo")


def messages_tool_runner(it: Scene, model: str) -> None:
    @anthropic.beta_tool
    def look(city: str) -> str:
        """Looks out of the window.

        Args:
            city: Where.
        """
        return f"{city} is wet."

    runner = it.anthropic.beta.messages.tool_runner(
        model=model, max_tokens=99, tools=[look], messages=[{"role": "user", "content": WEATHER}]
    )
    last: Any = runner.until_done()
    assert "Oslo is wet." in last.content[0].text


def messages_count(it: Scene, model: str) -> None:
    found = it.anthropic.messages.count_tokens(model=model, messages=[{"role": "user", "content": "Hi"}])
    assert found.input_tokens > 0


def messages_files(it: Scene, model: str) -> None:
    sources = [("image", "image/png", PNG), ("document", "application/pdf", PDF)]
    content: Any = [
        {"type": kind, "source": {"type": "base64", "media_type": mime, "data": base64.b64encode(data).decode()}}
        for kind, mime, data in sources
    ]  # fmt: skip
    found = it.anthropic.messages.create(
        model=model, max_tokens=99, messages=[{"role": "user", "content": [*content, {"type": "text", "text": "Hm?"}]}]
    )
    assert found.content[0].type == "text"
    for data in (PNG, PDF):
        assert base64.b64encode(data) in it.upstream.requests[-1].body


# generateContent.


def gemini_text(it: Scene, model: str) -> None:
    config = google.GenerateContentConfig(system_instruction="Be brief.")
    found = it.google.models.generate_content(model=model, contents="Hi", config=config)
    assert found.text == HELLO
    assert found.usage_metadata is not None


async def gemini_async_stream(it: Scene, model: str) -> None:
    async with it.new_google().aio as client:
        stream = await client.models.generate_content_stream(model=model, contents="Hi")
        assert "".join([chunk.text or "" async for chunk in stream]) == HELLO
        assert (await client.models.count_tokens(model=model, contents="Hi")).total_tokens


def gemini_schema(it: Scene, model: str) -> None:
    config = google.GenerateContentConfig(response_mime_type="application/json", response_schema=City)
    assert it.google.models.generate_content(model=model, contents=WEATHER, config=config).parsed == City(city="Oslo")


def gemini_functions(it: Scene, model: str) -> None:
    def look(city: str) -> str:
        """Looks out of the window."""
        return f"{city} is wet."

    chat = it.google.chats.create(model=model, config=google.GenerateContentConfig(tools=[look]))
    found = chat.send_message(WEATHER)
    assert "Oslo is wet." in (found.text or "")


def gemini_files(it: Scene, model: str) -> None:
    parts: Any = [
        "What is this?", google.Part.from_bytes(data=PNG, mime_type="image/png"),
        google.Part.from_bytes(data=PDF, mime_type="application/pdf"),
    ]  # fmt: skip
    assert it.google.models.generate_content(model=model, contents=parts).text == HELLO
    body = it.upstream.requests[-1].body
    for data in (PNG, PDF):
        text = base64.b64encode(data)
        assert text in body or text.replace(b"+", b"-").replace(b"/", b"_") in body


# What only some APIs of providers have.


def chat_audio(it: Scene, model: str) -> None:
    sound: Any = {
        "type": "input_audio",
        "input_audio": {"data": base64.b64encode(b"RIFF...").decode(), "format": "wav"},
    }
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, sound]}]
    if model == "anthropic":
        with pytest.raises(openai.BadRequestError, match=r"capability \(audio\)"):
            it.openai.chat.completions.create(model=model, messages=messages)
        return
    found = it.openai.chat.completions.create(model=model, messages=messages)
    assert found.choices[0].message.content == HELLO
    assert base64.b64encode(b"RIFF...") in it.upstream.requests[-1].body


def what_is_left_out_is_named(it: Scene, model: str) -> None:
    """`seed` and `top_k`: with the answer, or instead of it where the caller is strict."""
    strict = {"fairlead": {"strict": True}}
    hello: Any = [{"role": "user", "content": "Hi"}]
    if model not in ("openai", "gemini"):
        chat = it.openai.chat.completions.with_raw_response.create
        assert chat(model=model, messages=hello, seed=3).headers["x-fairlead-dropped"] == "seed"
        with pytest.raises(openai.BadRequestError, match="seed"):
            chat(model=model, messages=hello, seed=3, extra_body=strict)
    if model not in ("anthropic", "gemini"):
        asked: Any = {"model": model, "max_tokens": 99, "messages": hello}
        messages = it.anthropic.messages.with_raw_response.create
        shown = messages(**asked, extra_body={"top_k": 5, "fairlead": {"parameters": True}}).headers
        assert shown["x-fairlead-dropped"] == "top_k"
        assert "dropped=top_k" in shown["x-fairlead-parameters"]
        with pytest.raises(anthropic.BadRequestError, match="top_k"):
            messages(**asked, extra_body={"top_k": 5, **strict})
        config = google.GenerateContentConfig(top_k=5)
        answer: Any = it.google.models.generate_content(model=model, contents="Hi", config=config)
        assert "topK" in answer.sdk_http_response.headers["x-fairlead-dropped"]


CASES: tuple[Case, ...] = (
    chat_text, chat_async_stream, chat_parse, chat_tools_with_an_image, responses_parse, responses_stream,
    responses_async_tools, responses_stored, responses_files, messages_text, messages_async_stream, messages_parse,
    messages_tool_runner, messages_count, messages_files, gemini_text, gemini_async_stream, gemini_schema,
    gemini_functions, gemini_files, chat_audio, what_is_left_out_is_named,
)  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_every_case_works_with_every_api_of_providers(scene: Scene, case: Case, dialect: str) -> None:
    made = case(scene, dialect)
    if asyncio.iscoroutine(made):
        asyncio.run(made)


# Embeddings, images and sound, which only OpenAI's API has here.


def embeddings(it: Scene, model: str) -> None:
    del model
    for form in ("float", "base64"):
        found = it.openai.embeddings.create(model="embeds", input=["a", "b"], dimensions=4, encoding_format=form)  # type: ignore[arg-type]
        assert [one.index for one in found.data] == [0, 1]
        assert it.upstream.requests[-1].json["dimensions"] == 4
        if form == "float":
            assert all(isinstance(number, float) for number in found.data[0].embedding)
    assert all(
        isinstance(number, float) for number in it.openai.embeddings.create(model="embeds", input="a").data[0].embedding
    )


def images(it: Scene, model: str) -> None:
    del model
    it.upstream.enqueue(Reply(body=json.dumps({"created": 1, "data": [{"b64_json": base64.b64encode(PNG).decode()}]})))
    found = it.openai.images.generate(model="draws", prompt="A boat", size="1024x1024")
    assert found.data is not None
    assert base64.b64decode(found.data[0].b64_json or "") == PNG


async def speech(it: Scene, model: str) -> None:
    del model
    it.upstream.enqueue(Reply(body=b"ID3 sound", headers={"content-type": "audio/mpeg"}))
    async with openai.AsyncOpenAI(**it.given) as client:
        ask = client.audio.speech.with_streaming_response.create
        async with ask(model="says", input="Hi", voice="alloy") as answer:
            assert await answer.read() == b"ID3 sound"


def transcription(it: Scene, model: str) -> None:
    del model
    it.upstream.enqueue(Reply(body=json.dumps({"text": "Hello.", "usage": {"type": "duration", "seconds": 1}})))
    found = it.openai.audio.transcriptions.create(model="hears", file=("a.wav", b"RIFF\0\0\0\0WAVE"))
    assert found.text == "Hello."


def moderation(it: Scene, model: str) -> None:
    del model
    assert it.openai.moderations.create(model="judges", input="Hello").results


@pytest.mark.parametrize(
    "case", [embeddings, images, speech, transcription, moderation], ids=lambda case: case.__name__
)
def test_other_operations_work(scene: Scene, case: Case) -> None:
    made = case(scene, "")
    if asyncio.iscoroutine(made):
        asyncio.run(made)


# The code that the page of a model shows.
ANSWERS = {
    "draws": Reply(body=json.dumps({"created": 1, "data": [{"b64_json": "aGk="}]})),
    "says": Reply(body=b"ID3 sound", headers={"content-type": "audio/mpeg"}),
    "hears": Reply(body=json.dumps({"text": HELLO, "usage": {"type": "duration", "seconds": 1}})),
}


@pytest.mark.parametrize("model", ["openai", *MODES])
def test_the_code_of_a_models_page_runs_as_it_is_copied(
    scene: Scene, model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAIRLEAD_API_KEY", scene.served.key)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.mp3").write_bytes(b"ID3 sound")
    for endpoint in endpoints(f"{scene.served.url}/v1", model, MODES.get(model, "chat")):
        for one in endpoint.snippets if endpoint.path else ():
            if one.title == "TypeScript":
                continue
            if model in ANSWERS:
                scene.upstream.enqueue(ANSWERS[model])
            before = len(scene.upstream.requests)
            if one.title == "Python":
                exec(compile(one.text, endpoint.title, "exec"), {})
                if model in ("openai", "hears"):
                    assert capsys.readouterr().out.strip() == HELLO, endpoint.title
            else:
                done = subprocess.run(["bash", "-c", one.text], capture_output=True, text=True, timeout=60)
                assert done.returncode == 0, done.stderr
                assert '"error":{' not in done.stdout, done.stdout
            assert len(scene.upstream.requests) == before + 1, one.text
