"""Models that are not for chats: what they cost is said in what they are charged by, and nothing is asked of chats."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from starlette.applications import Starlette
from tests.site.asking import Answer, ask, pages_of

from fairlead.catalogue.load import build
from fairlead.catalogue.snapshot import Snapshot
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.settings import Settings
from fairlead.settings.sections import DeploymentSettings, ModelSettings, PriceSettings, ProviderSettings

PRICES = {
    "picture": ("image", PriceSettings("0", "0", request="0.04")),
    "voice": ("speech", PriceSettings("15", "0")),
    "notes": ("transcription", PriceSettings("0", "0", audio_input="100")),
    "vectors": ("embedding", PriceSettings("0.02", "0")),
    "gift": ("embedding", "free"),
}


def snapshot() -> Snapshot:
    return build(
        Settings(
            providers=(ProviderSettings("lab", base_url="https://lab.example/v1", dialect="openai"),),
            models=tuple(
                ModelSettings(name, mode=mode, deployments=(DeploymentSettings("lab", name, price),))  # type: ignore[arg-type]
                for name, (mode, price) in PRICES.items()
            ),
        ),
        DIALECTS,
        supports_prefill,
    )


@pytest.fixture(scope="module")
def app() -> Starlette:
    return pages_of(snapshot())


def get(app: Starlette, *targets: str) -> list[Answer]:
    async def run() -> list[Answer]:
        return [await ask(app, target) for target in targets]

    return asyncio.run(run())


def words(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


@pytest.mark.parametrize(
    ("name", "price"),
    [
        ("picture", "Each request $0.04 each image of 1024 × 1024"),
        ("voice", "Input $15.00 per million characters"),
        ("notes", "Audio input $100.00 per million tokens or seconds"),
        ("vectors", "Input $0.02 per million tokens"),
        ("gift", "Input free per million tokens"),
    ],
)
def test_the_first_screen_says_what_is_charged(app: Starlette, name: str, price: str) -> None:
    (page,) = get(app, f"/models/unknown/{name}")
    tiles = words(page.text.partition('<dl class="six">')[2].partition("</dl>")[0])
    assert tiles.strip().startswith(price)
    assert ("free" in tiles) == (name == "gift")
    assert "First token" not in tiles
    assert "Can it call tools?" not in page.text


def test_only_what_costs_nothing_is_free(app: Starlette) -> None:
    every, free = get(app, "/models", "/models.json?free=1")
    assert [one["id"] for one in json.loads(free.body)["models"]] == ["gift"]
    rows = {name: words(every.text.partition(f"<code>{name}</code>")[2].partition("</tr>")[0]) for name in PRICES}
    assert "$0.04 each –" in rows["picture"]
    assert "$100.00 for audio –" in rows["notes"]
    assert "$0.02 –" in rows["vectors"]


def test_what_is_shared_says_the_same_price(app: Starlette) -> None:
    badge, card, page, text = get(
        app, "/models/unknown/picture/badge.svg?show=price", "/models/unknown/picture/card.svg",
        "/models/unknown/picture", "/llms.txt",
    )  # fmt: skip
    assert "$0.04 each" in badge.text
    assert "each request" in card.text
    assert '"price":"0.04"' in page.text.replace(" ", "")
    assert "picture.md): unknown, $0.04 each" in text.text


def test_nothing_that_is_for_chats_is_like_it(app: Starlette) -> None:
    (data,) = get(app, "/models/unknown/vectors.json")
    assert [one["id"] for one in json.loads(data.body)["similar"]] == ["gift"]
    assert "same vendor" not in json.loads(data.body)["similar"][0]["reasons"]
