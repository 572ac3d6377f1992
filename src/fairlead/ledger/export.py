"""Usage records for spreadsheets and warehouses: CSV, JSON Lines, Parquet. A row at a time, whatever their number."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from sqlalchemy import Connection, select

from fairlead.errors import ConfigurationError
from fairlead.ledger.record import UsageRecord, decode
from fairlead.money import dollars
from fairlead.store.tables import call_sessions, usage_records
from fairlead.wire.usage import CLASSES

FORMATS = ("csv", "jsonl", "parquet")
READ_ROWS = 1_000
PARQUET_ROWS = 10_000
# A cell that begins like this is a formula to a spreadsheet: it gets an apostrophe in front.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
AMOUNTS = ("charged", "waived", "cost", "hold")


def rows(
    connection: Connection,
    since: int = 0,
    until: int | None = None,
    account_id: str | None = None,
    session: str | None = None,
) -> Generator[dict[str, Any], None, None]:
    """Records that ended in this time (milliseconds since 1970; `until` not included), oldest first. `session`:
    only those of it.

    Each amount comes twice: exact dollars as a string, and whole picodollars.
    """
    wanted = select(usage_records.c.body).where(usage_records.c.at >= since)
    if until is not None:
        wanted = wanted.where(usage_records.c.at < until)
    if account_id is not None:
        wanted = wanted.where(usage_records.c.account_id == account_id)
    if session is not None:
        named = select(call_sessions.c.record_id).where(call_sessions.c.session == session)
        wanted = wanted.where(usage_records.c.id.in_(named))
    ordered = wanted.order_by(usage_records.c.at, usage_records.c.id).execution_options(yield_per=READ_ROWS)
    with connection.execute(ordered) as result:
        for row in result:
            yield row_of(decode(row.body))


def page(
    connection: Connection, limit: int, after: int, account_id: str | None = None, session: str | None = None
) -> list[tuple[int, dict[str, Any]]]:
    """So many records behind this number, with theirs, in the order in which they were stored."""
    wanted = select(usage_records.c.number, usage_records.c.body).where(usage_records.c.number > after)
    if account_id is not None:
        wanted = wanted.where(usage_records.c.account_id == account_id)
    if session is not None:
        named = select(call_sessions.c.record_id).where(call_sessions.c.session == session)
        wanted = wanted.where(usage_records.c.id.in_(named))
    rows = connection.execute(wanted.order_by(usage_records.c.number).limit(limit))
    return [(row.number, row_of(decode(row.body))) for row in rows]


def row_of(record: UsageRecord) -> dict[str, Any]:
    """A record as a row of an export."""
    amounts = {"charged": record.price, "waived": record.shortfall, "cost": record.cost, "hold": record.hold}
    row: dict[str, Any] = {
        "id": record.id,
        "started_at": _time(record.at),
        "ended_at": _time(record.done),
        "started_at_ms": record.at,
        "ended_at_ms": record.done,
        "first_token_ms": record.first_token or None,
        "account": record.account,
        "key": record.key,
        "model": record.model,
        "deployment": record.deployment or None,
        "price_sheet": record.sheet or None,
        "outcome": record.outcome,
        "stream": record.stream,
        "usage": record.state,
        "prompt_tokens": record.prompt,
        "completion_tokens": record.completion,
        **{f"{name}_tokens" if name != "request" else "requests": getattr(record.tokens, name) for name in CLASSES},
    }
    for name in AMOUNTS:
        value = amounts[name]
        row[f"{name}_usd"] = None if value is None else dollars(value)
        row[f"{name}_picodollars"] = value
    row["attempts"] = msgspec.to_builtins(record.attempts)
    row["session"] = record.session or None
    row["user"] = record.user or None
    row["received_sha256"] = record.received or None
    row["sent_sha256"] = record.sent or None
    return row


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write(found: Iterator[dict[str, Any]], kind: str, out: BinaryIO) -> int:
    """Writes rows in one of FORMATS; gives how many. Raises ConfigurationError without what Parquet needs."""
    return {"csv": _write_csv, "jsonl": _write_jsonl, "parquet": _write_parquet}[kind](found, out)


def write_file(found: Iterator[dict[str, Any]], kind: str, path: Path) -> int:
    """The same into a file, which is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as out:
            count = write(found, kind, out)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return count


def _write_jsonl(found: Iterator[dict[str, Any]], out: BinaryIO) -> int:
    count = 0
    for row in found:
        out.write(msgspec.json.encode(row) + b"\n")
        count += 1
    return count


def _write_csv(found: Iterator[dict[str, Any]], out: BinaryIO) -> int:
    text = io.TextIOWrapper(out, "utf-8", newline="")
    writer = csv.writer(text)  # RFC 4180: quotes doubled, lines end with CRLF
    writer.writerow(COLUMNS)
    count = 0
    for row in found:
        row["attempts"] = msgspec.json.encode(row["attempts"]).decode()
        writer.writerow([_cell(row[name]) for name in COLUMNS])
        count += 1
    text.flush()
    text.detach()
    return count


def csv_head() -> bytes:
    """The names of the columns as a line of CSV."""
    return ",".join(COLUMNS).encode() + b"\r\n"


def csv_row(row: dict[str, Any]) -> bytes:
    """A row of an export as a line of CSV, in the order of COLUMNS."""
    text = io.StringIO(newline="")
    row = {**row, "attempts": msgspec.json.encode(row["attempts"]).decode()}
    csv.writer(text).writerow([_cell(row[name]) for name in COLUMNS])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _write_parquet(found: Iterator[dict[str, Any]], out: BinaryIO) -> int:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ConfigurationError(
            f"Parquet requires pyarrow. Install it with: {sys.executable} -m pip install pyarrow"
        ) from None
    money = pa.decimal128(38, 12)
    types: dict[str, Any] = {name: pa.string() for name in COLUMNS}
    for name in COLUMNS:
        if name.endswith(("_tokens", "_ms", "_picodollars", "requests")):
            types[name] = pa.int64()
        elif name.endswith("_usd"):
            types[name] = money
    types["stream"] = pa.bool_()
    schema = pa.schema([(name, types[name]) for name in COLUMNS])
    count = 0
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        while batch := list(islice(found, PARQUET_ROWS)):
            for row in batch:
                row["attempts"] = msgspec.json.encode(row["attempts"]).decode()
                for name in AMOUNTS:
                    text = row[f"{name}_usd"]
                    row[f"{name}_usd"] = None if text is None else Decimal(text)
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


COLUMNS = tuple(row_of(UsageRecord("", 0, 0, "", "", "", "", False, "none")))
