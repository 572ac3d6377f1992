"""The parts of docs/reference that are made from the sources. Called by script/docs.

A page has them between `<!-- generated: NAME -->` and `<!-- end of NAME -->`; what stands around is written by hand.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from fairlead import errors
from fairlead.api.headers import PROVIDER_HEADERS, REQUEST_HEADERS, RESPONSE_HEADERS, Header
from fairlead.api.openapi import document
from fairlead.api.routes import all_routes
from fairlead.cli.main import cli
from fairlead.compose.gauges import gauges
from fairlead.prices.sheet import FALLBACKS
from fairlead.providers.dialect import Dialect
from fairlead.providers.dialects import DIALECTS, VENDORS
from fairlead.providers.presets import MODELS_DEV, PRESETS
from fairlead.telemetry.cells import TRAFFIC, SeriesName
from fairlead.telemetry.exposition import families
from fairlead.wire.chat import PARAMETERS
from fairlead.wire.usage_shapes import CLASS_MEANINGS, CLASSES

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
_REGION = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)
# Parameters that the gateway handles itself, whatever the dialect.
_OUR_OWN = ("stream", "stream_options")


def renewed(page: Path) -> str:
    """The text of a page as it should be. Raises KeyError for a part that nothing makes."""
    return _REGION.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]().strip()}\n\n{found[3]}", page.read_text("utf-8"))


def pages() -> list[Path]:
    return [page for page in sorted(REFERENCE.glob("*.md")) if _REGION.search(page.read_text("utf-8"))]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_row(row) for row in (head, ["---"] * len(head), *rows))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def endpoints() -> str:
    rows = [
        (f"[`{route.method} {route.path}`](#{_anchor(route.method, route.path)})", _key_of(route.who), route.summary)
        for route in all_routes()
    ]
    return table(("endpoint", "key", "what it does"), rows)


def _key_of(who: str) -> str:
    return {"key": "yes", "either": "yes, or management", "management": "management"}.get(who, "no")


def _anchor(method: str, path: str) -> str:
    return re.sub(r"[^\w\- ]", "", f"{method} {path}".lower()).replace(" ", "-")


def operations() -> str:
    """Each endpoint with its parameters and an example, from the OpenAPI document."""
    described = document(all_routes())
    parts = [
        _operation(method.upper(), path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    return "\n\n".join(parts)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [f"### {method} {path}", f"{operation['summary']} {operation.get('description', '')}".strip()]
    if parameters := operation.get("parameters"):
        rows = [
            (f"`{one['name']}`", f"{one['in']}{', required' if one.get('required') else ''}", one["description"])
            for one in parameters
        ]
        parts.append(table(("parameter", "in", "meaning"), rows))
    content = operation.get("requestBody", {}).get("content", {})
    body = content.get("application/json", {})
    success = next(status for status in operation["responses"] if status.startswith("2"))
    answer = operation["responses"][success]["content"].get("application/json", {})
    form = content.get("multipart/form-data", {}).get("example", {})
    parts.append(_curl(method, path, operation, body.get("example"), form))
    if "example" in answer:
        parts.append(f"```json\n{_pretty(answer['example'])}\n```")
    failures = sorted(status for status in operation["responses"] if status != success)
    if failures:
        parts.append(f"Errors: {', '.join(failures)} ([error reference](errors.md)).")
    return "\n\n".join(parts)


# What stands for an id, by what the path is about.
IDS = {
    "/keys/": "key_0123456789ab", "/accounts/": "acc_0123456789ab", "/explain/": "gen_0123456789abcdef",
    "/management-keys/": "mkey_0123456789ab",
}  # fmt: skip
KEYS = {"key": "FAIRLEAD_API_KEY", "managementKey": "FAIRLEAD_MANAGEMENT_KEY"}


def _curl(method: str, path: str, operation: Mapping[str, Any], body: Any, form: Mapping[str, str]) -> str:
    is_call = path.startswith(("/v1/receipts", "/v1/generation"))
    if "/responses/" in path:
        path = path.replace("{id}", "resp_0b8f7d2c")
    for about, shown in IDS.items():
        if path.startswith("/v1/admin" + about):
            path = path.replace("{id}", shown)
    path = path.replace("{hash}", "0" * 64)
    path = path.replace("{id}", "gen_0123456789abcdef" if is_call else "mistral-small-3.2")
    needed = [one for one in operation.get("parameters", ()) if one["in"] == "query" and one.get("required")]
    query = "&".join(f"{one['name']}=gen_0123456789abcdef" for one in needed)
    target = f"http://localhost:8080{path}{'?' + query if query else ''}"
    line = f'curl -s "{target}"' if query else f"curl -s {target}"
    if method not in ("GET", "POST") or (method == "POST" and body is None and not form):
        line = line.replace("curl -s", f"curl -s -X {method}")
    if operation["security"] and operation["security"][0]:
        variable = KEYS[next(iter(operation["security"][0]))]
        line += f' \\\n  -H "Authorization: Bearer ${variable}"'
    if body is not None:
        line += f" \\\n  -H \"Content-Type: application/json\" \\\n  -d '{json.dumps(body)}'"
    for name, value in form.items():
        line += f" \\\n  -F {shlex.quote(f'{name}={value}')}"
    return f"```sh\n{line}\n```"


def _pretty(value: Any, depth: int = 0) -> str:
    """JSON for people: a list or object on one line where it fits."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + 2 * depth <= 100 or not isinstance(value, (dict, list)) or not value:
        return flat
    indent = "  " * (depth + 1)
    inside = (
        [f"{json.dumps(name)}: {_pretty(one, depth + 1)}" for name, one in value.items()]
        if isinstance(value, dict)
        else [_pretty(one, depth + 1) for one in value]
    )
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{indent}" + f",\n{indent}".join(inside) + f"\n{'  ' * depth}{closing}"


def error_table() -> str:
    rows = [
        (str(status), f"`{code}`", explanation.meaning, explanation.action)
        for code, explanation in errors.EXPLANATIONS.items()
        for status in [status_of(code)]
        if code not in ("caller_gone", "configuration_error")
    ]
    return table(("status", "code", "meaning", "what to do"), sorted(rows, key=lambda row: row[0].replace("x", "x")))


def status_of(code: str) -> str:
    """The HTTP status of a code."""
    if code == "upstream_refused":
        return "4xx"
    if code in errors.HTTP_STATUSES:
        return str(errors.HTTP_STATUSES[code])
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and vars(kind).get("code") == code]
    return str(kinds[0].status)


def headers_of(listed: Sequence[Header]) -> Callable[[], str]:
    return lambda: table(("header", "meaning"), [(f"`{one.name}`", one.meaning) for one in listed])


def metrics() -> str:
    rows = [(f"`{one.name}`", "gauge", "`process`", one.help) for one in gauges(object())]  # type: ignore[arg-type]
    sample = {
        "1": {SeriesName(TRAFFIC, "m", deployment): _EveryCount() for deployment in ("", "d")},
    }
    for family in families(sample):  # type: ignore[arg-type]
        labels = dict.fromkeys(name for one in family.samples for name in one.labels if name != "le")
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((f"`{name}`", family.type, ", ".join(f"`{label}`" for label in labels), family.documentation))
    return table(("metric", "type", "labels", "meaning"), rows)


class _EveryCount(dict[int, int]):
    """One of everything that is counted."""

    def get(self, _slot: int, _default: int | None = None) -> int:  # type: ignore[override]
        return 1

    def __missing__(self, _slot: int) -> int:
        return 1


def price_classes() -> str:
    rows = [
        (f"`{name}`", CLASS_MEANINGS[name], f"like `{FALLBACKS[name]}`" if name in FALLBACKS else _default(name))
        for name in CLASSES
    ]
    return table(("class", "counted", "without a price of its own"), rows)


def _default(name: str) -> str:
    return "free" if name == "request" else "required"


def parameters() -> str:
    rows = [(f"`{name}`", one.wanted) for name, one in PARAMETERS.items()]
    return table(("parameter", "value"), rows)


def dialects() -> str:
    """What becomes of each parameter."""
    rows = [
        (f"`{name}`", *(_handling(name, row) for row in DIALECTS.values()))
        for name in PARAMETERS
        if name not in _OUR_OWN
    ]
    return table(("parameter", *DIALECTS), rows)


def _handling(name: str, dialect: Dialect) -> str:
    if name in dialect.lacks or (dialect.carries is not None and name not in dialect.carries):
        return "passed" if dialect.passes_unknown and name not in dialect.lacks else "–"
    if new := dialect.renames.get(name):
        return f"as `{new}`"
    translated = VENDORS[dialect.speaks].translated(dialect) if dialect.speaks != "openai" else frozenset()
    return "translated" if name in translated else "yes"


def content() -> str:
    """What each dialect cannot carry besides parameters."""
    kinds = ("audio", "video", "files", "file_ids", "media_urls", "assistant_media", "json_object")
    rows = [
        (f"`{row.name}`", *("–" if kind in row.incapable else "yes" for kind in kinds)) for row in DIALECTS.values()
    ]
    return table(("dialect", *(f"`{kind}`" for kind in kinds)), rows)


def presets() -> str:
    rows = [
        (
            f"`{one.id}`",
            one.name,
            f"`{one.base_url}`" if one.base_url else "your own",
            f"`{one.key_variable}`",
            one.dialect,
            one.disconnect,
            one.note,
            one.source,
        )
        for one in PRESETS.values()
    ]
    head = ("preset", "provider", "base URL", "key variable", "dialect", "after a disconnect", "note", "source")
    return table(head, rows)


def commands() -> str:
    return "\n\n".join(_command(name, one) for name, one in _commands(cli, "fairlead"))


def command_table() -> str:
    rows = [
        (f"[`{name}`](#{name.replace(' ', '-')})", cleandoc(one.help or "").partition("\n\n")[0].replace("\n", " "))
        for name, one in _commands(cli, "fairlead")
    ]
    return table(("command", "what it does"), rows)


def _commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            yield from _commands(one, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", one


def _command(name: str, one: click.Command) -> str:
    context = click.Context(one, info_name=name, max_content_width=1_000, terminal_width=1_000)
    usage = one.get_usage(context).removeprefix("Usage: ")
    parts = [f"### {name}", cleandoc(one.help or "").replace("\b\n", "").strip(), f"```text\n{usage}\n```"]
    rows = [
        (
            f"`{', '.join(record[0] for record in [option.get_help_record(context)] if record)}`",
            help_of(option, context),
        )
        for option in one.params
        if isinstance(option, click.Option) and not option.hidden
    ]
    if rows:
        parts.append(table(("option", "meaning"), rows))
    return "\n\n".join(parts)


def help_of(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    return " ".join(record[1].split()) if record else ""


PARTS: Mapping[str, Callable[[], str]] = {
    "endpoints": endpoints,
    "operations": operations,
    "errors": error_table,
    "request-headers": headers_of(REQUEST_HEADERS),
    "response-headers": headers_of(RESPONSE_HEADERS),
    "provider-headers": headers_of(PROVIDER_HEADERS),
    "metrics": metrics,
    "price-classes": price_classes,
    "parameters": parameters,
    "dialects": dialects,
    "content": content,
    "presets": presets,
    "command-table": command_table,
    "commands": commands,
}
__all__ = ["MODELS_DEV", "pages", "renewed"]
