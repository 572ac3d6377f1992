"""Calls that work as they stand, with a key in FAIRLEAD_API_KEY."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec


@dataclass(frozen=True, slots=True)
class Snippet:
    title: str
    text: str


class Example(NamedTuple):
    """A call of a model that is for something else than chat. `members`: of its request, beside the model; `python`:
    how OpenAI's SDK makes it, with `{model}`, "" where it cannot; `file`: where curl puts an answer that is no JSON."""

    path: str
    members: Mapping[str, Any]
    python: str = ""
    file: str = ""


EXAMPLES: Mapping[str, Example] = {
    "embedding": Example(
        "/embeddings", {"input": "Hello!"},
        'answer = client.embeddings.create(model={model}, input="Hello!")\nprint(answer.data[0].embedding)',
    ),
    "rerank": Example(
        "/rerank", {"query": "Which one greets?", "documents": ["Hello!", "A harbour."]},
    ),
    "moderation": Example(
        "/moderations", {"input": "Hello!"},
        'answer = client.moderations.create(model={model}, input="Hello!")\nprint(answer.results[0].flagged)',
    ),
    "image": Example(
        "/images/generations", {"prompt": "A harbour in the morning"},
        'answer = client.images.generate(model={model}, prompt="A harbour in the morning")\nprint(answer.data[0])',
    ),
    "speech": Example(
        "/audio/speech", {"input": "Hello!", "voice": "alloy"},
        'answer = client.audio.speech.create(model={model}, input="Hello!", voice="alloy")\n'
        'answer.write_to_file("hello.mp3")',
        "hello.mp3",
    ),
}  # fmt: skip
TRANSCRIPTIONS = "/audio/transcriptions"
CHAT = Example("/chat/completions", {"messages": [{"role": "user", "content": "Hello!"}]})


def path_of(mode: str) -> str:
    """Where models of this mode are called, behind the base URL."""
    return TRANSCRIPTIONS if mode == "transcription" else EXAMPLES.get(mode, CHAT).path


def curl(api: str, model: str, mode: str = "chat") -> str:
    if mode == "transcription":
        return (
            f"curl {api}{TRANSCRIPTIONS} \\\n"
            '  -H "Authorization: Bearer $FAIRLEAD_API_KEY" \\\n'
            f"  -F model={model} -F file=@hello.mp3"
        )
    example = EXAMPLES.get(mode, CHAT)
    body = msgspec.json.encode({"model": model, **example.members}).decode()
    body = body.replace("'", "'\\''")  # it stands between quotes of a shell
    return (
        f"curl {api}{example.path} \\\n"
        '  -H "Authorization: Bearer $FAIRLEAD_API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{body}'" + (f" -o {example.file}" if example.file else "")
    )


def snippets(api: str, model: str, mode: str = "chat") -> tuple[Snippet, ...]:
    """Those that fit what the model is for."""
    if mode == "chat":
        return _chats(api, model)
    shown = [Snippet("curl", curl(api, model, mode))]
    example = EXAMPLES.get(mode)
    if example is not None and example.python:
        call = example.python.replace("{model}", msgspec.json.encode(model).decode())
        shown.append(Snippet("Python", f"{_CLIENT.format(base=msgspec.json.encode(api).decode())}\n{call}"))
    return tuple(shown)


_CLIENT = """import os
from openai import OpenAI

client = OpenAI(base_url={base}, api_key=os.environ["FAIRLEAD_API_KEY"])"""


def _chats(api: str, model: str) -> tuple[Snippet, ...]:
    name, base, root = (msgspec.json.encode(text).decode() for text in (model, api, api.removesuffix("/v1")))
    python = f"""import os
from openai import OpenAI

client = OpenAI(base_url={base}, api_key=os.environ["FAIRLEAD_API_KEY"])
answer = client.chat.completions.create(
    model={name},
    messages=[{{"role": "user", "content": "Hello!"}}],
)
print(answer.choices[0].message.content)"""
    script = f"""import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: {base},
  apiKey: process.env.FAIRLEAD_API_KEY,
}});
const answer = await client.chat.completions.create({{
  model: {name},
  messages: [{{ role: "user", content: "Hello!" }}],
}});
console.log(answer.choices[0].message.content);"""
    anthropic = f"""import os
from anthropic import Anthropic

client = Anthropic(base_url={root}, api_key=os.environ["FAIRLEAD_API_KEY"])
message = client.messages.create(
    model={name},
    max_tokens=1000,
    messages=[{{"role": "user", "content": "Hello!"}}],
)
print(message.content[0].text)"""
    return (
        Snippet("curl", curl(api, model)),
        Snippet("Python", python),
        Snippet("TypeScript", script),
        Snippet("Anthropic", anthropic),
    )
