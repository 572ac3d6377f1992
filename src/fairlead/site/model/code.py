"""Calls that work as they stand, with a key in FAIRLEAD_API_KEY."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class Snippet:
    title: str
    text: str


def curl(api: str, model: str) -> str:
    body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": "Hello!"}]}).decode()
    body = body.replace("'", "'\\''")  # it stands between quotes of a shell
    return (
        f"curl {api}/chat/completions \\\n"
        '  -H "Authorization: Bearer $FAIRLEAD_API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{body}'"
    )


def snippets(api: str, model: str) -> tuple[Snippet, ...]:
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
