"""Projects, members and end users: what is set for them holds for all their keys together, and with what keys have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.accounts.caller import Caller
from fairlead.accounts.end_users import of_user
from fairlead.accounts.key_ring import KeyRing
from fairlead.accounts.keys import key_by_hash, key_digest
from fairlead.accounts.limit_book import LimitBook
from fairlead.accounts.options import as_columns
from fairlead.admin.access import access
from fairlead.admin.accounts import change_account, create_account
from fairlead.admin.audit import Actor, AuditFilter, list_audit
from fairlead.admin.groups import change_group, create_group, list_groups
from fairlead.admin.keys import change_key, create_key, revoke_key, rotate_key
from fairlead.errors import ConfigurationError, RateLimited
from fairlead.money import Picodollars
from fairlead.store import Store, open_store

ACTOR = Actor("command line", "test")
START = 1000.0


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    yield opened
    opened.close()


def usd(text: str) -> Picodollars:
    return Picodollars.parse(text)


def caller_of(ring: KeyRing, key: str) -> Caller:
    ring.follow()
    found = ring.read(key.encode())
    assert found is not None
    return found


def test_a_key_is_within_all_that_is_set_for_it_its_member_its_project_and_its_account(store: Store) -> None:
    account = create_account(store, ACTOR, "acme", usd("5"), as_columns(models=["a", "b", "c"]))
    project = create_group(
        store, ACTOR, "project", "search", account, as_columns(models=["b", "c", "d"], budgets={"month": usd("50")})
    )
    member = create_group(
        store, ACTOR, "member", "ada", account, as_columns(given_limits=["requests_per_minute=9", "c:tokens_per_day=5"])
    )
    groups = {"project_id": project, "member_id": member}
    key = create_key(store, ACTOR, "k", columns=groups | as_columns(models=["a", "c"], budgets={"day": usd("1")}))
    ring = KeyRing(store)
    caller = caller_of(ring, key)
    assert caller.account_id == account
    assert caller.models == {"c"}
    assert [(one.owner.partition("/")[0], one.period) for one in caller.budgets] == [
        ("key", "day"),
        ("project", "month"),
    ]
    assert caller.limited is not None
    assert [(one.scope, one.noun) for one in caller.limited.groups] == [(f"member/{member}", "member")]
    # A change of the project is in force for the key that is in memory, as is one of the key's place.
    change_group(store, ACTOR, "project", project, as_columns(models=["a"], budgets={}))
    caller = caller_of(ring, key)
    assert caller.models == {"a"}
    assert len(caller.budgets) == 1
    change_key(store, ACTOR, caller.key_id, {"project_id": None, "member_id": None})
    caller = caller_of(ring, key)
    assert (caller.models, caller.limited) == ({"a", "c"}, None)
    change_account(store, ACTOR, account, as_columns(models=[""]))
    assert caller_of(ring, key).models == {"a", "c"}


def test_a_plain_key_gets_nothing_of_this(store: Store) -> None:
    caller = caller_of(KeyRing(store), create_key(store, ACTOR, "k"))
    assert (caller.budgets, caller.limited, caller.models, caller.user_caps) == ((), None, None, None)


def test_a_key_belongs_to_projects_and_members_of_its_own_account_only(store: Store) -> None:
    mine, other = (create_account(store, ACTOR, name, usd("0")) for name in ("mine", "other"))
    project = create_group(store, ACTOR, "project", "p", other)
    with pytest.raises(ConfigurationError, match="has no project"):
        create_key(store, ACTOR, "k", account_id=mine, columns={"project_id": project})
    key = create_key(store, ACTOR, "k", account_id=mine)
    with store.read() as connection:
        made = key_by_hash(connection, key_digest(key.encode()).hex())
    assert made is not None
    with pytest.raises(ConfigurationError, match="has no project"):
        change_key(store, ACTOR, made.id, {"project_id": project})
    with pytest.raises(ConfigurationError, match="no member"):
        change_key(store, ACTOR, made.id, {"member_id": "mem_nothing"})
    with pytest.raises(ConfigurationError, match="no account"):
        create_group(store, ACTOR, "project", "p", "acc_nothing")
    with pytest.raises(ConfigurationError, match="printable"):
        create_group(store, ACTOR, "member", "")


def test_every_change_of_a_project_or_a_member_is_in_the_audit_log_and_a_rotated_key_keeps_its_place(
    store: Store,
) -> None:
    project = create_group(store, ACTOR, "project", "p")
    change_group(store, ACTOR, "project", project, as_columns(budgets={"day": usd("3")}))
    change_group(store, ACTOR, "project", project, as_columns(budgets={"day": usd("3")}))  # which changes nothing
    found = [(row["action"], row["after"]) for row in list_audit(store, AuditFilter(subject=project), 10)]
    assert [action for action, _ in found] == ["project.change", "project.create"]
    assert found[0][1] == {"budgets_usd": {"day": "3.00"}}
    key = create_key(store, ACTOR, "k", columns={"project_id": project})
    ring = KeyRing(store)
    new = rotate_key(store, ACTOR, caller_of(ring, key).key_id)
    assert [one.owner for one in caller_of(ring, new).budgets] == [f"project/{project}"]
    assert [one.name for one in list_groups(store, "project")] == ["p"]


def test_keys_of_a_project_share_its_limits_and_end_users_have_their_own(store: Store) -> None:
    project = create_group(
        store, ACTOR, "project", "p", None,
        as_columns(given_limits=["requests_per_day=5"], each_user=["requests_per_day=2", "day=0.50"]),
    )  # fmt: skip
    keys = [create_key(store, ACTOR, "k", columns={"project_id": project}) for _ in range(2)]
    ring, book = KeyRing(store), LimitBook()
    callers = [caller_of(ring, key) for key in keys]

    def call(caller: Caller, user: str) -> str:
        capped = of_user(caller, user)
        assert capped.limited is not None
        try:
            assert book.admit(capped.limited, "m", 1, START, free=False) is not None
        except RateLimited as refused:
            return str(refused)
        return ""

    assert [call(callers[0], "ada"), call(callers[1], "ada")] == ["", ""]
    assert "The end user may make 2 requests per day" in call(callers[1], "ada")
    assert [call(callers[0], "bob"), call(callers[0], ""), call(callers[1], "")] == ["", "", ""]
    assert "The project may make 5 requests per day" in call(callers[0], "eve")
    one, two, again = (of_user(callers[0], user).budgets[-1] for user in ("ada", "bob", "ada"))
    assert one == again
    assert one.owner != two.owner
    assert one.picodollars == usd("0.50").value
    assert "ada" not in one.owner
    assert len(f"{one.owner}/month/2026-11") <= 128, "the column of scopes"


MODELS = {"a": True, "b": True, "free": False}


def test_access_names_the_rule_that_refuses(store: Store) -> None:
    account = create_account(store, ACTOR, "acme", usd("0"))
    project = create_group(store, ACTOR, "project", "p", account, as_columns(models=["a", "free"]))
    key = create_key(
        store, ACTOR, "k",
        columns={"project_id": project} | as_columns(networks=["10.0.0.0/8"], given_limits=["a:requests_per_day=9"]),
    )  # fmt: skip
    look = access(store, key, MODELS, {"alias": "b"})
    assert look.models == ("a", "free")
    assert look.refused_by is not None
    assert (look.refused_by.rule, look.refused_by.of) == ("credit", f"account {account}")
    refused = access(store, look.key.id, MODELS, {"alias": "b"}, "alias").refused_by
    assert refused is not None
    assert (refused.rule, refused.of) == ("models", f"project {project}")
    unknown = access(store, look.key.id, MODELS, {}, "nothing").refused_by
    assert unknown is not None
    assert unknown.rule == "model"
    assert access(store, look.key.id, MODELS, {}, "free").refused_by is None, "which costs nothing"
    assert not any(rule.rule == "limit" for rule in access(store, look.key.id, MODELS, {}, "free").rules)
    away = access(store, look.key.id, MODELS, {}, "free", address="192.0.2.1").refused_by
    assert away is not None
    assert away.rule == "network"
    assert access(store, look.key.id, MODELS, {}, "free", address="10.1.2.3").refused_by is None
    revoke_key(store, ACTOR, look.key.id)
    gone = access(store, look.key.id, MODELS, {}, "free").refused_by
    assert gone is not None
    assert gone.detail.startswith("revoked ")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("day=much", "--each-user"),
        ("year=1", "--each-user: there is no limit 'year'"),
        ("requests_per_minute=0", "--each-user: requests_per_minute must be a whole number"),
        ("requests_per_minute", "--each-user must be"),
    ],
)
def test_a_wrong_cap_is_refused_with_what_is_wrong(given: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        as_columns(each_user=[given])
    assert words in str(refused.value)


def test_an_empty_cap_removes_it() -> None:
    assert as_columns(each_user=[""]) == {"each_user": None}
