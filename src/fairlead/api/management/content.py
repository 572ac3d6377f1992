"""/v1/admin/accounts/{id}/content and /v1/admin/content: what `fairlead content` does, and reading one call."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from fairlead.admin import content
from fairlead.api.management.action import Action, Answer, ManagementCall
from fairlead.api.management.bodies import Id
from fairlead.api.management.confined import CONFINED, account_answer
from fairlead.errors import InvalidRequest, NotFound

Ids = Annotated[list[Id], msgspec.Meta(max_length=1_000)]


class ContentChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Members of a policy to replace."""

    enabled: bool | UnsetType = UNSET
    share: Annotated[float, msgspec.Meta(ge=0, le=100)] | UnsetType = UNSET
    days: Annotated[int, msgspec.Meta(ge=1, le=365)] | UnsetType = UNSET
    projects: Ids | UnsetType = UNSET
    keys: Ids | UnsetType = UNSET
    never: Ids | UnsetType = UNSET
    detectors: Ids | UnsetType = UNSET
    patterns: Annotated[list[str], msgspec.Meta(max_length=20)] | UnsetType = UNSET
    media: bool | UnsetType = UNSET
    store_false: bool | UnsetType = UNSET


def _show(call: ManagementCall) -> Answer:
    call.account(call.id)
    account_answer(call, call.id)
    return Answer({"data": content.state_entry(content.content_state(call.store, call.id))})


def _change(call: ManagementCall) -> Answer:
    call.account(call.id)
    account_answer(call, call.id)
    body: ContentChange = call.body
    changes: dict[str, Any] = {}
    for name in body.__struct_fields__:
        value = getattr(body, name)
        if value is not UNSET:
            changes[name] = tuple(value) if isinstance(value, list) else value
    if not changes:
        raise InvalidRequest(f"Nothing to change: give {', '.join(body.__struct_fields__)}.")
    content.change_content_policy(call.store, call.actor, call.id, changes)
    return _show(call)


def _delete(call: ManagementCall) -> Answer:
    call.account(call.id)
    account_answer(call, call.id)
    one, user, everything = (call.query.get(name) for name in ("call", "user", "everything"))
    if sum((bool(one), bool(user), everything == "true")) != 1:
        raise InvalidRequest("Give one of call, user and everything=true.")
    if one:
        content.delete_call_content(call.store, call.actor, call.id, one)
        return Answer({"deleted": 1})
    return Answer({"deleted": content.erase_content(call.store, call.actor, call.id, user or "")})


def _read(call: ManagementCall) -> Answer:
    account_id = call.key.account_id
    if account_id is None:
        raise NotFound(
            "Content is read with a management key that is confined to its account: operators see none of others.",
            param="id",
        )
    return Answer({"data": content.content_entry(content.call_content(call.store, call.actor, account_id, call.id))})


_TAG: Final = "Content"
_PATH: Final = "/v1/admin/accounts/{id}/content"
CONTENT: Final[tuple[Action, ...]] = (
    Action(
        "GET", _PATH, "read", _show, _TAG, "Retrieve what an account keeps of the content of its calls.",
        f"With how many calls it kept, dropped and left out in 30 days. {CONFINED}",
    ),
    Action(
        "PATCH", _PATH, "keys", _change, _TAG, "Change what an account keeps of the content of its calls.",
        f"In force within a second. Lists replace the ones before. {CONFINED}", body=ContentChange,
    ),
    Action(
        "DELETE", _PATH, "keys", _delete, _TAG, "Delete content now.",
        "Of one call, of an end user, or all of it. Records and receipts stay. Much of it takes a minute; "
        f"`deleted` counts what is gone at once. {CONFINED}",
        query={"call": "The id of a call.", "user": "The name of an end user.", "everything": "`true`: all of it."},
    ),
    Action(
        "GET", "/v1/admin/content/{id}", "read", _read, _TAG, "Retrieve the content of a call.",
        "Redacted, as it is kept. Needs a management key that is confined to the account; the audit log has each "
        "reading.",
    ),
)  # fmt: skip
