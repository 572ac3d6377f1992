"""What records come to, book by book. No SQL here: it is what each record costs on its way into the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fairlead.ledger.settled import Settled


def rows(records: Sequence[Settled], bodies: Sequence[bytes], entry: int) -> tuple[object, ...]:
    """The values of these records' rows, one after the other, in the order of the columns."""
    values: list[object] = []
    for at, record in enumerate(records):
        values += (record.id, record.at, record.account, record.key, record.price, entry, bodies[at].decode())
    return tuple(values)


def sums(records: Iterable[Settled]) -> tuple[dict[str, int], dict[str, int], dict[tuple[str, str], int]]:
    """Postings by book, what is taken from credit and budgets by scope, and what is charged by account and key."""
    books: dict[str, int] = {}
    # Of most calls an account, a key and a deployment say all: they are added up before names of books are made.
    alike: dict[tuple[str, str, str], list[int]] = {}
    by_scopes: dict[tuple[str, ...], int] = {}
    for record in records:
        price = record.price
        cost = record.cost
        if not price and not cost:
            continue
        if record.attempts:
            # Every attempt's cost goes to the provider that bills it, the rest to the one who served.
            for deployment, own in record.attempts:
                _add(books, _provider(deployment), own)
                _add(books, "cost", -own)
                cost -= own
        key = (record.account, record.key, record.deployment)
        total = alike.get(key)
        if total is None:
            alike[key] = [price, cost]
        else:
            total[0] += price
            total[1] += cost
        scopes = record.scopes
        if scopes:
            by_scopes[scopes] = by_scopes.get(scopes, 0) + price
    keys: dict[tuple[str, str], int] = {}
    for (account, name, deployment), (price, cost) in alike.items():
        _add(books, f"account/{account}", -price)
        _add(books, "revenue", price)
        _add(books, "cost", -cost)
        _add(books, _provider(deployment), cost)
        keys[account, name] = keys.get((account, name), 0) + price
    spent: dict[str, int] = {}
    for scopes, price in by_scopes.items():
        for scope in scopes:
            _add(spent, scope, price)
    return _without_zero(books), _without_zero(spent), keys


def moves(records: Iterable[Settled]) -> dict[str, int]:
    """The postings that records make, by book."""
    return sums(records)[0]


def _add(amounts: dict[str, int], name: str, amount: int) -> None:
    amounts[name] = amounts.get(name, 0) + amount


def _provider(deployment: str) -> str:
    return f"provider/{deployment.partition('/')[0]}"


def _without_zero(amounts: dict[str, int]) -> dict[str, int]:
    return {name: amount for name, amount in amounts.items() if amount}
