"""/v1/admin/people, /memberships, /invitations: who signs in to the console, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from fairlead.admin import directory, joining, members, people_entries
from fairlead.admin.directory import Entry
from fairlead.admin.member_keys import checked_fate
from fairlead.api.management.action import Action, Answer, ManagementCall, listed
from fairlead.api.management.bodies import Id
from fairlead.api.management.confined import ACCOUNT, CONFINED, PAGE, account_answer
from fairlead.errors import InvalidRequest, NotFound
from fairlead.people.persons import Membership

Email = Annotated[str, msgspec.Meta(max_length=254)]
KEYS: Final = (
    "What becomes of the keys that they made: `disable` (default; they work again when the person comes back), "
    "`revoke` or `keep`."
)


class PersonChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    disabled: bool
    keys: str | UnsetType = UNSET


class NewMembership(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    person: Id
    account: Id
    role: str = "member"


class MembershipChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    role: str


class NewInvitation(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    email: Email
    account: Id | None = None
    role: str = "member"


def _by_owner(call: ManagementCall) -> bool:
    """A key that is confined to an organisation does what its admins do: it makes and unmakes no owner."""
    return call.key.account_id is None


def _own_person(call: ManagementCall) -> Entry:
    """Raises NotFound, also for somebody who is no member of the account that the caller may touch."""
    found = directory.one_person(call.store, call.id)
    own = call.key.account_id
    if own is not None and all(one.account_id != own for one in found.memberships):
        raise NotFound("There is no such person.")
    return found


def _own_membership(call: ManagementCall) -> Membership:
    found = people_entries.one_membership(call.store, call.id)
    call.check_account(found.account_id, NotFound(f"There is no membership {call.id[:64]!r}."))
    return found


def _list_people(call: ManagementCall) -> Answer:
    limit, account = call.count(), call.account(call.query.get("account"))
    email = call.query.get("email")
    found = people_entries.page_of_people(
        call.store, limit + 1, call.query.get("cursor", ""), account, None if email is None else email.strip().lower()
    )
    own = call.key.account_id
    return Answer(listed([people_entries.person_entry(one, own) for one in found], limit, lambda one: one["id"]))


def _one_person(call: ManagementCall) -> Answer:
    return Answer({"data": people_entries.person_entry(_own_person(call), call.key.account_id)})


def _change_person(call: ManagementCall) -> Answer:
    body: PersonChange = call.body
    found = directory.one_person(call.store, call.id)
    fate = checked_fate("disable" if body.keys is UNSET else body.keys)
    fates = dict.fromkeys((one.account_id for one in found.memberships), fate)
    directory.disable(call.store, call.actor, call.id, disabled=body.disabled, fates=fates)
    return _one_person(call)


def _list_sessions(call: ManagementCall) -> Answer:
    found = people_entries.list_sessions(call.store, call.id)
    return Answer({"data": [people_entries.session_entry(one) for one in found]})


def _end_sessions(call: ManagementCall) -> Answer:
    ended = people_entries.end_sessions(call.store, call.actor, call.id, call.query.get("session"))
    return Answer({"data": {"sessions_ended": ended}})


def _list_memberships(call: ManagementCall) -> Answer:
    limit, account = call.count(), call.account(call.query.get("account"))
    found = people_entries.page_of_memberships(
        call.store, limit + 1, call.query.get("cursor", ""), account, call.query.get("person")
    )
    return Answer(listed([people_entries.membership_entry(one) for one in found], limit, lambda one: one["id"]))


def _add_membership(call: ManagementCall) -> Answer:
    body: NewMembership = call.body
    account_answer(call, body.account)
    role = people_entries.checked_role(body.role)
    made = people_entries.add_membership(call.store, call.actor, body.account, body.person, role)
    return Answer({"data": people_entries.membership_entry(made)})


def _change_membership(call: ManagementCall) -> Answer:
    body: MembershipChange = call.body
    found = _own_membership(call)
    role = people_entries.checked_role(body.role)
    members.change_role(
        call.store, call.actor, found.account_id, found.person_id, role, by_owner=_by_owner(call)
    )  # fmt: skip
    return Answer({"data": people_entries.membership_entry(_own_membership(call))})


def _end_membership(call: ManagementCall) -> Answer:
    found = _own_membership(call)
    fate = checked_fate(call.query.get("keys", "disable"))
    count = members.remove_member(
        call.store, call.actor, found.account_id, found.person_id, by_owner=_by_owner(call), fate=fate
    )
    return Answer({"data": {**people_entries.membership_entry(found), "keys": fate, "number_of_keys": count}})


def _list_invitations(call: ManagementCall) -> Answer:
    limit, account = call.count(), call.account(call.query.get("account"))
    found = people_entries.page_of_invitations(call.store, limit + 1, call.query.get("cursor", ""), account)
    return Answer(listed([people_entries.invitation_entry(one) for one in found], limit, lambda one: one["id"]))


def _invite(call: ManagementCall) -> Answer:
    body: NewInvitation = call.body
    account = call.account(body.account)
    if account is None:
        raise InvalidRequest("Name the account that somebody is invited to.", param="account")
    account_answer(call, account)
    role = people_entries.checked_role(body.role)
    token = joining.invite(
        call.store, call.actor, account, body.email, role, by_owner=_by_owner(call), mailed=False
    )  # fmt: skip
    made = people_entries.invitation_of(call.store, token)
    return Answer({"data": people_entries.invitation_entry(made), "path": f"/invitation#{token}"})


def _withdraw(call: ManagementCall) -> Answer:
    found = people_entries.one_invitation(call.store, call.id)
    account = found.account_id or ""
    call.check_account(account, NotFound(f"There is no invitation {call.id[:64]!r}."))
    joining.withdraw_invitation(call.store, call.actor, account, call.id)
    return Answer({"data": people_entries.invitation_entry(found)})


PEOPLE: Sequence[Action] = (
    Action("GET", "/v1/admin/people", "people", _list_people, "People", "List the people who may sign in.",
           "A key that is confined to an account sees only its members, and no other organisation of theirs.",
           query=PAGE | ACCOUNT | {"email": "Who has this e-mail address."}),
    Action("GET", "/v1/admin/people/{id}", "people", _one_person, "People", "Retrieve a person."),
    Action("PATCH", "/v1/admin/people/{id}", "people", _change_person, "People",
           "Disable a person, or enable them again.",
           f"Signed out everywhere at once. `keys`: {KEYS[0].lower()}{KEYS[1:]}", body=PersonChange, confined=False),
    Action("GET", "/v1/admin/people/{id}/sessions", "people", _list_sessions, "People",
           "List where a person is signed in.", confined=False),
    Action("DELETE", "/v1/admin/people/{id}/sessions", "people", _end_sessions, "People",
           "Sign a person out everywhere, or end one session.", query={"session": "Only this session."},
           confined=False),
    Action("GET", "/v1/admin/memberships", "people", _list_memberships, "People",
           "List who has which role in which account.", CONFINED, query=PAGE | ACCOUNT | {"person": "Only of them."}),
    Action("POST", "/v1/admin/memberships", "people", _add_membership, "People",
           "Make somebody who may sign in a member of an account, without an invitation.", body=NewMembership,
           confined=False, status=201),
    Action("PATCH", "/v1/admin/memberships/{id}", "people", _change_membership, "People",
           "Give a member another role, in force with their next request.",
           "One owner stays. A key that is confined to an account makes and unmakes no owners.",
           body=MembershipChange),
    Action("DELETE", "/v1/admin/memberships/{id}", "people", _end_membership, "People",
           "Remove somebody from an account.", "One owner stays.", query={"keys": KEYS}),
    Action("GET", "/v1/admin/invitations", "people", _list_invitations, "People", "List the open invitations.",
           CONFINED, query=PAGE | ACCOUNT),
    Action("POST", "/v1/admin/invitations", "people", _invite, "People", "Invite somebody to an account.",
           "`path` is shown once: append it to the server's address and send it to them. It is good once, for a week.",
           body=NewInvitation, status=201),
    Action("DELETE", "/v1/admin/invitations/{id}", "people", _withdraw, "People", "Withdraw an invitation."),
)  # fmt: skip
