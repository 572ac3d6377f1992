"""/v1/admin/credentials: provider credentials sealed in the database; what `fairlead credentials` does, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from fairlead.admin.credentials import list_credentials, remove_credential, set_credential
from fairlead.api.management.action import Action, Answer, ManagementCall
from fairlead.providers.sealed import SealedSecret


class NewCredential(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    secret: str

    def __repr__(self) -> str:  # the secret must not get into a log
        return f"NewCredential({self.name!r})"


def _list(call: ManagementCall) -> Answer:
    return Answer({"data": [_entry(one) for one in list_credentials(call.store)]})


def _set(call: ManagementCall) -> Answer:
    body: NewCredential = call.body
    replaced = set_credential(call.store, call.actor, body.name, body.secret)
    return Answer({"data": {"name": body.name, "replaced": replaced}})


def _remove(call: ManagementCall) -> Answer:
    remove_credential(call.store, call.actor, call.id)
    return Answer({"data": {"name": call.id, "removed": True}})


def _entry(one: SealedSecret) -> dict[str, Any]:
    return {
        "name": one.name,
        "sealed_with": one.key_id,
        "created_at": one.created_at,
        "changed_at": one.changed_at,
    }


CREDENTIALS: Sequence[Action] = (
    Action("GET", "/v1/admin/credentials", "read", _list, "Configuration", "List the sealed provider credentials.",
           "Their names, never what they hold. Times in seconds since 1970.", confined=False),
    Action("POST", "/v1/admin/credentials", "configuration", _set, "Configuration",
           "Seal a provider credential, or replace one.",
           'A provider uses it with `api_key = { sealed = "NAME" }`. It cannot be read back; running processes use the '
           "new one within two seconds.", body=NewCredential, confined=False, status=201),
    Action("DELETE", "/v1/admin/credentials/{id}", "configuration", _remove, "Configuration",
           "Remove a sealed provider credential.",
           "Processes that have read it keep it until their configuration is replaced.", confined=False),
)  # fmt: skip
