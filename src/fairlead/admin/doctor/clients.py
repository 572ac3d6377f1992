"""The clients that are imitated, and what is checked of each. What they need was seen by running them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from fairlead.admin.doctor.apis import TOOL, Api, Chat, Gemini, Messages, Responses, Turn
from fairlead.admin.doctor.server import Answer, Server, Unreachable

Verdict = Literal["works", "note", "breaks"]
# Claude Code waits so long for the list of models.
LIST_SECONDS: Final = 3.0
CLAUDE_BETA: Final = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "mid-conversation-system-2026-04-07,effort-2025-11-24"
)
_TOOL_CHOICE: Final = (
    "choose another model (--model), or give the engine its tool parser (vLLM: --enable-auto-tool-choice and "
    "--tool-call-parser; llama.cpp: --jinja)"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was checked, whether it works for the client, what was seen, and the setting that fixes it."""

    client: str
    check: str
    verdict: Verdict
    seen: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """`headers`: how it sends its key, and what else it always sends. `lists`: where it asks for models, "": it does
    not; `listed`: the member that must hold a list; `shows`: what of the list it shows. `counts`: where it has tokens
    counted. `is_agent`: without tools it is of no use. `setup`: what makes it call the server, with a place for its
    address. `first`, `last`: checks of its own."""

    name: str
    api: Api
    headers: Callable[[str], dict[str, str]]
    setup: str
    lists: str = ""
    listed: str = "data"
    shows: Callable[[list[Any]], str] = lambda listed: f"{len(listed)} listed"
    counts: str = ""
    is_agent: bool = False
    first: tuple[Callable[[Client, Server], Finding], ...] = field(default=())
    last: tuple[Callable[[Client, Server, str], Finding], ...] = field(default=())


def warned(server: Server) -> Iterator[Finding]:
    """What the server itself says is wrong with it, such as a Valkey that is away. Raises Unreachable."""
    state = server.ask("GET", "/readyz").json
    found = state.get("warnings") if isinstance(state, dict) else None
    for warning in found if isinstance(found, list) else []:
        yield Finding("server", "health", "note", str(warning))


def diagnosed(client: Client, server: Server, model: str) -> Iterator[Finding]:
    """The findings of one client, as they are made. Raises Unreachable when nothing answers at all."""
    for check in client.first:
        yield check(client, server)
    if client.lists:
        yield _list(client, server)
    try:
        yield from _talk(client, server, model)
        if client.counts:
            yield _count(client, server, model)
        for probe in client.last:
            yield probe(client, server, model)
    except Unreachable as error:
        yield Finding(client.name, "connection", "breaks", str(error), "look in the server's log")


def _list(client: Client, server: Server) -> Finding:
    began = time.monotonic()
    answer = server.ask("GET", client.lists, client.headers(server.key))
    seconds = time.monotonic() - began
    listed = answer.json.get(client.listed) if isinstance(answer.json, dict) else None
    if answer.status != 200 or not isinstance(listed, list):
        return _refused(client, "models", answer)
    if seconds > LIST_SECONDS:
        return Finding(
            client.name, "models", "breaks", f"listed after {seconds:.1f} s; the client waits {LIST_SECONDS:g} s",
            "name the model in the client's settings",
        )  # fmt: skip
    return Finding(client.name, "models", "works", client.shows(listed))


def _talk(client: Client, server: Server, model: str) -> Iterator[Finding]:
    """A stream, and in it the loop of a tool."""
    api, headers = client.api, client.headers(server.key)
    body = api.body(model, stream=True, tools=True)
    answer = server.ask("POST", api.path(model, stream=True), headers, body)
    if answer.status != 200:
        yield _refused(client, "streaming", answer)
        return
    said = _read(api, answer)
    yield _stream(client, said)
    if dropped := answer.headers.get("x-fairlead-dropped"):
        yield Finding(
            client.name, "parameters", "note", f"left out, because the provider does not support them: {dropped}",
            "nothing needs to change; a provider that speaks the client's API gets everything",
        )  # fmt: skip
    if not said.is_complete:
        return
    if not any(name == TOOL for _, name, _ in said.calls):
        seen = f"{model} did not call the tool"
        yield Finding(client.name, "tools", "breaks" if client.is_agent else "note", seen, _TOOL_CHOICE)
        return
    if not all(_is_object(arguments) for _, _, arguments in said.calls):
        yield Finding(client.name, "tools", "breaks", f"{model} called a tool with broken arguments", _TOOL_CHOICE)
        return
    again = server.ask("POST", api.path(model, stream=True), headers, api.continued(body, said))
    if again.status != 200:
        yield _refused(client, "tools", again)
        return
    last = _read(api, again)
    if last.is_complete and (last.text or last.calls):
        yield Finding(client.name, "tools", "works", f"{model} called {TOOL} and used its result")
    else:
        seen = last.error or f"{model} did not answer after the result"
        yield Finding(client.name, "tools", "breaks" if client.is_agent else "note", seen, _TOOL_CHOICE)


def _read(api: Api, answer: Answer) -> Turn:
    return api.said([(name, event) for name, event in answer.events if isinstance(event, dict)])


def _stream(client: Client, said: Turn) -> Finding:
    if said.error:
        return Finding(client.name, "streaming", "breaks", said.error, "fairlead explain ID shows what was tried")
    if not said.is_complete:
        return Finding(
            client.name, "streaming", "breaks", f"the stream lacks what the client waits for: {client.api.needs}",
            "look for a proxy in between that buffers or cuts streams (nginx: proxy_buffering off)",
        )  # fmt: skip
    if not said.counts:
        return Finding(
            client.name, "streaming", "note", "complete, without usage: the client shows a cost of 0",
            "the receipt has the tokens that Fairlead counted",
        )  # fmt: skip
    return Finding(client.name, "streaming", "works", "complete, with usage" + (" and cost" if said.cost else ""))


def _count(client: Client, server: Server, model: str) -> Finding:
    body = client.api.body(model, stream=False, tools=True)
    kept = {name: body[name] for name in ("model", "messages", "system", "tools", "contents") if name in body}
    if "contents" in kept:
        kept = {"contents": kept["contents"]}
    answer = server.ask("POST", client.counts.format(model=model), client.headers(server.key), kept)
    counted = answer.json if isinstance(answer.json, dict) else {}
    tokens = counted.get("input_tokens") or counted.get("totalTokens")
    if answer.status != 200 or not tokens:
        return _refused(client, "counting", answer)
    return Finding(client.name, "counting", "works", f"{tokens} tokens")


def _refused(client: Client, check: str, answer: Answer) -> Finding:
    """An error, with what fixes it."""
    fixes: Mapping[int, str] = {
        401: f"set a valid key: {client.setup}",
        402: "raise the key's budget or the account's credit (fairlead keys set, fairlead credit grant)",
        403: "allow the model for this key (fairlead keys set --model)",
        404: "name a model of this server (--model; GET /v1/models lists them)",
        405: "update the server: it has no such endpoint",
        429: "raise the key's limits (fairlead keys set --limit), or wait",
        502: "check the provider's settings; fairlead explain ID shows what was tried",
        503: "configure a provider, or wait for it: GET /readyz shows what is missing",
    }
    fix = fixes.get(answer.status, "choose another model (--model): this one cannot serve the client's requests")
    return Finding(client.name, check, "breaks", f"{answer.status}: {answer.message[:300]}", fix)


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments or "{}"), dict)
    except ValueError:
        return False


def _begins_without_key(client: Client, server: Server) -> Finding:
    answer = server.ask("HEAD", "/")
    if answer.status >= 500:
        return Finding(
            client.name, "start", "breaks", f"HEAD / is answered with {answer.status}", "look in the server's log"
        )
    return Finding(client.name, "start", "works", f"HEAD / is answered with {answer.status}")


def _refuses_websockets(client: Client, server: Server) -> Finding:
    headers = {
        **client.headers(server.key), "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
        "sec-websocket-key": "ZmFpcmxlYWQgZG9jdG9yIQ==",
    }  # fmt: skip
    answer = server.ask("GET", client.api.path("", stream=True), headers)
    if answer.status == 426:
        return Finding(
            client.name, "websocket", "works", "refused at once, so the client falls back to HTTP",
            "supports_websockets = false saves the attempt",
        )  # fmt: skip
    return Finding(
        client.name, "websocket", "note", f"an upgrade is answered with {answer.status}",
        "set supports_websockets = false in the client's settings",
    )  # fmt: skip


def _takes_newer_requests(client: Client, server: Server, model: str) -> Finding:
    """Codex sends models that it knows, such as gpt-5.6, their tools in another place."""
    assert isinstance(client.api, Responses)
    headers = {**client.headers(server.key), "x-openai-internal-codex-responses-lite": "true"}
    answer = server.ask("POST", client.api.path(model, stream=True), headers, client.api.newer_body(model))
    said = _read(client.api, answer) if answer.status == 200 else Turn(error=f"{answer.status}: {answer.message[:300]}")
    if said.is_complete and not said.error:
        return Finding(client.name, "newer models", "works", "tools in the input (additional_tools) are taken")
    return Finding(
        client.name, "newer models", "note",
        f"requests as for gpt-5.6 and newer fail: {said.error or 'the stream is not complete'}",
        "give the model a name that Codex does not know, or describe it in model_catalog_json",
    )  # fmt: skip


def _shown_by_claude_code(listed: list[Any]) -> str:
    names = [str(one.get("id", "")) for one in listed if isinstance(one, dict)]
    shown = sum(name.startswith(("claude", "anthropic")) for name in names)
    return f"{len(names)} listed; /model shows the {shown} that begin with claude or anthropic"


def _shown_by_codex(listed: list[Any]) -> str:
    del listed  # descriptions of its own kind, which it has for the models that it knows
    return "answered as Codex reads it; the model is named in its settings"


def _bearer(key: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", **{name.replace("_", "-"): value for name, value in more.items()}}


def _claude_code(key: str) -> dict[str, str]:
    return _bearer(
        key, anthropic_version="2023-06-01", anthropic_beta=CLAUDE_BETA, x_app="cli",
        x_claude_code_session_id="fairlead-doctor",
    )  # fmt: skip


_THINKING: Final[Mapping[str, Any]] = {
    "system": [{"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}}],
    "thinking": {"type": "adaptive"},
    "metadata": {"user_id": "fairlead-doctor"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "high"},
}
CLIENTS: Final[Mapping[str, Client]] = {
    client.name: client
    for client in (
        Client(
            "claude-code", Messages("?beta=true", ["Available agents: none."], **_THINKING), _claude_code,
            "ANTHROPIC_BASE_URL={url}, ANTHROPIC_AUTH_TOKEN, ANTHROPIC_MODEL",
            "/v1/models?limit=1000", shows=_shown_by_claude_code, counts="/v1/messages/count_tokens?beta=true",
            is_agent=True, first=(_begins_without_key,),
        ),
        Client(
            "codex", Responses(), lambda key: _bearer(key, originator="codex_exec", session_id="fairlead-doctor"),
            'base_url = "{url}/v1", env_key, wire_api = "responses", supports_websockets = false',
            "/v1/models?client_version=0.171.0", "models", _shown_by_codex, is_agent=True, first=(_refuses_websockets,),
            last=(_takes_newer_requests,),
        ),
        Client(
            "gemini", Gemini(), lambda key: {"x-goog-api-key": key},
            "GOOGLE_GEMINI_BASE_URL={url}, GEMINI_API_KEY, gemini -m MODEL",
            "/v1beta/models", "models", counts="/v1beta/models/{model}:countTokens", is_agent=True,
        ),
        Client(
            "openai", Chat(), _bearer, 'base_url="{url}/v1", api_key', "/v1/models",
        ),
        Client(
            "anthropic", Messages(), lambda key: {"x-api-key": key, "anthropic-version": "2023-06-01"},
            'base_url="{url}", api_key', "/v1/models", counts="/v1/messages/count_tokens",
        ),
        Client(
            "open-webui", Chat(), lambda key: _bearer(key, x_openwebui_user_id="fairlead-doctor"),
            "OPENAI_API_BASE_URL={url}/v1, OPENAI_API_KEY", "/v1/models",
        ),
        Client(
            "cline", Chat(""), _bearer, 'provider "LiteLLM", base URL {url}, API key, model ID',
            "/v1/model/info", is_agent=True,
        ),
        Client(
            "openrouter", Chat("/api/v1"), _bearer, "base URL {url}/api/v1 in place of https://openrouter.ai/api/v1",
            "/api/v1/models",
        ),
    )
}  # fmt: skip
