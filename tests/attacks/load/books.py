"""What the database must say when the load is over."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.attacks.load.honest import Done
from tests.attacks.load.hostile import Delivery
from tests.attacks.load.scene import FREE, HOSTILE_CAP, OUTPUT_PRICE

# Of a failure of the provider the caller pays nothing, whatever had come of it.
FREE_OUTCOMES: Final = ("upstream_", "answer_invalid")
# That a provider may report beyond a cap: engines add words of their own.
SPARE_TOKENS: Final = 64
EVIL: Final = "evil-"


@contextlib.contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        yield connection


def records_of(database: Path) -> dict[str, tuple[int, dict[str, Any]]]:
    """Price and body of every record by its id."""
    with opened(database) as connection:
        rows = connection.execute("SELECT id, price, body FROM usage_records").fetchall()
    return {name: (price, json.loads(body)) for name, price, body in rows}


def wrong_honest(done: Iterable[Done], records: dict[str, tuple[int, dict[str, Any]]]) -> list[str]:
    """Honest answers that have no record, or one with another price than the answer said. Ids are unique in the table:
    a call that was charged twice shows in the number of ids."""
    wrong = []
    seen: set[str] = set()
    for call in done:
        if call.problem or not call.generation:
            continue
        if call.generation in seen:
            wrong.append(f"{call.generation}: two answers have this id")
        seen.add(call.generation)
        if (found := records.get(call.generation)) is None:
            wrong.append(f"{call.generation}: the answer has no record")
        elif found[0] != call.cost:
            wrong.append(f"{call.generation}: its record says {found[0]} picodollars, its answer {call.cost}")
    return wrong


def unpaid(deliveries: Iterable[Delivery], records: dict[str, tuple[int, dict[str, Any]]]) -> list[str]:
    """Words that a hostile customer got for less than their price, and not by rule. What a hostile provider reports of
    its own answers is believed when it is too little: its bill is no larger."""
    wrong = []
    for one in deliveries:
        found = records.get(one.generation)
        if found is None:
            if one.words:
                wrong.append(f"{one.actor}: {one.generation} delivered {one.words} words and has no record")
            continue
        price, body = found
        words = min(one.words, HOSTILE_CAP) if body["model"].startswith(EVIL) else one.words
        if words * OUTPUT_PRICE <= price or body["model"] == FREE:
            continue
        if body["model"].startswith(EVIL) and (
            body["usage"] == "reported" or body["outcome"].startswith(FREE_OUTCOMES)
        ):
            continue
        wrong.append(
            f"{one.actor}: {one.generation} of {body['model']} delivered {one.words} words for {price} picodollars, "
            f"outcome {body['outcome']}, usage {body['usage']}"
        )
    return wrong


def uncovered(records: dict[str, tuple[int, dict[str, Any]]]) -> list[str]:
    """Calls that came to more than was set aside for them."""
    wrong = []
    for name, (price, body) in records.items():
        if body.get("shortfall"):
            wrong.append(
                f"{name} of {body['model']}: {body['shortfall']} picodollars were not charged, for want of a hold"
            )
        if body.get("hold") and price > body["hold"] + SPARE_TOKENS * OUTPUT_PRICE:
            wrong.append(f"{name} of {body['model']}: charged {price} picodollars, {body['hold']} were set aside")
    return wrong


def overdrawn(database: Path) -> list[str]:
    """Accounts and budgets of which more is gone than there was."""
    with opened(database) as connection:
        rows = connection.execute("SELECT scope, granted, spent, leased FROM funds").fetchall()
    return [
        f"{scope}: granted {granted}, spent {spent}, leased {leased}"
        for scope, granted, spent, leased in rows
        if granted - spent - leased < 0 and scope.startswith("account/")
    ]
