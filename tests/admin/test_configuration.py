"""Versions of the configuration: numbered, never changed, one in force; two at once, and a writer that is killed."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from fairlead.accounts.keys import create_key, list_keys
from fairlead.accounts.naming import continuing
from fairlead.accounts.options import as_columns
from fairlead.admin.audit import Actor
from fairlead.admin.configuration import (
    IN_FORCE,
    Submission,
    apply,
    compare,
    compare_texts,
    current,
    digest_of,
    document_of,
    history,
    plan,
    plan_entry,
    rollback,
    rollback_plan,
    take_in,
)
from fairlead.admin.keys import change_key, revoke_key
from fairlead.errors import ConfigurationError, Forbidden, InvalidRequest, NotFound, VersionConflict
from fairlead.money import Picodollars
from fairlead.providers.sealed import Reader
from fairlead.settings import parse_settings
from fairlead.store import Store, open_store
from fairlead.store.configuration import number_in_force, read_version
from fairlead.store.tables import accounts, audit_log, configuration_versions, metadata

SECRET = "s3cr3t-of-the-provider"
ACTOR = Actor("command line", "alice")


def document(price: str = "1", more: str = "", key: str = '{ env = "P_KEY" }') -> str:
    return (
        f'# of the operator\n[[providers]]\nid = "p"\nbase_url = "http://p/v1"\napi_key = {key}\n'
        '[[models]]\nid = "m"\n[[models.deployments]]\nprovider = "p"\nupstream_model = "x"\n'
        f'price = {{ input = "0", output = "{price}" }}\n{more}'
    )


@pytest.fixture(autouse=True)
def _seal_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLEAD_SEAL_KEY", base64.b64encode(bytes(32)).decode())


@pytest.fixture
def store(tmp_path: Path, database_url: str | None) -> Iterator[Store]:
    opened = open_store(tmp_path, database_url)
    yield opened
    opened.close()


def applied(store: Store, price: str, **more: object) -> int:
    return apply(store, document(price), "fairlead.toml", Submission(ACTOR, **more)).number  # type: ignore[arg-type]


def test_before_the_first_version_the_file_of_the_node_is_in_force(store: Store, tmp_path: Path) -> None:
    assert current(store)[:3] == ("none", 0, "")
    file = tmp_path / "fairlead.toml"
    file.write_text(document("1"))
    assert current(store, file)[:3] == ("file", 0, digest_of(document("1")))
    (store.directory / IN_FORCE).write_text(document("2"))  # the file was changed, and is not good
    assert current(store, file)[2:4] == (digest_of(document("2")), str(file))


def test_versions_are_numbered_and_the_newest_is_in_force(store: Store) -> None:
    first = apply(store, document("1"), "fairlead.toml", Submission(ACTOR, comment="the first"))
    second = apply(store, document("2"), "fairlead.toml", Submission(ACTOR, "bob", "cheaper"))
    assert (first.number, second.number) == (1, 2)
    assert current(store)[:4] == ("database", 2, digest_of(document("2")), "version 2")
    newest, oldest = history(store)
    assert (newest.number, newest.author, newest.comment, newest.restored) == (2, "bob", "cheaper", None)
    assert (oldest.number, oldest.author, oldest.comment) == (1, "alice", "the first")
    assert time.time() * 1000 - newest.at < 60_000
    assert (newest.document, document_of(store, 1).document) == (None, document("1"))
    with pytest.raises(NotFound, match="no version 3"):
        document_of(store, 3)


def test_a_rollback_is_a_version_of_its_own(store: Store) -> None:
    applied(store, "1")
    applied(store, "2")
    third = rollback(store, 1, Submission(ACTOR))
    assert (third.number, third.restored, third.digest) == (3, 1, digest_of(document("1")))
    assert document_of(store, 3).document == document("1")
    assert [one.words for one in rollback_plan(store, 2).changes] == ["price of m output 1.00 -> 2.00 from now on"]
    with pytest.raises(NotFound):
        rollback(store, 9, Submission(ACTOR))


def test_a_rollback_to_0_returns_to_the_files(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "fairlead.toml"
    file.write_text(document("7"))
    applied(store, "1")
    assert [one.words for one in rollback_plan(store, 0, file).changes] == [
        "price of m output 1.00 -> 7.00 from now on"
    ]
    assert rollback(store, 0, Submission(ACTOR)).number == 2
    assert current(store, file)[:3] == ("file", 2, digest_of(document("7")))
    assert applied(store, "3", expected=2) == 3


def test_the_second_of_two_plans_is_refused(store: Store) -> None:
    base = plan(store, document("1"), "fairlead.toml").current
    assert applied(store, "2", expected=base.number) == 1
    with pytest.raises(VersionConflict, match=r"^Version 1 was applied meanwhile; plan again\.$"):
        applied(store, "1", expected=base.number)
    with pytest.raises(VersionConflict):
        rollback(store, 1, Submission(ACTOR, expected=0))
    assert [one.number for one in history(store)] == [1]


def test_of_many_at_once_each_number_is_given_once(store: Store) -> None:
    outcomes: list[int | str] = []
    begin = threading.Barrier(8)

    def work(at: int) -> None:
        begin.wait()
        try:
            outcomes.append(applied(store, str(at), expected=0))
        except VersionConflict as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["1", *["Version 1 was applied meanwhile; plan again."] * 7]
    assert len(history(store)) == 1


def test_a_document_that_no_process_could_take_is_refused_with_its_line(store: Store) -> None:
    for text, said in (
        (document("1").replace('provider = "p"', 'provider = "q"'), "f.toml:9: there is no provider 'q'"),
        ("[server\n", "f.toml:1: this is not valid TOML"),
        (document("1", key='"(hidden)"'), "has hidden values"),
        ('[catalogue]\ndirectory = "models"\n', "f.toml:2: in the database the path must be absolute"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            apply(store, text, "f.toml", Submission(ACTOR))
        assert said in refused.value.message
    for author, comment in (("a" * 129, ""), ("x\n", "a\x00b"), ("a", "c" * 1_001), ("a", "sk-live-0123456789abcdef")):
        with pytest.raises(InvalidRequest):
            apply(store, document("1"), "f.toml", Submission(ACTOR, author, comment))
    assert history(store) == []


def test_a_plan_counts_the_keys_that_name_a_model_which_goes_away(store: Store) -> None:
    applied(store, "1")
    for at in range(4):
        create_key(store, f"key {at}")
    for at, models in enumerate(['["m"]', '["n", "m"]', '["mm"]', '["m"]']):
        change_key(store, ACTOR, list_keys(store)[at].id, {"models": models})
    revoke_key(store, ACTOR, list_keys(store)[3].id)
    found = plan(store, '[[providers]]\nid = "p"\nbase_url = "http://p/v1"\n', "f.toml")
    assert "2 keys name model m, which goes away" in [one.words for one in found.changes]
    with store.write() as connection:
        connection.execute(accounts.update().values(models='["m"]'))
    found = plan(store, '[[providers]]\nid = "p"\nbase_url = "http://p/v1"\n', "f.toml")
    assert "2 keys and 1 account name model m, which goes away" in [one.words for one in found.changes]
    assert SECRET not in json.dumps(plan_entry(found))


def test_what_is_in_force_can_be_replaced_although_it_cannot_be_read(store: Store) -> None:
    applied(store, "1")
    with store.write() as connection:
        connection.execute(configuration_versions.update().values(document="[of_a_newer_release]\n"))
    found = plan(store, document("1"), "f.toml")
    assert found.changes[0].words.startswith("what is in force cannot be read here")
    assert applied(store, "1") == 2


def test_differences_of_versions_hide_secrets(store: Store) -> None:
    other = "an0ther-s3cr3t"
    apply(store, document(key=f'"{SECRET}"'), "f.toml", Submission(ACTOR))
    apply(store, document("2", "[server]\nmax_body_bytes = 2048\n", f'"{other}"'), "f.toml", Submission(ACTOR))
    first, *rest = [one.words for one in compare(store, 1, 2)]
    assert re.fullmatch("api_key of provider p: sealed: p-[0-9a-f]{10} -> sealed: p-[0-9a-f]{10}", first)
    assert rest == [
        "price of m output 1.00 -> 2.00 from now on",
        "[server] max_body_bytes: 33554432 -> 2048: needs a restart",
    ]
    text = compare_texts(store, 1, 2)
    assert '-price = { input = "0", output = "1" }' in text
    assert "+max_body_bytes = 2048" in text
    assert SECRET not in text
    assert other not in text


def test_a_key_that_stands_in_a_document_is_sealed(store: Store) -> None:
    literal = (
        document(key=f'"{SECRET}"')
        + f'[[providers]]\nid = "q"\nbase_url = "http://q/v1"\napi_keys = ["{SECRET}", "b"]\n'
    )
    for number in (1, 2):  # the second time nothing has changed
        assert apply(store, literal, "f.toml", Submission(ACTOR)).number == number
        stored = document_of(store, number)
        assert stored.document is not None
        assert (SECRET in stored.document, digest_of(stored.document)) == (False, stored.digest)
    assert [one.words for one in plan(store, literal, "f.toml").changes] == []
    assert compare(store, 1, 2) == ()
    settings = parse_settings(stored.document, "stored")
    names = [one.sealed for one in (settings.providers[0].api_key, *settings.providers[1].api_keys)]  # type: ignore[union-attr]
    assert [Reader(store)(name) for name in names] == [SECRET, SECRET, "b"]  # type: ignore[arg-type]
    with store.read() as connection:
        actions = [row.action for row in connection.execute(select(audit_log).order_by(audit_log.c.id))]
        everything = [str(connection.execute(select(table)).all()) for table in metadata.sorted_tables]
    assert actions == ["credential.set"] * 3 + ["configuration.apply"] * 2
    assert SECRET not in "".join(everything)


def test_each_version_is_in_the_audit_log_without_its_document(store: Store) -> None:
    applied(store, "1", comment="first")
    applied(store, "2")
    rollback(store, 1, Submission(Actor("management key", "mgk_1", "192.0.2.7")))
    with store.read() as connection:
        rows = connection.execute(select(audit_log).order_by(audit_log.c.id)).all()
    assert [(row.action, row.subject) for row in rows] == [
        ("configuration.apply", "version 1"),
        ("configuration.apply", "version 2"),
        ("configuration.rollback", "version 3"),
    ]
    assert [row.actor for row in rows] == ["alice", "alice", "mgk_1"]
    assert (rows[2].address, json.loads(rows[2].before)["number"]) == ("192.0.2.7", 2)
    after = json.loads(rows[2].after)
    assert (after["number"], after["restored"], after["digest"]) == (3, 1, digest_of(document("1")))
    assert not [row for row in rows if SECRET in str(row)]


@pytest.mark.parametrize(
    "source",
    [
        '{ command = ["vault", "read", "one"] }',
        '{ file = "/run/secrets/one" }',
        '{ env = "FAIRLEAD_one" }',
    ],
)
def test_only_somebody_on_the_server_has_files_read_and_commands_run_there(store: Store, source: str) -> None:
    text = document("1", key=source)
    by = Submission(ACTOR, on_server=False)
    with pytest.raises(Forbidden, match="Somebody on the server can"):
        apply(store, text, "f.toml", by)
    apply(store, text, "f.toml", Submission(ACTOR))
    assert apply(store, text.replace('output = "1"', 'output = "2"'), "f.toml", by).number == 2
    with pytest.raises(Forbidden):
        apply(store, text.replace("one", "two"), "f.toml", by)
    assert apply(store, document("3"), "f.toml", by).number == 3
    with pytest.raises(Forbidden):
        apply(store, text, "f.toml", by)
    mail = f'[alerts]\nemail = {{ to = ["a@b.example"], smtp = {{ host = "mail.example", username = "u", password = {source} }} }}\n'
    hook = f'[alerts]\nwebhook = {{ url = "https://hook.example", secret = {source} }}\n'
    for more in (mail, hook):
        with pytest.raises(Forbidden):
            apply(store, more + document("4"), "f.toml", by)


def test_a_file_becomes_the_first_version_once(store: Store) -> None:
    for _ in range(2):
        take_in(store, document("1"), "fairlead.toml")
    (only,) = history(store)
    assert (only.number, only.author, only.comment) == (1, "file", "Taken from fairlead.toml at a start")
    with pytest.raises(ConfigurationError, match="f.toml:1"):
        rollback(store, 0, Submission(ACTOR))
        take_in(store, "[server\n", "f.toml")


APPLYING = """
import sys
from pathlib import Path
from fairlead.admin.audit import Actor
from fairlead.admin.configuration import Submission, apply
from fairlead.store import open_store
store = open_store(Path(sys.argv[1]), sys.argv[2] or None)
text = Path(sys.argv[3]).read_text()
print("ready", flush=True)
while True:
    apply(store, text, "f.toml", Submission(Actor("file")))
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_the_old_version_or_the_new_one(
    tmp_path: Path, database_url: str | None
) -> None:
    """Killed at a random moment of one apply after another: the number, the newest row and the audit log agree."""
    store = open_store(tmp_path / "data", database_url)
    (tmp_path / "f.toml").write_text(document("1", "# " + "padding " * 20_000 + "\n"))
    seen = 0
    for turn in range(6):
        command = [sys.executable, "-c", APPLYING, str(tmp_path / "data"), database_url or "", str(tmp_path / "f.toml")]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            before = _newest(store)
            _wait(lambda before=before: _newest(store) > before)  # type: ignore[misc]
            time.sleep(0.003 * turn)
            process.send_signal(signal.SIGKILL)
        seen = _consistent(store)
    assert seen >= 6
    assert applied(store, "2") == seen + 1, "nothing is left locked"
    store.close()


def _newest(store: Store) -> int:
    with store.read() as connection:
        return number_in_force(connection)


def _consistent(store: Store) -> int:
    with store.snapshot() as connection:
        number = number_in_force(connection)
        numbers = connection.execute(select(configuration_versions.c.number)).scalars().all()
        audited = connection.execute(select(audit_log.c.subject)).scalars().all()
        version = read_version(connection, number)
    assert sorted(numbers) == list(range(1, number + 1))
    assert sorted(audited) == sorted(f"version {one}" for one in numbers)
    assert version is not None
    assert version.document is not None
    assert digest_of(version.document) == version.digest
    return number


def _wait(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.002)


def test_a_plan_counts_the_budgets_that_go_on_with_a_model_that_goes_away(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    columns = as_columns(budgets={"day": Picodollars.parse("1")}, continue_with={"day": ["mistral-small-3.2"]})
    create_key(store, "one")
    create_key(store, "two")
    [one, two] = [key.id for key in list_keys(store)]
    change_key(store, Actor("command line", "alice"), one, columns)
    change_key(store, Actor("command line", "alice"), two, as_columns(budgets={"day": Picodollars.parse("1")}))
    with store.read() as connection:
        assert continuing(connection, ["mistral-small-3.2", "other"]) == {"mistral-small-3.2": {"key": 1}}
    store.close()
