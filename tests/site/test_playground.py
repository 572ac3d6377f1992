"""The playground in Chromium, against a real gateway and a scripted provider: every API, tools, files, branches, code
that runs, links without content, and markup in everything that a model or a provider may say."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.browsing import needs_chromium, no_barriers, profile
from tests.e2e.conftest import AT_ONCE, Served, eventually, model, provider, serving

from fairlead.testing import Reply, ScriptedUpstream
from fairlead.testing.replies import ToolCall

DOORS = ("chat", "messages", "responses", "gemini")
NAMES = ("mistral-small-3.2", "qwen3-32b", "gpt-oss-120b", "another")
OPENAI = """export default class OpenAI {
  constructor({ baseURL, apiKey }) {
    const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
    this.chat = { completions: { create: async body => {
      const answer = await fetch(`${baseURL}/chat/completions`, { method: "POST", headers, body: JSON.stringify(body) });
      if (!answer.ok) throw new Error(await answer.text());
      return answer.json();
    } } };
  }
}
"""
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Served]:
    free = model(name="gratis", upstream="gratis").replace('{ input = "0.10", output = "0.30" }', '"free"')
    models = "".join(model(name=name, upstream=name) for name in NAMES) + free
    config = AT_ONCE + "[console.guests]\n" + provider(upstream.url) + models
    with serving(tmp_path_factory.mktemp("playground"), config) as running:
        yield running


@pytest.fixture
def page(browser: Browser, served: Served, upstream: ScriptedUpstream) -> Iterator[Page]:
    """A new browser profile with the playground open and a key in its tab. Nothing in it may run what a model wrote."""
    context = profile(browser, served.url, viewport={"width": 1280, "height": 900})
    context.add_init_script(f"if (origin !== 'null') sessionStorage.setItem('fairlead.key', {json.dumps(served.key)})")
    found = context.new_page()
    problems: list[str] = []
    found.on("console", lambda one: problems.append(one.text) if one.type in ("error", "warning") else None)
    found.on("pageerror", lambda error: problems.append(str(error)))
    found.on("dialog", lambda dialog: problems.append(f"a dialog: {dialog.message}"))
    upstream.requests.clear()
    found.goto(f"/playground?model={NAMES[0]}")
    found.wait_for_selector("[data-ready]")
    yield found
    context.close()
    # The browser itself reports a refused call; that is what some tests are about.
    assert [one for one in problems if "Failed to load resource" not in one] == []


def choose(page: Page, door: str) -> None:
    page.get_by_label("API", exact=True).select_option(door)


def send(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Message").fill(text)
    page.keyboard.press("Enter")


def answers(page: Page) -> Locator:
    return page.locator(".turn.assistant")


def done(page: Page, count: int = 1) -> None:
    """Waits until so many answers have their figures, and none is under way."""
    expect(page.locator("#stop")).to_be_hidden()
    expect(page.locator(".turn.assistant > .row")).to_have_count(count)


def body(upstream: ScriptedUpstream, at: int = -1) -> dict[str, Any]:
    found: dict[str, Any] = upstream.requests[at].json
    return found


@needs_chromium
@pytest.mark.parametrize("door", DOORS)
def test_an_answer_streams_through_every_door_with_its_exact_cost_and_the_chosen_parameters(
    page: Page, upstream: ScriptedUpstream, door: str
) -> None:
    choose(page, door)
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_label("temperature").fill("0.4")
    page.get_by_label("max_tokens").fill("77")
    if door != "responses":
        page.get_by_label("stop").fill("END\nFIN")
    upstream.enqueue(Reply(text="A **bold** answer."))
    send(page, "Hello?")
    done(page)
    expect(answers(page).locator(".said strong")).to_have_text("bold")
    expect(answers(page).locator(".figures")).to_contain_text("12 + 3 tokens")
    expect(answers(page).locator(".figures")).to_contain_text("$0.0000021")
    expect(answers(page).locator(".figures")).to_contain_text("first token")
    asked = body(upstream)
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": asked["messages"][1]["content"]},
    ]
    assert "Hello?" in json.dumps(asked["messages"][1])
    assert asked["temperature"] == 0.4
    assert asked.get("max_tokens", asked.get("max_completion_tokens")) == 77
    if door == "responses":  # it has no stop sequences, and the page says so
        expect(page.get_by_label("stop")).to_have_count(0)
    else:
        assert asked["stop"] == ["END", "FIN"]


@needs_chromium
def test_parameters_show_the_ranges_and_defaults_of_the_model_and_what_the_api_lacks(page: Page) -> None:
    field = page.get_by_label("temperature")
    assert (field.get_attribute("min"), field.get_attribute("max")) == ("0", "2")
    assert 0 < float(field.get_attribute("placeholder") or 0) < 1
    expect(page.get_by_label("max_tokens")).to_have_attribute("max", re.compile(r"^\d+$"))
    expect(page.get_by_label("min_p")).to_have_count(1)
    choose(page, "messages")
    expect(page.get_by_label("min_p")).to_have_count(0)
    expect(page.locator("#parameters")).to_contain_text(re.compile("not in this API: .*min_p"))


@needs_chromium
def test_stopping_cancels_the_call_and_shows_what_the_server_charged(
    page: Page, upstream: ScriptedUpstream, served: Served
) -> None:
    cancelled = upstream.cancelled
    upstream.enqueue(Reply(text="word " * 2_000, chunk_delay_seconds=0.02))
    with page.expect_response("**/v1/chat/completions") as answer:
        send(page, "Count")
    expect(answers(page).locator(".said")).to_contain_text("word")
    page.get_by_role("button", name="Stop").click()
    expect(answers(page).locator(".figures")).to_contain_text("Stopped")
    eventually(lambda: upstream.cancelled > cancelled)
    expect(answers(page).locator(".figures")).to_contain_text("$", timeout=30_000)
    generation = answer.value.headers["x-fairlead-generation-id"]
    receipt = httpx.get(
        f"{served.url}/v1/receipts/{generation}", headers={"authorization": f"Bearer {served.key}"}
    ).json()
    expect(answers(page).locator(".figures")).to_contain_text(f"${receipt['charged_usd']}")


@needs_chromium
@pytest.mark.parametrize("door", DOORS)
def test_a_tool_call_is_answered_with_an_edited_result_and_the_answer_goes_on(
    page: Page, upstream: ScriptedUpstream, door: str
) -> None:
    choose(page, door)
    page.get_by_role("button", name="Add tool").click()
    upstream.enqueue(
        Reply(text="", tool_calls=(ToolCall("get_weather", '{"city": "Oslo"}'),)), Reply(text="It is mild.")
    )
    send(page, "Weather?")
    expect(answers(page).locator(".call")).to_contain_text('"city": "Oslo"')
    page.get_by_label("Result of get_weather").fill('{"celsius": 21}')
    page.get_by_role("button", name="Send results").click()
    expect(answers(page).last.locator(".said")).to_contain_text("It is mild.")
    first, second = body(upstream, -2), body(upstream)
    assert first["tools"][0]["function"]["name"] == "get_weather"
    assert first["tools"][0]["function"]["parameters"]["required"] == ["city"]
    call, result = second["messages"][-2:]
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"city": "Oslo"}
    assert result["role"] == "tool"
    assert result["tool_call_id"] == call["tool_calls"][0]["id"]
    assert "21" in json.dumps(result["content"])


@needs_chromium
def test_results_of_the_settings_answer_calls_at_once_but_not_for_ever(page: Page, upstream: ScriptedUpstream) -> None:
    page.get_by_role("button", name="Add tool").click()
    page.get_by_label("Answer calls with these results at once").check()
    upstream.default = Reply(text="", tool_calls=(ToolCall("get_weather", "{}"),))
    try:
        send(page, "Weather?")
        expect(page.get_by_role("alert").first).to_contain_text("8 rounds")
    finally:
        upstream.default = Reply()
    assert len(upstream.requests) == 9


@needs_chromium
def test_four_models_get_the_same_prompt_and_each_has_its_own_answer(page: Page, upstream: ScriptedUpstream) -> None:
    for name in NAMES[1:]:
        page.get_by_role("button", name="Add a model beside").click()
        field = page.locator(".column").last.get_by_label("Model", exact=True)
        field.fill(name)
        field.press("Tab")
    expect(page.get_by_role("button", name="Add a model beside")).to_have_count(0)
    send(page, "The same for all")
    done(page, 4)
    assert sorted(one.json["model"] for one in upstream.requests) == sorted(NAMES)
    assert {one.json["messages"][-1]["content"] for one in upstream.requests} == {"The same for all"}
    send(page, "And again")
    done(page, 8)
    assert all(len(one.json["messages"]) == 3 for one in upstream.requests[4:])


@needs_chromium
def test_an_edited_message_begins_a_branch_and_the_old_one_stays(page: Page, upstream: ScriptedUpstream) -> None:
    upstream.enqueue(Reply(text="To the first."), Reply(text="To the second."))
    send(page, "First")
    done(page)
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("textbox", name="Edit").fill("Second")
    page.keyboard.press("Enter")
    expect(answers(page)).to_contain_text("To the second.")
    assert body(upstream)["messages"] == [{"role": "user", "content": "Second"}]
    page.get_by_role("button", name="Previous version").click()
    expect(answers(page)).to_contain_text("To the first.")
    upstream.enqueue(Reply(text="Once more."))
    page.get_by_role("button", name="Answer again").click()
    expect(answers(page)).to_contain_text("Once more.")
    assert body(upstream)["messages"] == [{"role": "user", "content": "First"}]


@needs_chromium
@pytest.mark.parametrize("door", DOORS)
def test_copied_code_runs_as_it_stands_and_gives_an_answer(
    page: Page, served: Served, upstream: ScriptedUpstream, door: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    choose(page, door)
    page.get_by_label("temperature").fill("0.4")
    page.get_by_role("textbox", name="Message").fill('It\'s "quoted" $HOME `x` \\ and\nlong: ä')
    page.get_by_role("button", name="Copy as code").click()
    shown = page.locator("#sheet code")
    curl = shown.inner_text()
    assert served.key not in curl
    environment = {**os.environ, "FAIRLEAD_API_KEY": served.key}
    ran = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, env=environment, timeout=60, check=True)
    assert "This is a scripted answer." in ran.stdout, ran.stdout
    sent = body(upstream)
    assert sent["temperature"] == 0.4
    page.get_by_role("tab", name="Python").click()
    monkeypatch.setenv("FAIRLEAD_API_KEY", served.key)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(shown.inner_text(), "copied", "exec"), {})
    assert "This is a scripted answer." in out.getvalue()
    said = body(upstream)["messages"][-1]["content"]
    assert (said if isinstance(said, str) else said[0]["text"]) == 'It\'s "quoted" $HOME `x` \\ and\nlong: ä'
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="TypeScript")).to_be_focused()
    expect(shown).to_contain_text("process.env.FAIRLEAD_API_KEY")
    if (node := shutil.which("node")) is not None and door == "chat":
        # The client that the code imports, as far as this code uses it: what it is called with is sent as it is.
        package = tmp_path / "node_modules" / "openai"
        package.mkdir(parents=True)
        (package / "package.json").write_text('{"name": "openai", "type": "module", "main": "index.js"}')
        (package / "index.js").write_text(OPENAI)
        (tmp_path / "copied.mjs").write_text(shown.inner_text())
        ran = subprocess.run([node, "copied.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
        assert "This is a scripted answer." in ran.stdout, ran.stdout
        assert body(upstream)["messages"][-1]["content"] == 'It\'s "quoted" $HOME `x` \\ and\nlong: ä'
        assert body(upstream)["temperature"] == 0.4


@needs_chromium
def test_a_shared_link_holds_settings_and_nothing_that_was_written(page: Page, served: Served) -> None:
    choose(page, "gemini")
    page.get_by_label("temperature").fill("0.7")
    page.get_by_label("System prompt").fill("SECRET-SYSTEM")
    page.get_by_label("stop").fill("SECRET-STOP")
    page.get_by_role("button", name="Add tool").click()
    page.get_by_label("Result to answer with").fill("SECRET-RESULT")
    page.get_by_label("Answer format").select_option("json_schema")
    page.locator("#schema").fill('{"title": "SECRET-SCHEMA"}')
    page.get_by_role("button", name="Copy as code").focus()
    send(page, "SECRET-PROMPT")
    done(page)
    page.get_by_role("button", name="Share settings").click()
    link = page.locator("#sheet code").inner_text()
    path, _, fragment = link.partition("#s=")
    assert path == f"{served.url}/playground"
    held = json.loads(base64.urlsafe_b64decode(fragment + "=" * (-len(fragment) % 4)))
    assert held == {"m": [NAMES[0]], "d": "gemini", "p": {"temperature": 0.7}}
    page.evaluate("localStorage.clear()")
    page.goto("about:blank")
    page.goto(link)
    page.wait_for_selector("[data-ready]")
    assert page.url == f"{served.url}/playground"
    expect(page.get_by_label("API", exact=True)).to_have_value("gemini")
    expect(page.get_by_label("temperature")).to_have_value("0.7")


@needs_chromium
def test_a_link_of_somebody_else_can_neither_break_the_page_nor_send_anything(
    page: Page, upstream: ScriptedUpstream
) -> None:
    for held in (
        '{"m": ["<img src=x>", 7, "qwen3-32b"], "d": "__proto__", "p": {"temperature": {"a": 1}, "stop": "x", "__proto__": 1}}',
        "[1]",
        "nonsense",
    ):
        fragment = base64.urlsafe_b64encode(held.encode()).decode().rstrip("=")
        page.goto("about:blank")
        page.goto(f"/playground#s={fragment}")
        page.wait_for_selector("[data-ready]")
        expect(page.get_by_label("API", exact=True)).to_have_value("chat")
        expect(page.get_by_label("temperature")).to_have_value("")
    assert upstream.requests == []


@needs_chromium
@pytest.mark.parametrize("door", DOORS)
def test_markup_of_models_tools_files_and_errors_stays_text(page: Page, upstream: ScriptedUpstream, door: str) -> None:
    choose(page, door)
    page.get_by_role("button", name="Add tool").click()
    text = f"{MARKUP}\n\n# {MARKUP}\n\n- {MARKUP}\n\n| {MARKUP} |\n|---|\n| x |\n\n```html\n{MARKUP}\n```\n\n> {MARKUP}\n\n"
    text += (
        "[a](javascript:alert(3)) [b](data:text/html,x) ![c](http://192.0.2.1/x.png) [d](https://example.org/%22%3E)"
    )
    upstream.enqueue(Reply(text=text, tool_calls=(ToolCall("get_weather", json.dumps({"city": MARKUP})),)))
    page.set_input_files(
        "#attach", [{"name": f"{MARKUP[:30]}.md", "mimeType": "text/markdown", "buffer": MARKUP.encode()}]
    )
    send(page, MARKUP)
    done(page)
    expect(answers(page).locator(".call code")).to_contain_text(MARKUP)
    expect(answers(page).locator(".code code")).to_have_text(MARKUP)
    assert page.locator("#columns img, #columns script, #columns [onerror]").count() == 0
    links = page.locator(".said a").evaluate_all("all => all.map(one => one.protocol + one.rel)")
    assert links == ["http:noopener noreferrer nofollow", "https:noopener noreferrer nofollow"]
    page.get_by_label("Result of get_weather").fill(MARKUP)
    upstream.enqueue(Reply(status=400, body=json.dumps({"error": {"message": f"refused {MARKUP}", "type": "x"}})))
    page.get_by_role("button", name="Send results").click()
    expect(answers(page).last.locator(".problem")).to_contain_text(f"refused {MARKUP}")
    assert page.locator("#columns img, #columns script, #columns [onerror]").count() == 0


@needs_chromium
@pytest.mark.parametrize("door", DOORS)
def test_files_reach_the_model_as_parts_of_the_message(page: Page, upstream: ScriptedUpstream, door: str) -> None:
    choose(page, door)
    page.set_input_files(
        "#attach",
        [
            {"name": "dot.png", "mimeType": "image/png", "buffer": PIXEL},
            {"name": "notes.md", "mimeType": "text/markdown", "buffer": b"# Notes"},
        ],
    )
    expect(page.locator("#files li")).to_have_count(2)
    send(page, "What is this?")
    done(page)
    said = json.dumps(body(upstream)["messages"][-1]["content"])
    assert base64.b64encode(PIXEL).decode() in said
    assert "# Notes" in said
    assert "What is this?" in said
    expect(page.locator("#files li")).to_have_count(0)


@needs_chromium
def test_a_dropped_file_is_attached_and_what_the_api_cannot_take_is_refused(page: Page) -> None:
    drop = """([name, type]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(20)], name, { type }));
      for (const kind of ['dragover', 'drop'])
        document.getElementById('prompt').dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
    }"""
    page.evaluate(drop, ["talk.mp3", "audio/mpeg"])
    expect(page.locator("#files")).to_contain_text("talk.mp3")
    choose(page, "messages")
    page.get_by_role("textbox", name="Message").fill("Listen")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_have_text("talk.mp3: this API takes no audio.")


@needs_chromium
def test_speech_is_recorded_heard_and_sent_as_wav_and_without_a_microphone_the_page_says_so(
    page: Page, upstream: ScriptedUpstream
) -> None:
    page.goto("/playground?model=another")  # of which it is not known what it takes
    page.wait_for_selector("[data-ready]")
    page.get_by_role("button", name="Record").click()
    stop = page.get_by_role("button", name="Stop recording")
    expect(stop).to_contain_text(re.compile("[1-9] s"), timeout=30_000)
    stop.click()
    expect(page.locator("#files audio")).to_have_count(1)
    send(page, "What do you hear?")
    done(page)
    [sound] = [one for one in body(upstream)["messages"][-1]["content"] if one["type"] == "input_audio"]
    assert sound["input_audio"]["format"] == "wav"
    with wave.open(io.BytesIO(base64.b64decode(sound["input_audio"]["data"]))) as heard:
        assert (heard.getframerate(), heard.getnchannels(), heard.getsampwidth()) == (16_000, 1, 2)
        assert heard.getnframes() > 8_000
    refuse = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError'))"
    page.evaluate(f"() => {{ {refuse} }}")
    page.get_by_role("button", name="Record").click()
    expect(page.locator("#problem")).to_contain_text("No microphone was found.")
    choose(page, "messages")
    page.get_by_role("button", name="Record").click()
    expect(page.locator("#problem")).to_have_text("Record: this API takes no audio.")


@needs_chromium
def test_a_json_schema_is_sent_and_a_broken_one_is_not(page: Page, upstream: ScriptedUpstream) -> None:
    page.get_by_label("Answer format").select_option("json_schema")
    page.locator("#schema").fill("{broken")
    send(page, "Answer")
    expect(page.locator("#problem")).to_have_text("This is not a JSON object.")
    assert upstream.requests == []
    page.locator("#schema").fill('{"type": "object", "properties": {"a": {"type": "string"}}}')
    upstream.enqueue(Reply(text='{"a": "b"}'))
    page.get_by_role("button", name="Send", exact=True).click()
    done(page)
    assert body(upstream)["response_format"]["json_schema"]["schema"]["properties"] == {"a": {"type": "string"}}


@needs_chromium
def test_conversations_stay_in_the_browser_and_can_be_deleted_and_brought_back(page: Page) -> None:
    send(page, "Remember this")
    done(page)
    expect(page.locator("#kept li button").first).to_have_text("Remember this")
    page.reload()
    page.wait_for_selector("[data-ready]")
    page.get_by_role("button", name="Remember this", exact=True).click()
    expect(answers(page)).to_contain_text("This is a scripted answer.")
    page.get_by_role("button", name="Rename: Remember this").click()
    page.get_by_role("textbox", name="Rename").fill("Kept for later")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Kept for later", exact=True)).to_be_focused()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Export as JSON: Kept for later").click()
    assert saved.value.suggested_filename == "Kept-for-later.json"
    kept = json.loads(saved.value.path().read_text())
    assert (kept["format"], kept["title"]) == ("fairlead.conversation.1", "Kept for later")
    assert [one["role"] for one in kept["columns"][0]["nodes"]] == ["user", "assistant"]
    page.get_by_role("button", name="Delete all").click()
    expect(page.locator("#kept")).to_have_text("None yet.")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#kept li button").first).to_have_text("Kept for later")
    page.get_by_role("button", name="Delete all").click()
    expect(page.locator("#kept")).to_have_text("None yet.")
    page.reload()
    page.wait_for_selector("[data-ready]")
    expect(page.locator("#kept")).to_have_text("None yet.")


@needs_chromium
def test_without_a_key_the_page_asks_for_one_and_forgets_it_when_told(page: Page, upstream: ScriptedUpstream) -> None:
    page.evaluate("document.getElementById('playground').dataset.guests = ''")
    page.get_by_role("button", name="Forget key").click()
    assert page.evaluate("sessionStorage.getItem('fairlead.key')") is None
    send(page, "Hello")
    expect(page.locator("#problem")).to_have_text("An API key is needed. Paste one in the settings.")
    expect(page.get_by_label("API key", exact=True)).to_be_focused()
    assert upstream.requests == []


@needs_chromium
def test_a_guest_tries_a_free_model_and_is_told_that_others_need_a_key(page: Page, upstream: ScriptedUpstream) -> None:
    page.get_by_role("button", name="Forget key").click()
    expect(page.locator("#whose")).to_have_text("as guest")
    send(page, "Hello")
    expect(page.locator("#problem")).to_have_text("Guests call free models only. Choose one, or paste an API key.")
    field = page.get_by_label("Model", exact=True)
    field.fill("gratis")
    field.press("Tab")
    page.get_by_role("button", name="Send", exact=True).click()
    done(page)
    expect(answers(page).locator(".figures")).to_contain_text("free")
    assert [one.json["model"] for one in upstream.requests] == ["gratis"]


@needs_chromium
def test_everything_can_be_done_with_the_keyboard_and_axe_finds_nothing(page: Page, upstream: ScriptedUpstream) -> None:
    page.get_by_role("button", name="Add tool").click()
    upstream.enqueue(
        Reply(text="# Title\n\n```py\nx\n```\n\n| a |\n|---|\n| 1 |", tool_calls=(ToolCall("get_weather"),))
    )
    expect(page.get_by_role("textbox", name="Message")).to_have_count(1)
    page.get_by_role("textbox", name="Message").focus()
    page.keyboard.type("Hello")
    page.keyboard.press("Enter")
    done(page)
    expect(page.get_by_role("textbox", name="Message")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
    reached = page.evaluate(
        "document.activeElement.closest('#playground') !== null || document.activeElement.closest('header') !== null"
    )
    assert reached
    for scheme, width in (("light", 1280), ("dark", 390)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        if width == 390:
            page.get_by_role("button", name="Settings", exact=True).click()
        no_barriers(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Copy as code").click()
    no_barriers(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Copy as code")).to_be_focused()
