"""What other pages and programs embed, subscribe to or read whole."""

from __future__ import annotations

import asyncio
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Coroutine
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.applications import Starlette
from tests.site import lively
from tests.site.asking import Answer, ask, pages_of

from fairlead.api.openapi import SCHEMAS
from fairlead.catalogue.snapshot import Snapshot
from fairlead.site.records import Unreadable

ATOM = "{http://www.w3.org/2005/Atom}"
PATH = lively.PATH
MANY = 5_000
PAGE_BYTES = 60 * 1024


@pytest.fixture(scope="module")
def app() -> Starlette:
    snapshot = lively.snapshot()
    return pages_of(snapshot, at=lively.NOW, given={"records": lively.LivelyRecords(snapshot)})


@pytest.fixture(scope="module")
def many() -> Starlette:
    """A catalogue of 5,000 models, of which a hundred are deployed."""
    one = lively.snapshot()
    whole, bare = one.models[lively.MODEL], one.models["gpt-5"]
    models = {}
    for number in range(MANY):
        model = whole if number < 100 else bare
        name = f"model-{number:04}"
        deployments = tuple(replace(each, id=f"{each.id}-{number}") for each in model.deployments)
        models[name] = replace(model, id=name, name=f"Model {number}", deployments=deployments, aliases=())
    return pages_of(Snapshot(models, one.providers, one.vendors, {}), at=lively.NOW)


def run(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(check())


def words(answer: Answer) -> str:
    assert answer.status == 200
    assert answer.headers["content-type"] == "image/svg+xml"
    return " ".join(text for one in ET.fromstring(answer.text).iter() if (text := (one.text or "").strip()))


def test_a_badge_says_the_figure_that_is_asked_for(app: Starlette) -> None:
    async def check() -> None:
        for show, said in (
            ("", "available"), ("status", "available"), ("price", "free to $0.15 in, free to $0.45 out per million tokens"),
            ("latency", "180 ms to first token"), ("speed", "142 tokens/s"), ("uptime", "uptime"), ("nonsense", "available"),
        ):  # fmt: skip
            text = words(await ask(app, f"{PATH}/badge.svg?show={show}"))
            assert said in text, show
            assert "Mistral Small 3.2" in text

    run(check)


def test_a_card_says_state_prices_first_token_and_uptime(app: Starlette) -> None:
    async def check() -> None:
        text = words(await ask(app, f"{PATH}/card.svg"))
        for said in ("Mistral AI", "Mistral Small 3.2", "Available", "Input", "free to $0.15", "180 ms", "99.31 %"):
            assert said in text, said
        text = words(await ask(app, "/models/openai/gpt-5/card.svg"))
        assert "Not deployed" in text
        assert "400,000" in text

    run(check)


def test_a_picture_is_dark_light_or_as_the_reader_has_it(app: Starlette) -> None:
    async def check() -> None:
        for name in ("card", "badge"):
            dark, light, auto = [
                (await ask(app, f"{PATH}/{name}.svg?theme={theme}")).text for theme in ("dark", "light", "")
            ]
            assert "prefers-color-scheme" in auto
            assert "<style" not in dark + light
            assert dark != light

    run(check)


@pytest.mark.parametrize("path", [f"{PATH}/badge.svg", f"{PATH}/card.svg", f"{PATH}.atom", "/models.atom", "/models.rss",
                                  "/api/catalogue.json", "/llms-full.txt"])  # fmt: skip
def test_what_is_shared_may_be_loaded_from_anywhere_and_is_not_sent_twice(app: Starlette, path: str) -> None:
    async def check() -> None:
        first = await ask(app, path, headers={"origin": "https://blog.example"})
        assert first.status == 200
        assert first.headers["access-control-allow-origin"] == "*"
        assert first.headers["cross-origin-resource-policy"] == "cross-origin"
        assert first.headers["cache-control"] == "public, max-age=60"
        assert "set-cookie" not in first.headers
        again = await ask(app, path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status, again.body) == (304, b"")

    run(check)


def test_an_invented_query_makes_no_other_picture(app: Starlette) -> None:
    async def check() -> None:
        before = (await ask(app, f"{PATH}/badge.svg?theme=x&show=y")).headers["etag"]
        kept = len(app.state.context.cache.queried)
        for number in range(5):
            assert (await ask(app, f"{PATH}/badge.svg?theme={number}&x={number}")).headers["etag"] == before
        assert len(app.state.context.cache.queried) == kept

    run(check)


def test_an_alias_leads_to_the_picture_of_its_model_and_an_unknown_model_has_none(app: Starlette) -> None:
    async def check() -> None:
        moved = await ask(app, "/models/nobody/mistral-small-3.2/badge.svg?theme=dark")
        assert moved.status == 301
        assert moved.headers["location"].endswith(f"{PATH}/badge.svg?theme=dark")
        assert (await ask(app, "/models/mistralai/nothing/badge.svg")).status == 404

    run(check)


def test_the_page_of_a_model_has_code_to_embed_that_leads_to_it(app: Starlette) -> None:
    async def check() -> None:
        page = (await ask(app, PATH)).text
        assert f"[![Mistral Small 3.2](http://llm.example{PATH}/badge.svg)](http://llm.example{PATH})" in page
        assert f"http://llm.example{PATH}/card.svg" in page
        assert f'type="application/atom+xml" href="{PATH}.atom"' in page

    run(check)


def entries(answer: Answer) -> list[dict[str, str]]:
    assert answer.headers["content-type"].startswith("application/atom+xml")
    found = []
    for one in ET.fromstring(answer.text).iter(f"{ATOM}entry"):
        entry = {child.tag.removeprefix(ATOM): child.text or "" for child in one}
        category = one.find(f"{ATOM}category")
        assert category is not None
        found.append({**entry, "kind": category.attrib["term"]})
    return found


def test_the_feed_has_new_models_new_deployments_and_prices_that_changed_the_newest_first(app: Starlette) -> None:
    async def check() -> None:
        found = entries(await ask(app, "/models.atom"))
        assert {one["kind"] for one in found} >= {"model", "price"}
        assert [one["updated"] for one in found] == sorted((one["updated"] for one in found), reverse=True)
        assert len({one["id"] for one in found}) == len(found)
        (price,) = (one for one in entries(await ask(app, f"{PATH}.atom")) if one["kind"] == "price")
        assert price["content"] == (
            "harbour/mistral-small-3.2: $0.10 per million input tokens, $0.30 per million output tokens; "
            "before: $0.15 per million input tokens, $0.45 per million output tokens."
        )
        mine = [one for one in found if "Mistral Small" in one["title"]]
        assert [one["title"] for one in entries(await ask(app, f"{PATH}.atom"))] == [one["title"] for one in mine]

    run(check)


def test_rss_has_the_entries_of_atom_and_pages_lead_readers_to_both(app: Starlette) -> None:
    async def check() -> None:
        for path, page in (("/models", "/models"), (PATH, PATH)):
            answer = await ask(app, f"{path}.rss")
            assert answer.headers["content-type"] == "application/rss+xml; charset=utf-8"
            channel = ET.fromstring(answer.text).find("channel")
            assert channel is not None
            items = channel.findall("item")
            shown = entries(await ask(app, f"{path}.atom"))
            assert [one.findtext("guid") for one in items] == [one["id"] for one in shown]
            assert [one.findtext("title") for one in items] == [one["title"] for one in shown]
            times = [parsedate_to_datetime(one.findtext("pubDate") or "") for one in items]
            assert [f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in times] == [one["updated"] for one in shown]
            head = (await ask(app, page)).text.partition("</head>")[0]
            assert f'type="application/rss+xml" href="{path}.rss"' in head
            assert f'type="application/atom+xml" href="{path}.atom"' in head

    run(check)


class NoDatabase(lively.LivelyRecords):
    async def prices(self, deployments: object) -> tuple[Any, ...]:
        raise Unreadable

    async def performance(self, model: str, window: str) -> Any:
        raise Unreadable


def test_without_the_database_a_picture_says_so_and_a_feed_is_asked_for_later() -> None:
    snapshot = lively.snapshot()
    app = pages_of(snapshot, at=lively.NOW, given={"records": NoDatabase(snapshot)})

    async def check() -> None:
        assert "no data" in words(await ask(app, f"{PATH}/badge.svg?show=latency"))
        assert "no data" in words(await ask(app, f"{PATH}/card.svg"))
        feed = await ask(app, "/models.atom")
        assert feed.status == 503
        assert feed.headers["retry-after"]

    run(check)


def test_the_catalogue_is_whole_with_facts_deployments_and_prices(app: Starlette) -> None:
    async def check() -> None:
        found = json.loads((await ask(app, "/api/catalogue.json")).body)
        assert (found["pages"], found["next"]) == (1, None)
        assert len(found["models"]) == found["total"] == len(lively.snapshot().models)
        (model,) = (one for one in found["models"] if one["id"] == lively.MODEL)
        assert model["url"] == f"http://llm.example{PATH}"
        assert "temperature" in model["parameters"]
        assert model["state"] == "up"
        by_provider = {one["provider"]: one for one in model["deployments"]}
        assert by_provider["harbour"]["prices"]["input"] == "0.10"
        assert by_provider["harbour"]["region"] == "eu"
        assert by_provider["quayside"]["context_length"] == 32_768
        jsonschema.validate(found, SCHEMAS["CataloguePage"])

    run(check)


def test_a_huge_catalogue_is_read_page_by_page_and_no_page_is_heavy(many: Starlette) -> None:
    async def check() -> None:
        path, seen = "/api/catalogue.json", []
        while path:
            answer = await ask(many, path, headers={"accept-encoding": "gzip"})
            assert answer.status == 200
            assert len(answer.body) < 2 * PAGE_BYTES, path
            found = json.loads((await ask(many, path)).body)
            seen += [one["id"] for one in found["models"]]
            link = f'<{found["next"]}>; rel="next"' if found["next"] else None
            assert answer.headers.get("link") == link
            path = (found["next"] or "").removeprefix("http://llm.example")
        assert seen == [f"model-{number:04}" for number in range(MANY)]
        for missing in ("0", "11", "9" * 40):
            assert (await ask(many, f"/api/catalogue.json?page={missing}")).status == 404
        first = (await ask(many, "/api/catalogue.json")).headers["etag"]
        for nothing in ("-1", "x", "1e3", "%EF%BC%99"):
            assert (await ask(many, f"/api/catalogue.json?page={nothing}")).headers["etag"] == first

    run(check)


def test_pages_stay_within_their_budget_and_search_engines_find_every_model_of_a_huge_catalogue(
    many: Starlette,
) -> None:
    async def check() -> None:
        for path in ("/", "/models", "/models/mistralai/model-0000", "/rankings", "/models.atom", "/llms.txt",
                     "/models/mistralai/model-0000/card.svg"):  # fmt: skip
            answer = await ask(many, path, headers={"accept-encoding": "gzip"})
            assert answer.status == 200, path
            assert len(answer.body) < PAGE_BYTES, path
        pages = set(re.findall(r"<loc>http://llm.example(/models/[^<]*)</loc>", (await ask(many, "/sitemap.xml")).text))
        assert {path.rpartition("/")[2] for path in pages} >= {f"model-{number:04}" for number in range(MANY)}

    run(check)


def test_the_full_text_has_every_model_that_can_be_called_and_the_guides(app: Starlette) -> None:
    async def check() -> None:
        text = (await ask(app, "/llms-full.txt")).text
        for model in lively.snapshot().models.values():
            assert f"## {model.id}\n" in text, model.id
        assert "tokens: input 0.00 to 0.15, cached_input 0.00 to 0.15, output 0.00 to 0.45\n" in text
        assert "# Test an application" in text
        assert "<!--" not in text
        assert "/llms-full.txt" in (await ask(app, "/llms.txt")).text

    run(check)


def test_what_every_model_tells_search_engines_has_the_shapes_of_schema_org(app: Starlette) -> None:
    schema = json.loads((Path(__file__).parent / "schema_org.json").read_text("utf-8"))
    checker = jsonschema.Draft202012Validator(schema)

    async def check() -> None:
        for model in lively.snapshot().models.values():
            page = (await ask(app, model.path)).text
            (block,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page, re.DOTALL)
            told = json.loads(block)
            problems = [error.message for error in checker.iter_errors(told)]
            assert problems == [], model.id
            (product,) = (one for one in told["@graph"] if one["@type"] == "Product")
            assert ("offers" in product) == bool(model.deployments)

    run(check)
