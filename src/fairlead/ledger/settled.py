"""What of a record moves money, and the text of the usual one: of an answer by the first deployment that was asked."""

from __future__ import annotations

from typing import Final

import msgspec

from fairlead.ledger.record import PostingFields, UsageRecord
from fairlead.prices import PriceSheet
from fairlead.wire.usage import Usage

# RecordPrefixCache that are kept: one for each way in which an account, a key, a model and a deployment meet.
MOST_BEGINNINGS: Final = 4_096
_encode: Final = msgspec.json.encode


class Settled:
    """What of a record moves money: `cost` includes that of `attempts`, which are (deployment, picodollars)."""

    __slots__ = ("account", "at", "attempts", "cost", "deployment", "id", "key", "price", "scopes")

    def __init__(
        self,
        record_id: str,
        at: int,
        account: str,
        key: str,
        deployment: str,
        price: int,
        cost: int,
        scopes: tuple[str, ...],
        attempts: tuple[tuple[str, int], ...] = (),
    ) -> None:
        self.id = record_id
        self.at = at
        self.account = account
        self.key = key
        self.deployment = deployment
        self.price = price
        self.cost = cost
        self.scopes = scopes
        self.attempts = attempts


def settled_of(record: UsageRecord | PostingFields) -> Settled:
    attempts = [(attempt.deployment, attempt.cost) for attempt in record.attempts if attempt.cost]
    return Settled(
        record.id, record.at, record.account, record.key, record.deployment, record.price, record.cost or 0,
        record.scopes, tuple(attempts),
    )  # fmt: skip


class RecordPrefixCache:
    """What is the same in the records of many calls, as JSON."""

    __slots__ = ("_scopes", "_texts")

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str, str, str, str, bool], bytes] = {}
        self._scopes: dict[tuple[str, ...], bytes] = {}

    def usual(
        self,
        settled: Settled,
        done: int,
        model: str,
        outcome: str,
        stream: bool,
        sheet: PriceSheet,
        usage: Usage,
        cost: int | None,
        hold: int,
        more: bytes = b"",
    ) -> bytes:
        """The record of a call whose one attempt was answered with this usage, as its provider reported it. `more`:
        ready members, each with a comma before it."""
        name = (settled.account, settled.key, model, outcome, sheet.id, stream)
        same = self._texts.get(name)
        if same is None:
            same = self._text(name, sheet)
            if len(self._texts) >= MOST_BEGINNINGS:
                self._texts.clear()
            self._texts[name] = same
        costs = b"" if cost is None else b',"cost":%d' % cost
        held = b',"hold":%d,"scopes":%b' % (hold, self._listed(settled.scopes)) if hold else b""
        return b'{"id":"%b","at":%d,"done":%d%b%b,"prompt":%d,"completion":%d,"price":%d%b%b%b}' % (
            settled.id.encode(), settled.at, done, same, _encode(usage.classes), usage.prompt, usage.completion,
            settled.price, costs, held, more,
        )  # fmt: skip

    def _text(self, name: tuple[str, str, str, str, str, bool], sheet: PriceSheet) -> bytes:
        account, key, model, outcome, _, stream = name
        members = {
            "account": account,
            "key": key,
            "model": model,
            "outcome": outcome,
            "stream": stream,
            "usage": "reported",
            "deployment": sheet.deployment,
            "sheet": sheet.id,
        }
        return b',%b,"tokens":' % _encode(members)[1:-1]

    def _listed(self, scopes: tuple[str, ...]) -> bytes:
        listed = self._scopes.get(scopes)
        if listed is None:
            if len(self._scopes) >= MOST_BEGINNINGS:
                self._scopes.clear()
            listed = self._scopes[scopes] = _encode(scopes)
        return listed
