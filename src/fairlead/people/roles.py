"""What each role may do in an organisation: one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

Role = Literal["owner", "admin", "billing", "member", "viewer"]
# What a page may need: `view` everything of the organisation; `keys`, one's own; `money`, its credit and invoices;
# `manage` members, projects, limits and everybody's keys; `own` it: delete it, give it to others; `operate` the server.
Permission = Literal["view", "keys", "money", "manage", "own", "operate"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    "owner": frozenset({"view", "keys", "money", "manage", "own"}),
    "admin": frozenset({"view", "keys", "money", "manage"}),
    "billing": frozenset({"view", "money"}),
    "member": frozenset({"view", "keys"}),
    "viewer": frozenset({"view"}),
}


def allows(role: Role | None, operator: bool, permission: Permission) -> bool:
    """Whether somebody with this role in an organisation may do that there. `operate` is no matter of roles."""
    if permission == "operate":
        return operator
    return role is not None and permission in PERMISSIONS[role]


def is_role(name: str) -> bool:
    return name in PERMISSIONS
