"""Calls that work as they stand, with a key in FAIRLEAD_API_KEY: by endpoint, and in each by language."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

KEY = "$FAIRLEAD_API_KEY"


@dataclass(frozen=True, slots=True)
class Snippet:
    title: str
    text: str

    @property
    def key(self) -> str:
        """What a browser remembers the language by."""
        return self.title.lower()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`path`: behind this server's address; of the settings of clients "": each has its own."""

    title: str
    path: str
    snippets: tuple[Snippet, ...]


class Example(NamedTuple):
    """A call of a model that is for something else than chat. `members`: of its request, beside the model; `python` and
    `script`: how OpenAI's SDKs make it, with `{model}`; `imports`: what the script needs of Node; `file`: where curl
    puts an answer that is no JSON."""

    title: str
    path: str
    members: Mapping[str, Any]
    python: str = ""
    script: str = ""
    imports: str = ""
    file: str = ""


EXAMPLES: Mapping[str, Example] = {
    "embedding": Example(
        "Embeddings", "/embeddings", {"input": "Hello!"},
        'answer = client.embeddings.create(model={model}, input="Hello!")\nprint(answer.data[0].embedding)',
        'const answer = await client.embeddings.create({ model: {model}, input: "Hello!" });\n'
        "console.log(answer.data[0].embedding);",
    ),
    "rerank": Example(
        "Rerank", "/rerank", {"query": "Which one greets?", "documents": ["Hello!", "A harbour."]},
        """answer = client.post("/rerank", cast_to=object, body={
    "model": {model},
    "query": "Which one greets?",
    "documents": ["Hello!", "A harbour."],
})
print(answer["results"])""",
        """const answer: any = await client.post("/rerank", {
  body: {
    model: {model},
    query: "Which one greets?",
    documents: ["Hello!", "A harbour."],
  },
});
console.log(answer.results);""",
    ),
    "moderation": Example(
        "Moderations", "/moderations", {"input": "Hello!"},
        'answer = client.moderations.create(model={model}, input="Hello!")\nprint(answer.results[0].flagged)',
        'const answer = await client.moderations.create({ model: {model}, input: "Hello!" });\n'
        "console.log(answer.results[0].flagged);",
    ),
    "image": Example(
        "Images", "/images/generations", {"prompt": "A harbour in the morning"},
        'answer = client.images.generate(model={model}, prompt="A harbour in the morning")\nprint(answer.data[0])',
        'const answer = await client.images.generate({ model: {model}, prompt: "A harbour in the morning" });\n'
        "console.log(answer.data?.[0]);",
    ),
    "speech": Example(
        "Speech", "/audio/speech", {"input": "Hello!", "voice": "alloy"},
        'answer = client.audio.speech.create(model={model}, input="Hello!", voice="alloy")\n'
        'answer.write_to_file("hello.mp3")',
        """const answer = await client.audio.speech.create({
  model: {model},
  input: "Hello!",
  voice: "alloy",
});
await writeFile("hello.mp3", Buffer.from(await answer.arrayBuffer()));""",
        'import { writeFile } from "node:fs/promises";\n',
        "hello.mp3",
    ),
    "transcription": Example(
        "Transcriptions", "/audio/transcriptions", {},
        """with open("hello.mp3", "rb") as file:
    answer = client.audio.transcriptions.create(model={model}, file=file)
print(answer.text)""",
        """const answer = await client.audio.transcriptions.create({
  model: {model},
  file: createReadStream("hello.mp3"),
});
console.log(answer.text);""",
        'import { createReadStream } from "node:fs";\n',
    ),
}  # fmt: skip
CHAT = Example("Chat completions", "/chat/completions", {"messages": [{"role": "user", "content": "Hello!"}]})
MESSAGES = Example("Messages", "/messages", {"max_tokens": 1000, **CHAT.members})
RESPONSES = Example("Responses", "/responses", {"input": "Hello!"})


def path_of(mode: str) -> str:
    """Where models of this mode are called, behind the base URL."""
    return EXAMPLES.get(mode, CHAT).path


def curl(api: str, model: str, mode: str = "chat") -> str:
    if mode == "transcription":
        return (
            f"curl {api}{path_of(mode)} \\\n"
            f'  -H "Authorization: Bearer {KEY}" \\\n'
            f"  -F model={model} -F file=@hello.mp3"
        )
    return _curl(api, model, EXAMPLES.get(mode, CHAT))


def _curl(api: str, model: str, example: Example, key: str = f"Authorization: Bearer {KEY}") -> str:
    lines = ",\n".join(
        f"    {_json(name)}: {_json(value)}" for name, value in {"model": model, **example.members}.items()
    )
    body = f"{{\n{lines}\n  }}".replace("'", "'\\''")  # it stands between quotes of a shell
    return (
        f"curl {api}{example.path} \\\n"
        f'  -H "{key}" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{body}'" + (f" -o {example.file}" if example.file else "")
    )


def endpoints(api: str, model: str, mode: str = "chat") -> tuple[Endpoint, ...]:
    """Those that fit what the model is for; the first is the one that most clients have."""
    if mode == "chat":
        return _chats(api, model)
    example, name = EXAMPLES[mode], _json(model)
    shown = (
        Snippet("curl", curl(api, model, mode)),
        Snippet("Python", f"{_python(api)}\n{example.python.replace('{model}', name)}"),
        Snippet("TypeScript", f"{example.imports}{_script(api)}\n{example.script.replace('{model}', name)}"),
    )
    return (Endpoint(example.title, f"/v1{example.path}", shown),)


def clients(api: str, model: str) -> Endpoint:
    """The settings with which programs call the model: what their guides say, and `fairlead doctor` checks."""
    root, name = api.removesuffix("/v1"), _json(model)
    claude = f"""export ANTHROPIC_BASE_URL={root}
export ANTHROPIC_AUTH_TOKEN={KEY}
export ANTHROPIC_MODEL={shlex.quote(model)}
export ANTHROPIC_SMALL_FAST_MODEL={shlex.quote(model)}
claude"""
    codex = f"""# ~/.codex/config.toml
model = {name}
model_provider = "fairlead"
web_search = "disabled"

[model_providers.fairlead]
name = "Fairlead"
base_url = {_json(api)}
env_key = "FAIRLEAD_API_KEY"
wire_api = "responses"
supports_websockets = false"""
    gemini = f"""export GOOGLE_GEMINI_BASE_URL={root}
export GEMINI_API_KEY={KEY}
gemini -m {shlex.quote(model)}"""
    webui = f"""docker run -d -p 3000:8080 \\
  -e OPENAI_API_BASE_URL={api} \\
  -e OPENAI_API_KEY={KEY} \\
  -v open-webui:/app/backend/data \\
  ghcr.io/open-webui/open-webui:main"""
    cline = f"""API Provider: LiteLLM
Base URL: {root}
API Key: {KEY}
Model: {model}"""
    return Endpoint(
        "Clients",
        "",
        (
            Snippet("Claude Code", claude),
            Snippet("Codex", codex),
            Snippet("Gemini CLI", gemini),
            Snippet("Open WebUI", webui),
            Snippet("Cline", cline),
        ),
    )


def _json(value: object) -> str:
    """On one line, with the spaces that people write."""
    return json.dumps(value, ensure_ascii=False)


def _python(api: str) -> str:
    return f"""import os
from openai import OpenAI

client = OpenAI(base_url={_json(api)}, api_key=os.environ["FAIRLEAD_API_KEY"])"""


def _script(api: str) -> str:
    return f"""import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: {_json(api)},
  apiKey: process.env.FAIRLEAD_API_KEY,
}});"""


def _chats(api: str, model: str) -> tuple[Endpoint, ...]:
    name, root = _json(model), _json(api.removesuffix("/v1"))
    asked = '[{"role": "user", "content": "Hello!"}]'
    script_asked = '[{ role: "user", content: "Hello!" }]'
    anthropic_python = f"""import os
from anthropic import Anthropic

client = Anthropic(base_url={root}, api_key=os.environ["FAIRLEAD_API_KEY"])
message = client.messages.create(
    model={name},
    max_tokens=1000,
    messages={asked},
)
for block in message.content:
    if block.type == "text":
        print(block.text)"""
    anthropic_script = f"""import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({{
  baseURL: {root},
  apiKey: process.env.FAIRLEAD_API_KEY,
}});
const message = await client.messages.create({{
  model: {name},
  max_tokens: 1000,
  messages: {script_asked},
}});
for (const block of message.content) {{
  if (block.type === "text") console.log(block.text);
}}"""
    gemini_curl = f"""curl {api.removesuffix("/v1")}/v1beta/models/{quote(model, safe=":")}:generateContent \\
  -H "x-goog-api-key: {KEY}" \\
  -H "Content-Type: application/json" \\
  -d '{{
    "contents": [{{"parts": [{{"text": "Hello!"}}]}}]
  }}'"""
    gemini_python = f"""import os
from google import genai
from google.genai import types

client = genai.Client(
    api_key=os.environ["FAIRLEAD_API_KEY"],
    http_options=types.HttpOptions(base_url={root}),
)
answer = client.models.generate_content(
    model={name}, contents="Hello!",
)
print(answer.text)"""
    gemini_script = f"""import {{ GoogleGenAI }} from "@google/genai";

const client = new GoogleGenAI({{
  apiKey: process.env.FAIRLEAD_API_KEY,
  httpOptions: {{ baseUrl: {root} }},
}});
const answer = await client.models.generateContent({{
  model: {name},
  contents: "Hello!",
}});
console.log(answer.text);"""
    chat = (
        Snippet("curl", curl(api, model)),
        Snippet("Python", f"""{_python(api)}
answer = client.chat.completions.create(
    model={name},
    messages={asked},
)
print(answer.choices[0].message.content)"""),
        Snippet("TypeScript", f"""{_script(api)}
const answer = await client.chat.completions.create({{
  model: {name},
  messages: {script_asked},
}});
console.log(answer.choices[0].message.content);"""),
    )  # fmt: skip
    responses = (
        Snippet("curl", _curl(api, model, RESPONSES)),
        Snippet("Python", f"""{_python(api)}
answer = client.responses.create(
    model={name}, input="Hello!",
)
print(answer.output_text)"""),
        Snippet("TypeScript", f"""{_script(api)}
const answer = await client.responses.create({{
  model: {name},
  input: "Hello!",
}});
console.log(answer.output_text);"""),
    )  # fmt: skip
    return (
        Endpoint(CHAT.title, f"/v1{CHAT.path}", chat),
        Endpoint(RESPONSES.title, f"/v1{RESPONSES.path}", responses),
        Endpoint(
            MESSAGES.title,
            f"/v1{MESSAGES.path}",
            (
                Snippet("curl", _curl(api, model, MESSAGES, f"x-api-key: {KEY}")),
                Snippet("Python", anthropic_python),
                Snippet("TypeScript", anthropic_script),
            ),
        ),
        Endpoint(
            "Gemini",
            "/v1beta/models/…:generateContent",
            (
                Snippet("curl", gemini_curl),
                Snippet("Python", gemini_python),
                Snippet("TypeScript", gemini_script),
            ),
        ),
        clients(api, model),
    )
