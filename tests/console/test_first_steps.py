"""First steps: a provider and its models are added by forms, a LiteLLM file is imported; what is sent is never trusted."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from tests.console.kit import Answer, Browser, Kit
from tests.console.test_operating import DOCUMENT, MARKUP, Live, ok, served

from fairlead.admin.audit import Actor
from fairlead.admin.configuration import Submission, apply, current, history
from fairlead.admin.credentials import list_credentials
from fairlead.admin.first_steps import NewProvider, Pick, with_provider, with_sealed
from fairlead.console.forms import FIELD, form_token
from fairlead.errors import InvalidRequest

KEY = "sk-of-a-provider-0123456789abcdef"
FIELDS = {"id": "gpu2", "preset": "", "base_url": "https://8.8.4.4/v1", "dialect": "vllm", "key": KEY}
PICK = Pick("mistral-small-2506", "mistral-small-3.2", "0.10", "0.30")
LITELLM = """
model_list:
  - model_name: fast
    litellm_params:
      model: groq/llama-3.3-70b-versatile
      api_key: os.environ/GROQ_API_KEY
      input_cost_per_token: 0.0000001
      output_cost_per_token: 0.0000002
  - model_name: own
    litellm_params:
      model: openai/own
      api_base: https://8.8.4.4/v1
      api_key: sk-this-stands-in-the-file-0123456789
      input_cost_per_token: 0
      output_cost_per_token: 0
router_settings:
  unknown_thing: 5
"""


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = Kit(tmp_path / "data", live=Live())
    yield made
    made.close()


@pytest.fixture
def operator(kit: Kit) -> Browser:
    return kit.as_operator()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """One for all tests of what is refused."""
    made = Kit(tmp_path_factory.mktemp("bare"), live=Live())
    yield made
    made.close()


@pytest.fixture(scope="module")
def refused(bare: Kit) -> Browser:
    return bare.as_operator()


def hidden_fields(page: str, path: str) -> dict[str, str]:
    """Of the form that goes to this path, as a browser sends them."""
    form = re.search(rf'<form[^>]*action="{path}".*?</form>', page, re.DOTALL)
    assert form is not None
    found = {}
    for tag in re.findall(r"<input[^>]*>", form[0]):
        name, value = (re.search(rf' {one}="([^"]*)"', tag) for one in ("name", "value"))
        if name and not ('type="checkbox"' in tag and "checked" not in tag):
            found[unescape(name[1])] = unescape(value[1]) if value else ""
    for name, text in re.findall(r'<textarea[^>]* name="([^"]*)"[^>]*>\n?(.*?)</textarea>', form[0], re.DOTALL):
        found[name] = unescape(text)
    return found


def test_a_second_provider_is_added_to_the_same_model_by_forms_alone(kit: Kit, operator: Browser) -> None:
    apply(kit.store, DOCUMENT, "x", Submission(Actor("command line")))
    served(kit, DOCUMENT)
    ok(operator.get("/admin/start"))
    ok(operator.get("/admin/start/provider"))
    page = ok(operator.post("/admin/start/provider", FIELDS))
    assert KEY not in page
    assert [one.name for one in list_credentials(kit.store)] == ["gpu2"]
    sent = hidden_fields(page, "/admin/start/provider/plan")
    at = next(name[len("upstream-") :] for name, value in sent.items() if value == "mistral-small-2506")
    assert sent[f"model-{at}"] == "mistral-small-3.2", "the catalogue knows it by this name"
    assert (sent[f"input-{at}"], sent[f"output-{at}"]) == ("0.10", "0.30"), "its list price"
    sent |= {f"pick-{at}": "yes", f"input-{at}": "0.12", f"output-{at}": "0.35"}
    page = ok(operator.post("/admin/start/provider/plan", sent))
    assert "answered in 12 ms" in page
    assert "deployment gpu2/mistral-small-2506 is added to model mistral-small-3.2" in page
    assert len(history(kit.store)) == 1, "nothing is applied yet"
    live = kit.services.live
    assert isinstance(live, Live)
    assert live.tried[-1][0].guarded == {"https://8.8.4.4/v1"}, "a test keeps to public addresses, too"
    seen = hidden_fields(page, "/admin/start/provider/apply")
    changed = operator.post("/admin/start/provider/apply", {**seen, "input-0": "0.01"})
    assert changed.status == 400, "another price than the one that was seen"
    assert operator.post("/admin/start/provider/apply", seen).status == 303
    document = tomllib.loads(current(kit.store).text)
    assert document["providers"][1] == {
        "id": "gpu2", "base_url": "https://8.8.4.4/v1", "dialect": "vllm", "api_key": {"sealed": "gpu2"},
    }  # fmt: skip
    assert document["models"][0]["deployments"][1]["price"] == {"input": "0.12", "output": "0.35"}
    assert history(kit.store)[0].author.startswith("operator")
    assert operator.post("/admin/start/provider/apply", seen).status == 400, "once"


def test_the_first_provider_is_added_where_nothing_is_configured(kit: Kit, operator: Browser) -> None:
    page = ok(operator.post("/admin/start/provider", {"preset": "mistral", "key": KEY}))
    sent = hidden_fields(page, "/admin/start/provider/plan")
    sent |= {"upstream-89": "my-model", "model-89": "my-model", "input-89": "0", "output-89": "0"}
    page = ok(operator.post("/admin/start/provider/plan", sent))
    operator.post("/admin/start/provider/apply", hidden_fields(page, "/admin/start/provider/apply"))
    document = tomllib.loads(current(kit.store).text)
    assert document["providers"] == [{"id": "mistral", "preset": "mistral", "api_key": {"sealed": "mistral"}}]
    assert document["models"][0]["deployments"][0]["price"] == "free"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/v1", "http://localhost/v1", "http://169.254.169.254/v1", "http://2130706433/v1", "http://0x7f.1/v1",
     "http://[::1]/v1", "http://[::ffff:10.0.0.1]/v1", "http://gpu1/v1", "file:///etc/passwd", "https://user@8.8.8.8/v1",
     "gopher://8.8.8.8/", "https://8.8.8.8\\@127.0.0.1/v1"],
)  # fmt: skip
def test_the_form_for_a_provider_reaches_no_private_network(bare: Kit, refused: Browser, url: str) -> None:
    answer = refused.post("/admin/start/provider", {**FIELDS, "base_url": url})
    assert answer.status == 422
    assert list_credentials(bare.store) == [], "no key is sealed for it"
    sent = {**FIELDS, "base_url": url, "credential": "x", "pick-0": "yes", "upstream-0": "m", "model-0": "m"}
    answer = refused.post("/admin/start/provider/plan", {**sent, "input-0": "0", "output-0": "0"})
    assert answer.status in (400, 422)
    live = bare.services.live
    assert isinstance(live, Live)
    assert live.tried == []


@pytest.mark.parametrize(
    "fields",
    [{"id": "a b"}, {"id": "x" * 49}, {"id": MARKUP}, {"preset": "nonsense"}, {"preset": "azure", "base_url": ""},
     {"base_url": ""}, {"key": "two words"}, {"key": "x" * 100_000}, {"preset": "bedrock", "base_url": ""}],
)  # fmt: skip
def test_what_is_wrong_stands_beside_its_field(refused: Browser, fields: dict[str, str]) -> None:
    answer = refused.post("/admin/start/provider", {**FIELDS, **fields})
    assert answer.status == 422
    assert 'class="problem"' in answer.text
    assert "<script>alert" not in answer.text


def test_models_are_refused_beside_the_form(refused: Browser) -> None:
    base = {**FIELDS, "key": "", "credential": "", "pick-0": "yes", "upstream-0": "m", "model-0": "m"}
    for wrong in (
        {"pick-0": "", "upstream-0": "m"}, {"input-0": "", "output-0": "1"}, {"input-0": "-1", "output-0": "1"},
        {"input-0": "1", "output-0": "1", "model-0": "a b"}, {"input-0": "1", "output-0": "1", "upstream-0": "x" * 300},
    ):  # fmt: skip
        answer = refused.post("/admin/start/provider/plan", {**base, **wrong})
        assert answer.status == 422, wrong


def test_a_provider_that_lists_nothing_or_markup_can_still_be_added(kit: Kit, operator: Browser) -> None:
    live = kit.services.live
    assert isinstance(live, Live)
    live.models_there = [MARKUP, *(f"model-{at}" for at in range(200))]
    page = ok(operator.post("/admin/start/provider", FIELDS))
    assert "<script>alert" not in page
    assert "more are not shown" in page


def test_a_document_is_added_to_as_it_is_written() -> None:
    given = NewProvider("gpu2", "", "https://8.8.4.4/v1", "vllm")
    second = DOCUMENT + '\n# the end\n[[models]]\nid = "other"\ndeployments = []\n\n[routing]\nprobes = false\n'
    text = with_provider(second, given, [PICK])
    assert DOCUMENT.strip() in text
    assert "# the end" in text
    assert len(tomllib.loads(text)["models"][0]["deployments"]) == 2
    inside_text = '[[models]]\nid = "mistral-small-3.2"\ndescription = """\n[[models]]\n"""\n'
    for other in ('models = [{ id = "mistral-small-3.2" }]\n', "providers = []\n", inside_text):
        with pytest.raises(InvalidRequest):
            with_provider(other, given, [PICK])


def test_keys_of_an_import_take_the_place_of_variables() -> None:
    document = '[[providers]]\nid = "a"\npreset = "groq"\n\n[[providers]]\nid = "b"\napi_key = { env = "B" }\n'
    found = tomllib.loads(with_sealed(document, {"GROQ_API_KEY": "groq", "B": "b"}))
    assert [one["api_key"] for one in found["providers"]] == [{"sealed": "groq"}, {"sealed": "b"}]


def test_a_litellm_file_is_imported_planned_and_applied(kit: Kit, operator: Browser) -> None:
    page = ok(upload(operator, LITELLM.encode()))
    assert "sk-this-stands-in-the-file" not in page
    assert "unknown_thing" in page
    sent = hidden_fields(page, "/admin/start/litellm/plan")
    variables = [name for name in sent if name.startswith("secret-")]
    assert "secret-GROQ_API_KEY" in variables
    page = ok(operator.post("/admin/start/litellm/plan", {**sent, **dict.fromkeys(variables, KEY)}))
    assert "model fast can be called" in page
    assert KEY not in page
    sealed = hidden_fields(page, "/admin/configuration/apply")
    answer = operator.post("/admin/configuration/apply", sealed)
    assert answer.status == 303, answer.text
    models = {one["id"] for one in tomllib.loads(current(kit.store).text)["models"]}
    assert models == {"fast", "own"}
    assert len(list_credentials(kit.store)) == len(variables)


def bomb() -> str:
    levels = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    names = "abcdefghij"
    levels += [f"{names[at]}: &{names[at]} [{','.join(['*' + names[at - 1]] * 10)}]" for at in range(1, 10)]
    return "\n".join(levels)


@pytest.mark.parametrize(
    "body",
    [b"", b"\x00\x01\xff\xfe", bomb().encode(), b"model_list: " + b"[" * 2_000, b"!!python/object/apply:os.system [id]",
     b"- just\n- a list", b"x" * (1024 * 1024 + 1), MARKUP.encode(), b"model_list:\n- model_name: &a [*a]"],
    ids=["empty", "binary", "bomb", "deep", "tag", "list", "large", "markup", "cycle"],
)  # fmt: skip
def test_files_that_are_not_litellms_are_refused_beside_the_form(bare: Kit, refused: Browser, body: bytes) -> None:
    answer = upload(refused, body, MARKUP)
    assert answer.status in (200, 422)
    assert "<script>alert" not in answer.text
    assert history(bare.store) == []


def test_a_form_cannot_seal_under_any_name(bare: Kit, refused: Browser) -> None:
    sent = {"document": "", "secret-../../x": "value"}
    assert refused.post("/admin/start/litellm/plan", sent).status == 400
    assert list_credentials(bare.store) == []


def upload(browser: Browser, body: bytes, name: str = "config.yaml") -> Answer:
    """As a browser sends a file."""
    line = "----kit"
    quoted = json.dumps(name)
    parts = [
        f'--{line}\r\nContent-Disposition: form-data; name="{FIELD}"\r\n\r\n{form_token(browser.token)}\r\n'.encode(),
        f'--{line}\r\nContent-Disposition: form-data; name="text"\r\n\r\n\r\n'.encode(),
        f'--{line}\r\nContent-Disposition: form-data; name="file"; filename={quoted}\r\n\r\n'.encode() + body + b"\r\n",
        f"--{line}--\r\n".encode(),
    ]
    headers: dict[str, Any] = {
        "content-type": f"multipart/form-data; boundary={line}", "origin": "http://llm.example", "sec-fetch-site": "same-origin",
    }  # fmt: skip
    return browser.ask("POST", "/admin/start/litellm", b"".join(parts), headers)


def test_first_steps_are_marked_when_they_are_done(kit: Kit, operator: Browser) -> None:
    before = ok(operator.get("/admin/start")).count('class="mark done"')
    kit.as_role("member")
    kit.services.live.engines = lambda: [{"model": "own-model"}]  # type: ignore[method-assign]
    page = ok(operator.get("/admin/start"))
    assert page.count('class="mark done"') == before + 2, "somebody else is here, and a model of one's own runs"
    assert "Running: own-model." in page
    for path in ("/admin/start/gguf", "/admin/start/provider", "/admin/start/litellm", "/admin/people#invite"):
        assert f'href="{path}"' in page, path
