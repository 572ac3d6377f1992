"""Why a call went where it went, in words: from its record, and from the decision that was kept beside it."""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.ledger.record import UsageRecord


def explained(record: UsageRecord | None, kept: str | None) -> dict[str, Any] | None:
    """Both as one document; None when nothing is known of the call."""
    if record is None and kept is None:
        return None
    found: dict[str, Any] = {} if kept is None else msgspec.json.decode(kept)
    found["decided"] = kept is not None
    if record is not None:
        found |= {
            "id": record.id,
            "model": record.model,
            "outcome": record.outcome,
            "deployment": record.deployment or None,
            "attempts": [
                {"deployment": one.deployment, "outcome": one.outcome, "milliseconds": one.milliseconds}
                for one in record.attempts
            ],
        }
    return found


def sentences(found: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines = []
    if "outcome" in found:
        served = f" by {found['deployment']}" if found["deployment"] else ""
        lines.append(f"{found['model']}: {found['outcome']}{served}.")
    if not found["decided"]:
        lines.append("No candidate was rejected and no attempt failed: the first candidate served the call.")
    for at, one in enumerate(found.get("candidates", ()), 1):
        score = "" if one["score"] is None else f", score {one['score']:g}"
        lines.append(f"{at}. {one['deployment']}{score}{', resting' if one['resting'] else ''}")
    for one in found.get("rejected", ()):
        detail = f" ({one['detail']})" if one["detail"] else ""
        lines.append(f"-  {one['deployment']} was rejected: {one['reason']}{detail}")
    lines += [
        f"Attempt {at}: {one['deployment']}, {one['outcome']} after {one['milliseconds']} ms"
        for at, one in enumerate(found.get("attempts", found.get("failed", ())), 1)
    ]
    if found.get("continued_at_character") is not None:
        lines.append(
            "The stream broke off and was continued by another deployment at character "
            f"{found['continued_at_character']}."
        )
    return lines
