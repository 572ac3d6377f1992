"""Deployments: take one out of use, put it back, and call it once to see whether it works."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from fairlead.admin.audit import Actor, record
from fairlead.catalogue.load import build
from fairlead.errors import NotFound
from fairlead.providers.dialects import DIALECTS
from fairlead.providers.prefill import supports_prefill
from fairlead.providers.presets import with_presets
from fairlead.settings import Settings, Unread
from fairlead.store import Store
from fairlead.store.drained import Drained, add_drained, list_drained, remove_drained
from fairlead.store.health import HealthEvent, keep_events
from fairlead.toml import nearest


def drain(store: Store, actor: Actor, deployment: str, known: Collection[str]) -> bool:
    """Takes a deployment out of use in every process, within a second. Calls under way end as they began. False when
    it was out of use already. `known`: the ids of all deployments. Raises NotFound."""
    if deployment not in known:
        raise NotFound(f"There is no deployment {deployment[:200]!r}; {nearest(deployment[:200], known)}")
    with store.write() as connection:
        changed = add_drained(connection, deployment, actor.id or actor.kind)
        if changed:
            _note(connection, actor, deployment, "drained")
            record(connection, actor, "deployment.drain", deployment, {"drained": False}, {"drained": True})
    return changed


def undrain(store: Store, actor: Actor, deployment: str) -> bool:
    """Puts it back. False when it was in use; one that is not configured any more can be put back, too."""
    with store.write() as connection:
        changed = remove_drained(connection, deployment)
        if changed:
            _note(connection, actor, deployment, "undrained")
            record(connection, actor, "deployment.undrain", deployment, {"drained": True}, {"drained": False})
    return changed


def configured(settings: Settings) -> list[tuple[str, str]]:
    """The deployments of a configuration, with their models; those of local engines are not among them. Raises
    ConfigurationError."""
    snapshot = build(with_presets(settings), DIALECTS, supports_prefill, Unread())
    return [(one.id, model.id) for model in snapshot.models.values() for one in model.deployments]


def note_trial(store: Store, actor: Actor, deployment: str) -> None:
    """That somebody has a deployment called once, which may cost something."""
    with store.write() as connection:
        record(connection, actor, "deployment.test", deployment, None, None)


def drained(store: Store) -> list[Drained]:
    """What is out of use, by id."""
    with store.read() as connection:
        return list_drained(connection)


def _note(connection: Connection, actor: Actor, deployment: str, event: str) -> None:
    provider = deployment.partition("/")[0]
    keep_events(connection, [HealthEvent(deployment, provider, event, f"by {actor.id or actor.kind}"[:128])])
