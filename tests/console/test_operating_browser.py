"""From the first start to a second provider and an imported LiteLLM file, by clicking alone: a real server, real
Chromium, scripted providers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.browsing import become_operator, needs_chromium, no_barriers, profile
from tests.console.test_colours import DOCUMENT
from tests.e2e.conftest import Served, eventually, fairlead, serving
from tests.e2e.test_chat import post

from fairlead.console.colours import coloured
from fairlead.engines.spec import DEMO_GGUF
from fairlead.testing import Reply, ScriptedUpstream

pytestmark = needs_chromium
# The scripted providers are on this machine, which an operator has to allow.
CONFIG = '[configuration]\nallow_networks = ["127.0.0.0/8"]\n'


@pytest.fixture(scope="module")
def upstreams() -> Iterator[tuple[ScriptedUpstream, ScriptedUpstream]]:
    with ScriptedUpstream() as one, ScriptedUpstream() as other:
        one.default, other.default = Reply(text="from one"), Reply(text="from the other")
        yield one, other


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("operating"), CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def page(browser: Browser, served: Served) -> Iterator[Page]:
    context = profile(browser, served.url)
    found = context.new_page()
    become_operator(found, served)
    yield found
    context.close()


def add(page: Page, name: str, url: str) -> None:
    page.goto("/admin/start")
    page.get_by_role("link", name="Add a provider").click()
    page.get_by_label("Name here").fill(name)
    page.get_by_label("Address of its API").fill(f"{url}")
    page.get_by_label("Dialect of a server of your own").select_option("vllm")
    page.get_by_label("API key").fill("sk-of-a-provider-0123456789")
    page.get_by_role("button", name="Seal the key").click()
    page.get_by_label("another model", exact=True).fill("mistral-small")
    page.get_by_label("its id here").fill("mistral-small-3.2")
    page.get_by_label("its input price").fill("0.10")
    page.get_by_label("its output price").fill("0.30")
    no_barriers(page)
    page.get_by_role("button", name="Test and show what would change").click()
    expect(page.get_by_role("status")).to_contain_text("answered in")
    no_barriers(page)
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("status")).to_contain_text("is applied")


def test_an_operator_goes_from_the_first_start_to_a_second_provider_that_serves(
    page: Page, served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream]
) -> None:
    one, other = upstreams
    add(page, "one", one.url)
    add(page, "other", other.url)
    key = fairlead("keys", "create", "--name", "laptop", data=served.data).stdout.split()[-1]
    body = {"model": "mistral-small-3.2", "messages": [{"role": "user", "content": "hi"}]}

    def says() -> str:
        status, _, answer = post(served, body, key)
        return str(answer["choices"][0]["message"]["content"]) if status == 200 else ""

    eventually(lambda: says() != "")
    page.goto("/admin/deployments")
    row = page.get_by_role("row", name="one/mistral-small")
    row.get_by_role("button", name="Drain").click()
    expect(page.get_by_role("row", name="one/mistral-small")).to_contain_text("drained")
    no_barriers(page)
    eventually(lambda: says() == "from the other")
    assert other.requests[-1].headers["authorization"] == "Bearer sk-of-a-provider-0123456789"
    page.get_by_role("button", name="Put back").click()
    expect(page.get_by_role("button", name="Put back")).to_have_count(0)
    for name in [
        "",
        *["accounts", "audit", "configuration", "credit", "events", "jobs", "limits", "models", "nodes", "people"],
    ]:
        page.goto(f"/admin/{name}".rstrip("/"))
        no_barriers(page)


def test_a_litellm_file_is_imported_planned_and_applied(
    page: Page, served: Served, upstreams: tuple[ScriptedUpstream, ScriptedUpstream], tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        f"""
model_list:
  - model_name: from-litellm
    litellm_params:
      model: openai/whatever
      api_base: {upstreams[1].url}
      api_key: os.environ/OWN_KEY
      input_cost_per_token: 0
      output_cost_per_token: 0
"""
    )
    page.goto("/admin/start/litellm")
    page.get_by_label("File (config.yaml)").set_input_files(file)
    page.get_by_role("button", name="Read file").click()
    no_barriers(page)
    page.get_by_label("OWN_KEY").fill("sk-of-litellm-0123456789")
    document = page.get_by_label("Document (TOML)")
    document.fill(document.input_value() + f"\n{CONFIG}")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_text("model from-litellm can be called")).to_be_visible()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("status")).to_contain_text("is applied")
    key = fairlead("keys", "create", "--name", "desktop", data=served.data).stdout.split()[-1]
    body = {"model": "from-litellm", "messages": [{"role": "user", "content": "hi"}]}
    eventually(lambda: post(served, body, key)[0] == 200)
    assert upstreams[1].requests[-1].headers["authorization"] == "Bearer sk-of-litellm-0123456789"


def test_a_gguf_file_is_run_called_stopped_and_runs_again_by_undo(page: Page, served: Served) -> None:
    models = served.data / "models"
    models.mkdir()
    shutil.copyfile(DEMO_GGUF, models / "tiny.gguf")
    page.goto("/admin/start")
    page.get_by_role("link", name="Run a GGUF file").click()
    page.get_by_role("link", name="Choose tiny.gguf").click()
    no_barriers(page)
    page.get_by_role("button", name="Show what it needs").click()
    expect(page.get_by_text("engine tiny is started")).to_be_visible()
    no_barriers(page)
    page.get_by_role("button", name="Apply and start").click()
    state = page.locator(".engines .state")
    expect(state).to_contain_text("ready", timeout=60_000)
    no_barriers(page)
    key = fairlead("keys", "create", "--name", "engine", data=served.data).stdout.split()[-1]
    status, _, answer = post(served, {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}, key)
    assert status == 200, answer
    page.get_by_role("button", name="Stop").click()
    expect(state).to_contain_text("stopped", timeout=60_000)
    page.get_by_role("button", name="Undo").click()
    expect(state).to_contain_text("ready", timeout=60_000)


def coloured_as_on_the_server(page: Page, area: Locator) -> None:
    """What lies below the text of the editor is that text, in the colours of pages that are only read."""
    rows = page.locator(".below > div").evaluate_all("rows => rows.map(one => one.innerHTML)")
    lines = str(coloured(area.input_value())).split("\n")
    assert [unescape(row) for row in rows] == [unescape(line) for line in lines]


def test_the_editor_colours_what_is_typed_as_the_server_does(page: Page) -> None:
    page.goto("/admin/configuration/edit")
    area = page.get_by_label("Document (TOML)")
    coloured_as_on_the_server(page, area)
    area.fill(DOCUMENT)
    coloured_as_on_the_server(page, area)
    area.press("Control+Home")
    for typed in ('t = """', "Enter", "Enter", '"""', "Enter", "[a]"):
        if typed == "Enter":
            area.press(typed)
        else:
            area.press_sequentially(typed)
        coloured_as_on_the_server(page, area)
    area.press("Control+z")
    coloured_as_on_the_server(page, area)
    no_barriers(page)
    area.fill("")
    coloured_as_on_the_server(page, area)
    page.evaluate("sessionStorage.clear()")


def test_the_editor_indents_lets_the_keyboard_leave_goes_to_a_mistake_and_keeps_a_draft(page: Page) -> None:
    page.goto("/admin/configuration/edit")
    area = page.get_by_label("Document (TOML)")
    kept = area.input_value()
    area.fill(f'{kept}\n[limits]\nrequests_per_minute = "many"\n')
    area.press("Control+Home")
    area.press("Tab")
    assert area.input_value().startswith("  "), "indented, and still here"
    expect(area).to_be_focused()
    area.press("Shift+Tab")
    assert area.input_value().startswith(kept[:10])
    area.press("Escape")
    area.press("Tab")
    expect(area).not_to_be_focused()
    page.goto("/admin/limits")
    page.goto("/admin/configuration/edit")
    page.get_by_role("button", name="Restore the draft").click()
    expect(area).to_have_value(re.compile("many"))
    area.press("Control+Enter")
    problem = page.get_by_role("link", name=re.compile(r"Line \d+, column 1"))
    expect(problem).to_be_visible()
    no_barriers(page)
    problem.click()
    expect(area).to_be_focused()
    assert page.evaluate("getSelection().toString()").startswith("requests_per_minute")
    area.fill(kept + "\n[limits]\nrequests_per_minute = 60\n")
    page.get_by_role("button", name="Show what would change").click()
    apply = page.get_by_role("button", name="Apply")
    expect(apply).to_be_enabled()
    no_barriers(page)
    area.press_sequentially("#")
    expect(apply).to_be_disabled()
    expect(page.get_by_text("The document has changed since this plan")).to_be_visible()
    area.press("Backspace")
    apply.click()
    expect(page.get_by_role("status")).to_contain_text("is applied")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("repeats version")
    page.goto("/admin/configuration/edit")
    expect(page.get_by_role("button", name="Restore the draft")).to_be_hidden()
