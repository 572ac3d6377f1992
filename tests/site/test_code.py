"""The calls that a model's page shows fit what the model is for."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import replace
from typing import get_args

import pytest

from fairlead.admin.doctor.clients import CLIENTS
from fairlead.catalogue.facts import ModelFacts
from fairlead.catalogue.load import model_of
from fairlead.doors.table import DOORS
from fairlead.site.language import ENGLISH
from fairlead.site.model.code import clients, curl, endpoints
from fairlead.site.model.faq import questions
from fairlead.wire.vocabulary import Mode

API = "https://models.example/v1"


@pytest.mark.parametrize("mode", get_args(Mode))
def test_a_call_is_made_where_models_of_the_mode_are_served(mode: str) -> None:
    (first, *_) = endpoints(API, "a/b", mode)
    shown = first.snippets
    found = re.match(r"curl https://models\.example(\S+) ", shown[0].text)
    assert found is not None
    served = {path: row.operation.modes for row in DOORS.values() for path in row.paths}
    if found[1] != "/v1/audio/transcriptions":
        assert mode in served[found[1]]
    if (body := re.search(r"-d '(.*)'", shown[0].text, re.DOTALL)) is not None:
        assert json.loads(body[1])["model"] == "a/b"
    assert mode == "chat" or [one.title for one in shown] == ["curl", "Python", "TypeScript"]
    for one in shown:
        assert "a/b" in one.text
        if one.title == "Python":
            compile(one.text, one.title, "exec")


def test_a_chat_is_shown_for_every_endpoint_and_sdk() -> None:
    shown = {one.title: one for one in endpoints(API, "a/b'c")}
    assert list(shown) == ["Chat completions", "Responses", "Messages", "Gemini", "Clients"]
    del shown["Clients"]
    assert curl(API, "a/b'c") == shown["Chat completions"].snippets[0].text
    served = {path for row in DOORS.values() for path in row.paths}
    for one in shown.values():
        titles = [each.title for each in one.snippets]
        assert titles == ["curl", "Python", "TypeScript"]
        compile(one.snippets[1].text, one.title, "exec")
        called = re.match(r"curl https://models\.example(\S+) ", one.snippets[0].text)
        assert called is not None
        path = called[1].replace("a%2Fb%27c", "{model}")
        assert path in served
        body = re.search(r"-d '(.*)'", one.snippets[0].text, re.DOTALL)
        assert body is not None
        json.loads(body[1].replace("'\\''", "'"))


@pytest.mark.parametrize("mode", get_args(Mode))
def test_the_answer_to_how_a_model_is_called_names_an_endpoint_of_its_mode(mode: Mode) -> None:
    model = replace(model_of(ModelFacts("m", "acme", {}, {})), mode=mode, context_length=8_192)
    answers = [one.answer for one in questions(model, [], API, ENGLISH)]
    found = re.search(r"Send requests to https://models\.example(\S+) with", " ".join(answers))
    assert found is not None
    assert found[1] in {path for row in DOORS.values() if mode in row.operation.modes for path in row.paths}
    assert any("tokens for each input" in one for one in answers) == (mode != "chat")


def test_the_settings_of_clients_are_those_that_the_doctor_names() -> None:
    shown = {one.title: one.text for one in clients(API, "a/b").snippets}
    assert list(shown) == ["Claude Code", "Codex", "Gemini CLI", "Open WebUI", "Cline"]
    for title, name in zip(shown, ("claude-code", "codex", "gemini", "open-webui", "cline"), strict=True):
        (address,) = re.findall(r"\{url\}(/v1)?", CLIENTS[name].setup)
        assert re.findall(r"https://models\.example(\S*?)[\s\"]", shown[title] + "\n") == [address], title
        assert "a/b" in shown[title] or title == "Open WebUI"
    settings = tomllib.loads(shown["Codex"])
    assert settings["model_providers"][settings["model_provider"]] == {
        "name": "Fairlead", "base_url": API, "env_key": "FAIRLEAD_API_KEY", "wire_api": "responses",
        "supports_websockets": False,
    }  # fmt: skip
    for title in ("Claude Code", "Gemini CLI"):
        for line in clients(API, "a b'c").snippets[list(shown).index(title)].text.splitlines():
            assert "a b'c" in shlex.split(line)[-1] or "a b" not in line, "a shell reads it as one word"
