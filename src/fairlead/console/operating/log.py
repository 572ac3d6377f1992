"""/admin/audit: who changed what, and the whole log as a file."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response

from fairlead.admin import directory
from fairlead.admin.audit import FORMATS, AuditFilter, export_audit, list_audit
from fairlead.console.page import ConsolePage, ConsoleVisit
from fairlead.errors import InvalidRequest
from fairlead.store import Store

SHOWN: Final = 50
# Of an export over HTTP: the command line writes more.
MOST_EXPORTED_BYTES: Final = 64 * 1024 * 1024


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
    body = await visit.run(_exported, _filter(visit), kind)
    media = "text/csv; charset=utf-8" if kind == "csv" else "application/jsonl"
    headers = {"content-disposition": f'attachment; filename="audit.{kind}"'}
    return Response(body, media_type=media, headers=headers)


class _Bounded(io.BytesIO):
    def write(self, data: object, /) -> int:
        if self.tell() + len(data) > MOST_EXPORTED_BYTES:  # type: ignore[arg-type]
            raise InvalidRequest("The log is too long for a download. Filter it, or use `fairlead audit export`.")
        return super().write(data)  # type: ignore[arg-type]


def _exported(store: Store, wanted: AuditFilter, kind: str) -> bytes:
    out = _Bounded()
    export_audit(store, wanted, kind, out)
    return out.getvalue()


PAGES: Final = (
    ConsolePage("/admin/audit", audit, "operate"),
    ConsolePage("/admin/audit/export", export, "operate", step_up=True),
)
