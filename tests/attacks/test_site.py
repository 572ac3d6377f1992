"""What a stranger, a catalogue or a provider may try on the pages: markup in every word, addresses nobody meant, and
more visits than there is time for."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from playwright.sync_api import Browser
from starlette.applications import Starlette
from tests.browsing import needs_chromium, profile
from tests.e2e.conftest import Served, model, provider, serving
from tests.site.asking import Answer, ask, pages_of

from fairlead import site
from fairlead.catalogue.facts import Change, Claim, Fact, ListPrice, ModelFacts, Source, Vendor
from fairlead.catalogue.snapshot import Deployment, Model, Provider, Snapshot
from fairlead.http.limits import Timeouts
from fairlead.prices import PriceSheet, Schedule
from fairlead.site.page_cache import MOST_QUERIED_BYTES
from fairlead.site.records import Event, Priced, Used
from fairlead.telemetry.figures import Band, DayBar, Figures, Measure, ModelDay, Performance, Point, Rate
from fairlead.telemetry.figures import Served as ServedBy
from fairlead.wire.usage import TokenClasses

# Each of these is live where it is not escaped: in text, in an attribute, in a title, in a script element, in a shell,
# in a template, in Markdown.
LIVE = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "' onmouseover='alert(3)", "</title><b>", "{{ 7 * 7 }}",
    "[x](javascript:alert(4))", "<javascript:alert(5)>", "`|\n# x",
)  # fmt: skip
HOSTILE = "H " + " ".join(LIVE)
HOSTILE_ID = HOSTILE.replace("\n", "")
SLUG = "v\"><img src=x onerror=alert(6)>'"
JAVASCRIPT = "javascript:alert(7)"
LANGUAGES = ("en", "de", "zh")


def hostile_snapshot() -> Snapshot:
    """Two models of which every word is hostile, and one plain one."""
    sources = {HOSTILE: Source(HOSTILE, HOSTILE, "vendor", HOSTILE, JAVASCRIPT, HOSTILE)}
    words = (
        "name", "description", "family", "released", "knowledge_cutoff", "licence", "weights", "size", "tokenizer",
        "quantization", "mode", "status", "retires", "successor", f"parameter.{HOSTILE}", f"link.{HOSTILE}",
        f"default.{HOSTILE}",
    )  # fmt: skip
    facts = {name: Fact(HOSTILE, HOSTILE, HOSTILE, (Claim(HOSTILE, HOSTILE),)) for name in words}
    facts[f"capability.{HOSTILE}"] = facts[f"parameter.{HOSTILE}"] = Fact(True, HOSTILE)
    facts["parameter.temperature"] = Fact(True, HOSTILE)
    facts["default.temperature"] = Fact(HOSTILE, HOSTILE)
    facts["weights"] = Fact(JAVASCRIPT, HOSTILE)
    facts["input_modalities"] = facts["output_modalities"] = Fact((HOSTILE,), HOSTILE)
    models = {}
    for name in (HOSTILE_ID, f"second {HOSTILE_ID}"):
        known = ModelFacts(
            name, SLUG, sources, facts, (f"alias {name}",), (ListPrice(HOSTILE, {"input": "1", "output": "2"}),),
            (Change(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE),), HOSTILE,
        )  # fmt: skip
        sheet = PriceSheet(f"{HOSTILE}/{name}", Schedule(TokenClasses(input=100_000, output=300_000)))
        deployments = tuple(
            Deployment(f"{at} {HOSTILE}/{name}", HOSTILE, HOSTILE, sheet, 1.0, 0, region=HOSTILE, quantization=HOSTILE)
            for at in range(2)
        )
        models[name] = Model(
            name, HOSTILE, SLUG, HOSTILE, 0, 128_000, 4_096, (HOSTILE,), (HOSTILE,), (HOSTILE,), (HOSTILE, "temperature"),
            deployments=deployments, aliases=(f"alias {name}",), facts=known,
        )  # fmt: skip
    provider = Provider(HOSTILE, HOSTILE, "vllm", Timeouts(1, 1, 1, 1), 1, 1, 1, region=HOSTILE, api_version=HOSTILE)
    vendors = {SLUG: Vendor(SLUG, HOSTILE, JAVASCRIPT)}
    aliases = {f"alias {name}": name for name in models}
    return Snapshot(models, {HOSTILE: provider}, vendors, aliases)


class HostileRecords:
    """What was recorded under names that are hostile."""

    async def shares(self) -> dict[str, Rate]:
        return {HOSTILE_ID: Rate(0.7, 100)}

    async def model_days(self, days: int) -> tuple[ModelDay, ...]:
        today = datetime.now(UTC).date().isoformat()
        return tuple(ModelDay(name, today, 9, 900, 90) for name in (HOSTILE_ID, f"gone {HOSTILE}"))

    async def day_bars(self, model: str, deployment: str = "") -> tuple[DayBar, ...]:
        return (DayBar("2026-11-30", 5, Rate(0.9, 5), Rate(0.9, 5)),)

    async def performance(self, model: str, window: str) -> Performance:
        traffic = _figures()
        served = tuple(
            ServedBy(f"{at} {HOSTILE}/{model}", traffic, traffic, (_point(0), _point(60), _point(120)))
            for at in range(2)
        )
        return Performance(model, window, 0, 180, 60, 180, ServedBy("", traffic, traffic, ()), served)

    async def prices(self, deployments: Sequence[str]) -> tuple[Priced, ...]:
        return tuple(Priced(name, at, at, 2 * at) for name in deployments for at in (86_400, 172_800))

    async def used(self, model: str, days: int) -> tuple[Used, ...]:
        today = datetime.now(UTC).date()
        return tuple(
            Used((today - timedelta(back)).isoformat(), f"0 {HOSTILE}/{model}", 9, 90_000, 60_000, 90)
            for back in reversed(range(days))
        )

    async def events(self, since_ms: int) -> tuple[Event, ...]:
        return (
            Event(f"0 {HOSTILE}", HOSTILE, "open", HOSTILE, since_ms + 86_400_000),
            Event(f"{HOSTILE}\x00\x0b", HOSTILE, "open", HOSTILE, since_ms + 86_500_000),
            Event(f"{HOSTILE}\x00\x0b", HOSTILE, "closed", HOSTILE, since_ms + 86_600_000),
        )


def _figures() -> Figures:
    rate, measure = Rate(0.5, 100), Measure("ms", 100, 5.0, 9.0, 2.0, 5.0)
    return Figures(100, 50, 50, 0, 0, 0, rate, rate, measure, measure, measure, 9, 9, {})


def _point(at: int) -> Point:
    band = Band(50, 5.0, 9.0, 2.0)
    return Point(at, 50, 40, 10, band, band, band)


class Live(HTMLParser):
    """Collects what would run or load in a page, and its data blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.data: list[str] = []
        self.titles = 0
        self._in_data = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.titles += tag == "title"
        self._in_data = tag == "script" and given.get("type") == "application/ld+json"
        if tag == "script" and not self._in_data and not (given.get("src") or "").startswith("/static/"):
            self.found.append(f"<script {given}>")
        own = tag == "img" and re.fullmatch(r"/models/[A-Za-z0-9%/._~-]+/(card|badge)\.svg", given.get("src") or "")
        if tag in ("img", "iframe", "object", "embed", "style", "base", "b") and not own:
            self.found.append(f"<{tag} {given}>")
        for name, value in attrs:
            address = re.sub(r"[\s\x00-\x1f]", "", value or "").lower()
            if name.startswith("on") or name == "style" or address.startswith(("javascript:", "data:", "vbscript:")):
                self.found.append(f"<{tag} {name}={value!r}>")
            if name in ("href", "action", "src") and not address.startswith(("/", "#", "?", "http")):
                self.found.append(f"<{tag} {name}={value!r}>")

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._in_data = False


def assert_dead(answer: Answer, where: str) -> None:
    """Nothing of a page runs, whatever its form."""
    assert answer.headers["x-content-type-options"] == "nosniff", where
    kind = answer.headers["content-type"]
    text = answer.text if "png" not in kind else ""
    if kind.startswith("text/html"):
        page = Live()
        page.feed(text)
        assert page.found == [], where
        assert "49" not in re.findall(r"H (\d+)", text), where
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy, where
        for block in page.data:
            assert "<" not in block, where
            assert json.loads(block), where
    elif "xml" in kind:
        root = ET.fromstring(text)
        spaces = {one.tag.partition("}")[0] for one in root.iter()}
        assert spaces <= {"{http://www.w3.org/2005/Atom", "{http://www.sitemaps.org/schemas/sitemap/0.9",
                          "{http://www.w3.org/1999/xhtml", "{http://www.w3.org/2000/svg"}, where  # fmt: skip
        if "svg" in kind:
            tags = {one.tag.rpartition("}")[2] for one in root.iter()}
            assert tags <= {"svg", "title", "desc", "style", "g", "path", "rect", "circle", "text"}, where
            names = {name for one in root.iter() for name in one.attrib}
            assert not [name for name in names if name.startswith("on") or "href" in name], where
            assert "sandbox" in answer.headers["content-security-policy"], where
        assert all(not value.startswith("javascript:") for one in root.iter() for value in one.attrib.values()), where
    elif "json" in kind:
        assert json.loads(text), where
    elif "markdown" in kind or "plain" in kind:
        assert_dead_markdown(text.partition("\n# Guides\n")[0], where)
    else:
        assert kind == "image/png", where
        assert answer.body.startswith(b"\x89PNG"), where


def assert_dead_markdown(text: str, where: str) -> None:
    """Neither a link that runs, nor markup, nor a heading made of somebody's words."""
    outside = re.sub(r"^```sh\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    outside = re.sub(r"\\[\\`<\[\]|]", "", outside)
    assert not re.search(r"\]\(\s*<?(?!/|https?:)", outside), where
    assert not re.search(r"<[a-zA-Z/!]", outside), where
    assert "`|" not in outside, where
    assert "# x" not in text.splitlines(), where


@pytest.fixture(scope="module")
def pages() -> Starlette:
    return pages_of(
        hostile_snapshot(),
        obstacle=lambda _: HOSTILE,
        given={"records": HostileRecords(), "broken": lambda _: HOSTILE},
    )


def paths_of(snapshot: Snapshot) -> list[str]:
    """Every page that there is of a catalogue, in every form."""
    ids = [quote(name, safe="") for name in snapshot.models]
    vendor = quote(SLUG, safe="")
    found = [
        "/index",
        "/models",
        f"/models/{vendor}",
        f"/compare/{ids[0]}/{ids[1]}",
        "/compare",
        "/rankings",
        "/status",
    ]
    found += [f"/models/{vendor}/{one}" for one in ids]
    forms = [f"{path}{form}" for path in found for form in ("", ".json", ".md")]
    forms.remove("/index")
    others = ["/", "/models?view=cards", "/models?view=chart", "/search.json", "/status.atom", "/sitemap.xml", "/robots.txt",
              "/llms.txt", "/keys/new", "/docs", f"/models/{vendor}/{ids[0]}?window=7d&prompt=1"]  # fmt: skip
    shared = ["/models.atom", "/api/catalogue.json", "/llms-full.txt"]
    for one in ids:
        page = f"/models/{vendor}/{one}"
        shared += [f"{page}.atom", f"{page}/card.svg", f"{page}/badge.svg", f"{page}/badge.svg?show=price"]
    return [*forms, *others, *shared, *(f"/models/{vendor}/{one}.png" for one in ids)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_of_a_catalogue_a_configuration_or_a_provider_is_live_on_any_page(
    pages: Starlette, language: str
) -> None:
    async def run() -> None:
        for path in paths_of(hostile_snapshot()):
            answer = await ask(pages, path, headers={"accept-language": language})
            assert answer.status == 200, path
            assert_dead(answer, f"{path} in {language}")
            if answer.headers["content-type"].startswith("text/html") and "/models" in path:
                assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text, f"{path} shows none of it"

    asyncio.run(run())


def test_what_a_visitor_writes_into_an_address_is_live_on_no_page(pages: Starlette) -> None:
    """Query strings, paths, hosts and cookies."""
    word = quote(HOSTILE, safe="")
    names = ("q", "vendor", "provider", "capability", "input", "sort", "view", "page", "price", "context", "period", "window",
             "model", "prompt", "lang", "nothing")  # fmt: skip
    query = "&".join(f"{name}={word}" for name in names)

    async def run() -> None:
        for path in paths_of(hostile_snapshot()):
            answer = await ask(
                pages, path + ("&" if "?" in path else "?") + query, headers={"cookie": f"lang={LIVE[0]}"}
            )
            assert answer.status == 200, path
            assert_dead(answer, path)
        for path in (f"/{word}", f"/docs/{word}", f"/models/{word}", f"/compare/{word}/{word}", f"/static/{word}"):
            answer = await ask(pages, path)
            assert answer.status == 404, path
            assert_dead(answer, path)
        for host in (
            HOSTILE_ID,
            "[",
            "a]b",
            "x" * 5_000,
            "evil.example/<script>",
            "\xb2:\xb2",
            "a:" + "9" * 5_000,
        ):
            answer = await ask(pages, "/", headers={"host": host})
            assert answer.status == 200, host
            assert_dead(answer, host)

    asyncio.run(run())


def test_templates_take_no_text_for_markup_but_that_of_the_documentation() -> None:
    folder = Path(site.__file__).parent / "templates"
    marked = {
        str(file.relative_to(folder)) for file in folder.rglob("*.html") if re.search(r"\| *safe\b", file.read_text())
    }
    assert marked == {"guide.html"}


# --- what a stranger sends


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    word = json.dumps(HOSTILE_ID)
    config = provider("http://127.0.0.1:9/v1") + model()
    config += f'[[models]]\nid = "named"\nname = {word}\nvendor = {json.dumps(SLUG)}\ndescription = {word}\n'
    with serving(tmp_path_factory.mktemp("strange"), config) as running:
        yield running
        assert "Traceback" not in running.output


def sent(served: Served, head: str) -> bytes:
    """What the server answers to a head as it stands, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as one:
        one.sendall(head.encode("latin-1") + b"Connection: close\r\n\r\n")
        found = b""
        while block := one.recv(65_536):
            found += block
    return found


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:80]
    return int(answer[9:12])


TARGETS = (
    "/%00", "/models/%00", "/models/%ff%fe", "/%c0%ae%c0%ae/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/static/..%2fapp.py",
    "/static/../app.py", "/docs/..%2f..%2fpyproject.toml", "/docs/%2e%2e/%2e%2e/README", "//evil.example/", "/\\evil.example/",
    "///", "/models//", "/models/%2f%2f", "/compare/%2f/%2f", "/compare/" + "a/" * 500, "/models/" + "x" * 8_000, "/%", "/%zz",
    "/models/a.json.md", "/models/.json", "/.json", "/models/mistralai/.png", "/a;b=c", "/models?%", "/models?=&&==&", "/?" + "&" * 8_000,
    "/models?q=%ff%00", "/models?page=99999999999999999999", "/models?page=-1", "/models?page=%C2%B2", "/models?context=" + "9" * 5_000,
    "/models?price=1e999999999", "/models?price=NaN", "/models?price=-0", "/models?price=%D9%A1", "/models?sort=&sort=--name", "/models?view=chart&q=%00",
    "/models?q=" + "a+" * 100, "/models?" + "&".join(f"vendor={at}" for at in range(1_500)), "/rankings?period=%00", "/compare?model=&model=%00&model=%00",
    "/models/mistralai/mistral-small-3.2?prompt=" + "9" * 3_000, "/models/mistralai/mistral-small-3.2?prompt=%D9%A1&cached=-1&calls=1e9",
    "/models/mistralai/mistral-small-3.2?window=%00", "/?lang=%00", "/?lang=../../etc", "/status.atom?x=%0d%0aset-cookie:a=b",
    "/models/mistralai/?%0d%0alocation:%20http://evil.example", "http://evil.example/models", "*", "/\xff\xfe", "/models?q=\xff",
)  # fmt: skip
HEADERS = (
    "Accept-Language: " + "de;q=" + "9" * 4_000, "Accept-Language: ;q=,;q=x,*;q=nan,de;q=inf,zh;q=1e999,-;q=-1", "Accept-Language: \xff\xfe,\xb2",
    "Accept-Language: " + "a," * 10_000, "If-None-Match: \"", "If-None-Match: *, W/\"\xff\", " + '"x",' * 2_000, "If-None-Match: ",
    "Cookie: " + "lang=" * 5_000, "Cookie: lang=\xff; =; ;;; lang", "Cookie: " + "; ".join(f"c{at}={at}" for at in range(2_000)),
    "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: javascript\r\nX-Forwarded-For: \xff\r\nForwarded: host=evil.example",
    "Accept: text/html;q=\xff, */*", "Accept-Encoding: gzip;q=0, \xff, br", "Range: bytes=99999999999-", "Content-Length: 0", "Origin: null",
    "Authorization: Bearer \xff", "X-Request-Id: \xff<script>",
)  # fmt: skip
HOSTS = (
    "[",
    "]",
    "[::1",
    "a:b:c",
    "\xb2",
    "a:\xb2",
    "x:" + "9" * 5_000,
    "",
    "evil.example/<script>",
    "a b",
    "@",
    "%00",
    "[::ffff:1.2.3.4%25eth0]",
)


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_no_address_is_an_error_500_or_leads_to_another_host(served: Served, accept: str) -> None:
    for target in TARGETS:
        answer = sent(served, f"GET {target} HTTP/1.1\r\nHost: evil.example\r\nAccept: {accept}\r\n")
        assert status_of(answer) < 500, target
        head = answer.partition(b"\r\n\r\n")[0].lower()
        location = re.search(rb"\r\nlocation: ([^\r\n]*)", head)
        if location is not None:
            assert re.match(rb"/(?![/\\])", location[1]), (target, location[1])
        assert b"set-cookie: a=b" not in head, target
        assert b"traceback" not in answer.lower(), target


def test_no_header_is_an_error_500(served: Served) -> None:
    for path in ("/", "/status.json", "/nothing", "/static/site.css"):
        for header in HEADERS:
            answer = sent(served, f"GET {path} HTTP/1.1\r\nHost: llm.example\r\nAccept: text/html\r\n{header}\r\n")
            assert status_of(answer) < 500, (path, header[:60])
            assert b"evil.example" not in answer, (path, header[:60])
        for host in HOSTS if path in ("/", "/nothing") else ():
            answer = sent(served, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n")
            assert status_of(answer) < 500, (path, host[:60])


PAGES = ("/", "/models", "/models.json", "/models/mistralai", "/models/mistralai/mistral-small-3.2", "/search.json", "/compare", "/rankings",
         "/models/mistralai/mistral-small-3.2.png", "/status", "/status.atom", "/docs", "/docs/internals/wire.md", "/sitemap.xml", "/robots.txt",
         "/llms.txt", "/llms-full.txt", "/api/catalogue.json", "/models.atom", "/models/mistralai/mistral-small-3.2.atom",
         "/models/mistralai/mistral-small-3.2/badge.svg", "/models/mistralai/mistral-small-3.2/card.svg", "/favicon.svg", "/static/site.css", "/keys/new")  # fmt: skip


def test_every_page_is_only_read_and_says_so(served: Served) -> None:
    for path in PAGES:
        whole = sent(served, f"GET {path} HTTP/1.1\r\nHost: llm.example\r\nAccept: text/html\r\n")
        head = sent(served, f"HEAD {path} HTTP/1.1\r\nHost: llm.example\r\nAccept: text/html\r\n")
        assert (status_of(whole), status_of(head)) == (200, 200), path
        assert head.endswith(b"\r\n\r\n"), path
        assert b"x-content-type-options: nosniff" in whole.partition(b"\r\n\r\n")[0].lower(), path
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            answer = sent(served, f"{method} {path} HTTP/1.1\r\nHost: llm.example\r\nContent-Length: 0\r\n")
            assert status_of(answer) == 405, (method, path)
            assert b"\r\nallow: GET, HEAD\r\n" in answer, (method, path)


def test_redirects_lead_below_the_public_address_whatever_host_was_asked(tmp_path: Path) -> None:
    config = '[server]\npublic_url = "https://llm.example.org"\n' + provider("http://127.0.0.1:9/v1") + model()
    with serving(tmp_path, config) as served:
        for path, target in (
            ("/models/", "/models"),
            ("/status/?lang=de", "/status?lang=de"),
            ("/models/mistral-small-3.2", "/models/mistralai/mistral-small-3.2"),
            ("/models/nobody/mistral-small-3.2", "/models/mistralai/mistral-small-3.2"),
            ("/compare?model=mistral-small-3.2&model=gpt-oss-120b", "/compare/mistral-small-3.2/gpt-oss-120b"),
        ):
            answer = sent(served, f"GET {path} HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\n")
            assert f"\r\nlocation: https://llm.example.org{target}\r\n".encode() in answer, path
            assert b"evil.example" not in answer, path


def test_thousands_of_addresses_that_nobody_meant_leave_nothing_behind() -> None:
    """The queries of one visitor push out no plain page, and what is kept has a bound in bytes."""

    async def run() -> None:
        app = pages_of(hostile_snapshot())
        cache = app.state.context.cache
        plain = ("/", "/models", "/status", "/compare")
        for path in plain:
            assert (await ask(app, path)).status == 200
        before = len(cache.plain)
        for at in range(400):
            long = f"{at}" + "x" * (at * 40 % 8_000)
            for target in (
                f"/models?q={at}",
                f"/models?vendor={long}",
                f"/compare?model={long}",
                f"/rankings?unknown={long}",
            ):
                assert (await ask(app, target)).status == 200
            assert (await ask(app, f"/nothing/{long}")).status == 404
            assert (await ask(app, f"/{at}", headers={"host": f"{at}.example"})).status == 404
        assert len(cache.plain) == before
        assert cache.queried.bytes <= MOST_QUERIED_BYTES
        assert len(cache._errors) == 1
        assert sum(sys.getsizeof(key) for key in cache.queried._kept) < MOST_QUERIED_BYTES

    asyncio.run(run())


@needs_chromium
def test_no_script_of_a_name_runs_in_a_browser(browser: Browser, served: Served) -> None:
    context = profile(browser, served.url, locale="de")
    page = context.new_page()
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    for path in (
        "/models?q=alert",
        "/models?view=cards&q=alert",
        f"/models/{quote(SLUG, safe='')}",
        f"/models/{quote(SLUG, safe='')}/named",
    ):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200
        assert "<script>alert(1)</script>" in page.locator("body").inner_text(), path
        assert page.locator("main img:not([src^='/models/']), main b, h1 script").count() == 0, path
    page.goto("/models")
    page.get_by_role("searchbox").press_sequentially("onerror")  # the list is drawn by the script now
    page.locator("#rows tr").filter(has_text="<script>alert(1)").first.wait_for()
    assert page.locator("#rows img, #rows script").count() == 0
    context.close()
    assert said == []
