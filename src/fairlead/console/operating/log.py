"""/admin/audit: who changed what, and the whole log as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response

from fairlead.admin import directory
from fairlead.admin.audit import FORMATS, AuditFilter, audit_part, list_audit
from fairlead.console.exports import download
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import InvalidRequest

SHOWN: Final = 50
EXPORTED_AT_ONCE: Final = 500


async def audit(visit: ConsoleVisit) -> Response:
    before = visit.query.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
    problems = {}
    try:
        wanted = _filter(visit)
    except InvalidRequest as error:
        wanted, problems = AuditFilter(), {"since": error.message}
    found = await visit.run(list_audit, wanted, SHOWN + 1, number)
    ids = {str(one[name]) for one in found[:SHOWN] for name in ("actor", "subject") if one[name]}
    return visit.render(
        "admin/audit.html",
        names=await visit.run(directory.names_of, ids),
        entries=[{**one, "seconds": datetime.fromisoformat(one["at"]).timestamp()} for one in found[:SHOWN]],
        older=found[SHOWN - 1]["id"] if len(found) > SHOWN else None,
        given={name: visit.query.get(name, "") for name in ("action", "subject", "actor", "account", "since")},
        problems=problems,
    )


def _filter(visit: ConsoleVisit) -> AuditFilter:
    def given(name: str) -> str | None:
        return visit.query.get(name, "").strip()[:256] or None

    since = None
    if text := given("since"):
        try:
            since = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
        except (ValueError, OverflowError):
            raise InvalidRequest("Write a day such as 2027-01-31.") from None
    return AuditFilter(given("account"), given("action"), given("subject"), given("actor"), since)


async def export(visit: ConsoleVisit) -> Response:
    kind = visit.query.get("format", "csv")
    if kind not in FORMATS:
        raise InvalidRequest("format must be csv or jsonl.")
    wanted = _filter(visit)
    first, last = await visit.run(audit_part, wanted, kind, EXPORTED_AT_ONCE)

    async def parts() -> AsyncIterator[bytes]:
        body, at = first, last
        yield body
        while at is not None:
            body, at = await visit.run(audit_part, wanted, kind, EXPORTED_AT_ONCE, at)
            yield body

    return download(parts(), "text/csv; charset=utf-8" if kind == "csv" else "application/jsonl", f"audit.{kind}")


PAGES: Final = (
    ConsolePage("/admin/audit", audit, "operate"),
    ConsolePage("/admin/audit/export", export, "operate", step_up=True),
)
