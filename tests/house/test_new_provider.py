"""What a new provider costs: a row, or a folder and a row. A call goes to one that is added here and nowhere else."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.compose.test_serving import run, running

from fairlead.errors import FairleadError, UpstreamInvalid
from fairlead.providers.call_shapes import Translation
from fairlead.providers.dialect import Binding, Dialect, OperationAPI, VendorAPI
from fairlead.providers.dialects import DIALECTS, VENDORS
from fairlead.providers.failures import upstream_error
from fairlead.providers.presets import PRESETS, Preset
from fairlead.providers.translated import TranslatedChat, translated_chat
from fairlead.testing import ScriptedUpstream
from fairlead.wire.answer import AnswerReader, Finish, Start, Text, WholeAnswer
from fairlead.wire.chat import ChatRequest
from fairlead.wire.usage import usage_from_openai

SOURCE = Path(__file__).parents[2] / "src" / "fairlead"
# Other things that happen to have the name of a row, or defaults of settings.
ALSO = {
    "generic": {"catalogue/load.py"},  # the default
    "llama": {"engines/spec.py"},  # an architecture
    "llamacpp": {"compose/engine_model.py"},  # the dialect of our own engine
    "openai": {"providers/responses_api/dialects.py"},  # how OpenTelemetry calls whoever speaks it
    "responses_api": {"providers/responses_api/dialects.py"},
    "openrouter": {
        "catalogue/importers/openrouter.py",
        "cli/catalogue.py",
        "cli/importers.py",
    },  # a source of the catalogue
}
# Values of a dialect's row that are named after the engine that needs them.
ENGINES = {"llamacpp", "sglang"}


def configuration(provider: str) -> str:
    return (
        f"[[providers]]\n{provider}\n"
        '[[models]]\nid = "m"\n[[models.deployments]]\nprovider = "acme"\nupstream_model = "acme 1"\nprice = "free"\n'
    )


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


def called(tmp_path: Path, provider: str, **more: Any) -> dict[str, Any]:
    """The answer to a call, by a whole gateway with this provider."""
    found: list[Any] = []

    async def test() -> None:
        async with running(tmp_path, configuration(provider)) as it:
            answer = await it.caller().call("m", **more)
            assert answer.status == 200, answer.body
            found.append(json.loads(answer.body))

    run(test)
    return found[0]  # type: ignore[no-any-return]


def test_a_preset_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: ScriptedUpstream) -> None:
    monkeypatch.setitem(PRESETS, "acme", Preset("acme", "Acme", upstream.url, "ACME_API_KEY"))  # type: ignore[arg-type]
    monkeypatch.setenv("ACME_API_KEY", "secret-1")
    answer = called(tmp_path, 'id = "acme"\npreset = "acme"')
    [sent] = upstream.requests
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer secret-1"
    assert answer["model"] == "m"


def test_a_dialect_of_openais_api_is_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: ScriptedUpstream
) -> None:
    row = Dialect(
        "acme",
        carries=frozenset({"max_tokens", "temperature"}),
        key_header="x-acme-key: {key}",
        path="/{deployment}/{api_version}/chat/completions",
        api_version="2030",
        renames={"max_tokens": "most"},
    )
    monkeypatch.setitem(DIALECTS, row.name, row)  # type: ignore[arg-type]
    provider = f'id = "acme"\ndialect = "acme"\nbase_url = "{upstream.url}"\napi_key = "secret-1"'
    answer = called(tmp_path, provider, max_tokens=5, temperature=1, seed=7)
    [sent] = upstream.requests
    assert sent.path == "/v1/acme%201/2030/chat/completions"
    assert sent.headers["x-acme-key"] == "secret-1"
    assert sent.json["most"] == 5
    assert "seed" not in sent.json
    assert answer["model"] == "m"


class Acme:
    """An API of its own, as a vendor's folder would have it: a translator of requests, and the format of answers."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    def to_vendor(self, request: ChatRequest) -> Translation:
        body = {"acme": self._binding.upstream_model, "messages": json.loads(bytes(request.messages))}
        return Translation([json.dumps(body).encode()], stream=False)

    def reader(self, _choices: int, _prefill: str = "") -> AnswerReader:
        raise UpstreamInvalid("It does not stream.")

    def whole(self, body: bytes) -> WholeAnswer:
        said = json.loads(body)
        text = said["choices"][0]["message"]["content"].upper()
        return WholeAnswer(
            [Start(said["id"]), Text(text), Finish("stop")], usage_from_openai(json.dumps(said["usage"]).encode())
        )

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return upstream_error(status, headers, body)


def acme_chat(binding: Binding) -> TranslatedChat:
    acme = Acme(binding)
    return translated_chat(binding, acme, acme)


def test_an_api_of_its_own_is_a_folder_and_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: ScriptedUpstream
) -> None:
    acme = VendorAPI(
        "acme",
        (Dialect("acme", carries=frozenset({"stop"}), speaks="acme"),),
        {"chat": OperationAPI("acme", translated=acme_chat)},
    )
    monkeypatch.setitem(VENDORS, acme.name, acme)  # type: ignore[arg-type]
    for row in acme.dialects:
        monkeypatch.setitem(DIALECTS, row.name, row)  # type: ignore[arg-type]
    answer = called(tmp_path, f'id = "acme"\ndialect = "acme"\nbase_url = "{upstream.url}"')
    [sent] = upstream.requests
    assert sent.json["acme"] == "acme 1"
    text = answer["choices"][0]["message"]["content"]
    assert text
    assert text == text.upper()


def files_with(names: set[str]) -> Mapping[str, set[str]]:
    """The modules in which each name stands as a string."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names:
                found[node.value].add(str(file.relative_to(SOURCE)))
    return found


def test_no_code_but_its_row_and_its_folder_knows_a_provider_by_name() -> None:
    found = files_with({*PRESETS, *DIALECTS, *VENDORS})
    for name, files in found.items():
        if name in VENDORS:
            own = {f"providers/{name}/vendor.py"}
        elif name in DIALECTS:
            own = {f"providers/{DIALECTS[name].speaks}/dialects.py"}
        else:
            own = {"providers/presets.py"}
        assert own <= files, name
        rest = files - own - {"providers/presets.py"} - ALSO.get(name, set())
        if name == "openai":  # a dialect that says nothing else speaks it
            rest -= {"providers/dialect.py", "providers/openai/dialects.py"}
        # The doctor imitates clients, some of which are called as providers are.
        rest = {file for file in rest if not file.startswith(("admin/doctor/", "cli/doctor."))}
        if name in ENGINES:
            rest -= {"providers/dialect.py", "providers/openai/adapter.py", "providers/openai/request.py"}
        assert rest == set(), name


def test_every_dialect_speaks_the_api_of_the_vendor_that_lists_it() -> None:
    for vendor in VENDORS.values():
        assert {row.speaks for row in vendor.dialects} == {vendor.name}
    assert set(DIALECTS) == {row.name for vendor in VENDORS.values() for row in vendor.dialects}


def test_vendors_do_not_know_each_other_and_only_the_table_knows_them() -> None:
    for file in SOURCE.rglob("*.py"):
        place = file.relative_to(SOURCE)
        own = place.parts[1] if place.parts[0] == "providers" and len(place.parts) > 2 else None
        text = file.read_text("utf-8")
        for node in ast.walk(ast.parse(text)) if "fairlead.providers." in text else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fairlead.providers."):
                vendor = (node.module or "").split(".")[2]
                assert vendor not in VENDORS or vendor == own or str(place) == "providers/dialects.py", place
