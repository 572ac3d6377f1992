"""What /models finds, and in which order: decided without a browser or a server."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from fairlead.site.listing import Entry, Query, parse, select

PLAIN = Entry(
    id="plain", name="Plain", vendor="acme", vendor_name="Acme", description="Writes text.", path="/models/acme/plain",
    created=100, context=32_768, max_output=4_096, input=("text",), output=("text",), capability=("tools",),
    parameter=("temperature",), provider=("north",), price_in=100_000, price_out=300_000, state="up", obstacle=None,
)  # fmt: skip
SEEING = replace(
    PLAIN, id="seeing", name="Seeing", vendor="other", vendor_name="Other", description="Reads pictures.", created=200,
    context=131_072, input=("text", "image"), capability=("tools", "vision"), parameter=("temperature", "seed"),
    provider=("north", "south"), price_in=500_000, price_out=900_000,
)  # fmt: skip
FREE = replace(PLAIN, id="free", name="Free", created=50, price_in=0, price_out=0, capability=(), state="down")
LISTED = replace(
    PLAIN,
    id="listed",
    name="Listed",
    created=300,
    price_in=None,
    price_out=None,
    provider=(),
    state="none",
    context=None,
)
ALL = (PLAIN, SEEING, FREE, LISTED)


def found(address: str) -> list[str]:
    return [entry.id for entry in select(ALL, parse(parse_qsl(address, keep_blank_values=True)))]


@pytest.mark.parametrize(
    ("address", "ids"),
    [
        ("", ["seeing", "plain", "free", "listed"]),
        ("q=PICTURES reads", ["seeing"]),
        ("q=nothing", []),
        ("input=image", ["seeing"]),
        ("capability=tools&capability=vision", ["seeing"]),
        ("provider=south&provider=north", ["seeing", "plain", "free"]),
        ("vendor=other&vendor=acme&available=1", ["seeing", "plain"]),
        ("parameter=seed", ["seeing"]),
        ("context=131072", ["seeing"]),
        ("price=0.10", ["plain", "free"]),
        ("free=1", ["free"]),
        ("sort=price", ["free", "plain", "seeing", "listed"]),
        ("sort=-price", ["seeing", "plain", "free", "listed"]),
        ("sort=context&sort=-price", ["plain", "free", "seeing", "listed"]),
        ("sort=context&sort=price", ["free", "plain", "seeing", "listed"]),
        ("context=&price=&sort=&q=", ["seeing", "plain", "free", "listed"]),
    ],
)
def test_filters_and_keys_of_order(address: str, ids: list[str]) -> None:
    assert found(address) == ids


@pytest.mark.parametrize(
    "address",
    ["price=abc", "price=NaN", "context=-1", "sort=colour", "page=x", "view=list", "unknown=1", "q=" + "x" * 300],
)
def test_what_is_not_understood_is_left_out(address: str) -> None:
    assert parse(parse_qsl(address)) == Query(wanted={})


def test_a_question_has_one_address_that_gives_the_same_question_back() -> None:
    query = parse(parse_qsl("view=cards&sort=-context&sort=price&q=a b&free=1&capability=tools&context=8192&page=3"))
    address = query.address(page=3)
    assert address == "/models?q=a+b&capability=tools&context=8192&free=1&sort=-context&sort=price&view=cards&page=3"
    assert parse(parse_qsl(urlsplit(address).query)) == query
    assert Query().address() == "/models"
