"""A gateway in the test's process, for operations whose answers are one document."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tests.compose.test_serving import Answer, Running, running

from fairlead.ledger.record import UsageRecord, decode
from fairlead.ledger.verify import verify
from fairlead.store.tables import usage_records

PRICE = 'price = { input = "2", output = "7", request = "0.5" }'


def provider(url: str, name: str = "p", dialect: str = "generic", more: str = "") -> str:
    return f'[[providers]]\nid = "{name}"\nbase_url = "{url}"\ndialect = "{dialect}"\napi_key = "sk-up"\n{more}'


def model(mode: str, *providers: str, name: str = "m", price: str = PRICE, more: str = "") -> str:
    text = f'[[models]]\nid = "{name}"\nmode = "{mode}"\n'
    for one in providers or ("p",):
        text += f'[[models.deployments]]\nprovider = "{one}"\nupstream_model = "up-{one}"\n{price}\n{more}'
    return text


class Gateway(NamedTuple):
    it: Running

    async def post(self, path: str, body: Any, *lines: str) -> Answer:
        """One call on a connection of its own."""
        caller = self.it.caller()
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await caller.post(path, text, f"Authorization: Bearer {self.it.key}", *lines)
        await caller.close()
        return answer

    async def refused(self, path: str, body: Any, *lines: str) -> tuple[int, str, str | None]:
        """(status, code, parameter) of an error."""
        answer = await self.post(path, body, *lines)
        error = json.loads(answer.body)["error"]
        return answer.status, error["code"], error["param"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.it.port}/v1"

    async def records(self) -> list[UsageRecord]:
        """All of them, the oldest first; every charge has been made again from its sheet."""
        await self.it.parts.ledger.flush()
        with self.it.store.read() as connection:
            found = verify(connection)
            bodies = connection.execute(usage_records.select().order_by(usage_records.c.at, usage_records.c.id))
            records = [decode(row.body) for row in bodies]
        assert found.discrepancy is None, found.discrepancy
        assert found.records == len(records)
        return records

    async def recorded(self, number: int) -> list[UsageRecord]:
        """The records, when there are that many."""
        async with asyncio.timeout(60):
            while len(found := await self.records()) < number:  # noqa: ASYNC110 - they are in a database
                await asyncio.sleep(0.02)
        return found

    async def last(self) -> UsageRecord:
        return (await self.records())[-1]


@contextlib.asynccontextmanager
async def gateway(directory: Path, text: str) -> AsyncIterator[Gateway]:
    async with running(directory, text) as it:
        yield Gateway(it)


def dollars(tokens: int, requests: int = 1) -> Decimal:
    """What PRICE asks for."""
    return Decimal(2) * tokens / 1_000_000 + Decimal("0.5") * requests


def cost(answer: Answer) -> Decimal:
    return Decimal(answer.usage["cost_usd"])


Check = Callable[[Gateway], Any]
