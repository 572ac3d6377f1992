"""/v1/admin: deployments, events, alerts, mirrored calls and the audit log, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.admin import alerts, audit, deployments, shadow
from fairlead.admin.audit import AuditFilter
from fairlead.api.management.action import Action, Answer, ManagementCall, listed
from fairlead.api.management.bodies import (
    iso,
    seconds_of,
)
from fairlead.api.management.confined import ACCOUNT, CONFINED, PAGE
from fairlead.errors import InvalidRequest
from fairlead.store.health import page_of_events
from fairlead.telemetry.reader import WINDOWS


def _deployments(call: ManagementCall) -> Answer:
    return Answer({"data": call.live.deployments()})


def _drain(call: ManagementCall) -> Answer:
    deployments.drain(call.store, call.actor, call.id, [one["id"] for one in call.live.deployments()])
    return _drained(call)


def _undrain(call: ManagementCall) -> Answer:
    deployments.undrain(call.store, call.actor, call.id)
    return _drained(call)


def _drained(call: ManagementCall) -> Answer:
    found = {one.deployment for one in deployments.drained(call.store)}
    return Answer({"data": {"id": call.id, "drained": call.id in found}})


def _test_deployment(call: ManagementCall) -> Answer:
    later = call.live.trial(call.id)
    deployments.note_trial(call.store, call.actor, call.id)
    return Answer({}, later=later)


def _test_alerts(call: ManagementCall) -> Answer:
    later = call.live.alert_trial()
    alerts.note_trial(call.store, call.actor)
    return Answer({}, later=later)


def _events(call: ManagementCall) -> Answer:
    limit = call.count()
    before = call.number("cursor", 0, 0, 2**62) or None
    with call.store.read() as connection:
        found = page_of_events(connection, limit + 1, before)
    entries = [
        {"id": number, "at": iso(one.at / 1000), "provider": one.provider, "deployment": one.deployment or None,
         "event": one.event, "reason": one.reason or None}
        for number, one in found
    ]  # fmt: skip
    return Answer(listed(entries, limit, lambda one: str(one["id"])))


def _list_alerts(call: ManagementCall) -> Answer:
    state = call.query.get("state")
    if state not in (None, "waiting", "delivered", "dead"):
        raise InvalidRequest("state must be waiting, delivered or dead.", param="state")
    return Answer({"data": alerts.list_alerts(call.store, state, call.count(), call.query.get("account"))})


def _retry_alert(call: ManagementCall) -> Answer:
    return Answer({"data": {"id": call.id, "channels": alerts.retry_alert(call.store, call.actor, call.id)}})


def _shadow(call: ManagementCall) -> Answer:
    window = call.query.get("window", "24h")
    if window not in WINDOWS:
        raise InvalidRequest(f"window must be one of {', '.join(WINDOWS)}.", param="window")
    return Answer({"data": [shadow.mirrored_entry(one) for one in shadow.shadow_report(call.store, window)]})


def _audit(call: ManagementCall) -> Answer:
    limit = call.count()
    since = call.query.get("since")
    wanted = AuditFilter(
        call.account(call.query.get("account")),
        call.query.get("action"),
        call.query.get("subject"),
        call.query.get("actor"),
        since=None if since is None else seconds_of("since", since) * 1000,
    )
    before = call.number("cursor", 0, 0, 2**62) or None
    found = audit.list_audit(call.store, wanted, limit + 1, before)
    return Answer(listed(found, limit, lambda one: str(one["id"])))


OPERATIONS: Sequence[Action] = (
    Action("GET", "/v1/admin/deployments", "read", _deployments, "Deployments",
           "List the deployments with their health.", "As the process sees them that answers.", confined=False),
    Action("POST", "/v1/admin/deployments/{id}/drain", "configuration", _drain, "Deployments",
           "Take a deployment out of use.",
           "In every process, within a second. Calls under way end as they began. Its id is written with `%2F`.",
           confined=False),
    Action("POST", "/v1/admin/deployments/{id}/undrain", "configuration", _undrain, "Deployments",
           "Put a deployment back into use.", confined=False),
    Action("POST", "/v1/admin/deployments/{id}/test", "configuration", _test_deployment, "Deployments",
           "Call a deployment once.",
           "One small call past routing, also of a drained one. `outcome` is `served` or the code of an error; what it "
           "costs is in the books as a probe.", confined=False),
    Action("GET", "/v1/admin/events", "read", _events, "Deployments",
           "List what has happened to deployments and providers, newest first.",
           "Breakers that opened and closed, rests, probes.", query=PAGE, confined=False),
    Action("GET", "/v1/admin/alerts", "read", _list_alerts, "Alerts", "List the newest alerts of each channel.",
           "Newest first. A dead one was not delivered for three days.",
           query={"limit": PAGE["limit"], "state": "waiting, delivered or dead.",
                  "account": "Those that this account has chosen for itself. Default: the server's."}, confined=False),
    Action("POST", "/v1/admin/alerts/test", "configuration", _test_alerts, "Alerts",
           "Send a test alert by every channel, at once.", "`error` is null for one that has arrived.", confined=False),
    Action("POST", "/v1/admin/alerts/{id}/retry", "configuration", _retry_alert, "Alerts", "Send an alert again.",
           "By the channels that did not deliver it, with the same id.", confined=False),
    Action("GET", "/v1/admin/shadow", "read", _shadow, "Deployments", "Compare mirrored calls with their originals.",
           "Status, duration, length and cost of both sides.",
           query={"window": "30m, 1h, 24h, 7d or 30d. Default: 24h."}, confined=False),
    Action("GET", "/v1/admin/audit", "read", _audit, "Audit", "List the audit log, newest first.", CONFINED,
           query=PAGE | ACCOUNT | {
               "action": "Only these, such as key.create; key. for all of keys.",
               "subject": "Only of this key, account or call.",
               "actor": "Only by this key.", "since": "Only from this time on (ISO 8601, or seconds since 1970).",
           }),
)  # fmt: skip
