"""The real engine on a free port: xllamacpp's HTTP server for one GGUF file, and a small client for it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xllamacpp


@dataclass(frozen=True)
class Reply:
    content: str
    tool_calls: list[tuple[str, dict[str, Any]]]
    finish_reason: str
    completion_tokens: int
    prompt_tokens: int


@dataclass
class Engine:
    """`chat` sends OpenAI chat requests; sampling is the catalogue's (temperature 0.3, nothing else)."""

    model: Path
    mmproj: Path | None = None
    context: int = 0
    _server: Any = field(init=False, default=None)
    url: str = field(init=False, default="")

    def __enter__(self) -> Engine:
        params = xllamacpp.CommonParams()
        params.model.path = str(self.model)
        if self.mmproj is not None:
            params.mmproj.path = str(self.mmproj)
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.n_parallel = 1
        params.n_ctx = self.context
        params.cpuparams.n_threads = 1
        params.cpuparams_batch.n_threads = 1
        params.use_jinja = True
        params.ui = False
        params.verbosity = 0
        self._server = xllamacpp.Server(params)
        self.url = self._server.listening_address
        return self

    def __exit__(self, *_: object) -> None:
        self._server = None  # the server stops when it is collected

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{error.code}: {error.read().decode()[:500]}") from error
        assert isinstance(answer, dict)
        return answer

    def chat(self, messages: str | list[dict[str, Any]], *, seed: int = 1, **options: Any) -> Reply:
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        body = {
            "messages": messages,
            "temperature": 0.3,
            "top_k": 0,
            "top_p": 1.0,
            "min_p": 0.0,
            "seed": seed,
            "max_tokens": 400,
        } | options
        answer = self.post("/v1/chat/completions", body)
        choice = answer["choices"][0]
        message = choice["message"]
        calls = []
        for call in message.get("tool_calls") or []:
            try:
                arguments = json.loads(call["function"]["arguments"])
            except json.JSONDecodeError:
                arguments = {"": call["function"]["arguments"]}
            calls.append((call["function"]["name"], arguments))
        usage = answer["usage"]
        return Reply(
            message.get("content") or "",
            calls,
            choice["finish_reason"],
            usage["completion_tokens"],
            usage["prompt_tokens"],
        )
