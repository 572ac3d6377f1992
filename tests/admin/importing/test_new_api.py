"""A database of new-api, as its own migrations make it: channels, prices, users and tokens, and nothing written to it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import stat
import subprocess
import time
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from tests.compose.test_serving import Caller, running
from tests.compose.test_serving import run as serve
from tests.e2e.fork_server import run

from fairlead.accounts.keys import list_keys
from fairlead.admin.audit import Actor, AuditFilter, list_audit
from fairlead.admin.credit import balances
from fairlead.admin.importing.document import checked
from fairlead.admin.importing.new_api.importer import Imported, import_new_api
from fairlead.admin.importing.new_api.plan import apply_plan, as_text, read_plan
from fairlead.admin.importing.new_api.source import read_source
from fairlead.errors import ConfigurationError
from fairlead.ledger.verify import verify
from fairlead.store import Store, open_store
from fairlead.testing import ScriptedUpstream

# As GORM writes the tables of new-api (SQLite); other columns do not matter here.
SCHEMA = (
    (
        'CREATE TABLE channels (id integer PRIMARY KEY, type integer DEFAULT 0, "key" text NOT NULL, openai_organization text, '
        "test_model text, status integer DEFAULT 1, name text, weight integer DEFAULT 0, created_time bigint, base_url text, "
        "other text, balance real, models text, \"group\" varchar(64) DEFAULT 'default', used_quota bigint, model_mapping text, "
        "status_code_mapping varchar(1024), priority bigint DEFAULT 0, auto_ban integer DEFAULT 1, tag text, setting text, "
        "param_override text, header_override text, remark text, channel_info text, settings text)"
    ),
    (
        'CREATE TABLE tokens (id integer PRIMARY KEY, user_id integer, "key" varchar(128), status integer DEFAULT 1, name text, '
        "created_time bigint, accessed_time bigint, expired_time bigint DEFAULT -1, remain_quota integer DEFAULT 0, "
        "unlimited_quota boolean, model_limits_enabled boolean, model_limits text, allow_ips text, used_quota integer, "
        "\"group\" text DEFAULT '', deleted_at timestamp)"
    ),
    (
        "CREATE TABLE users (id integer PRIMARY KEY, username text, password text, display_name text, role integer DEFAULT 1, "
        "status integer DEFAULT 1, email text, access_token text, quota integer DEFAULT 0, used_quota integer, "
        "\"group\" varchar(64) DEFAULT 'default', deleted_at timestamp)"
    ),
    'CREATE TABLE options ("key" varchar(128) PRIMARY KEY, value text)',
)
TOKEN = "Ab3dEfGh1jKlMnOpQrStUvWxYz0123456789abcdEFGHijkl"
SECRETS = (
    "sk-secret-channel-1",
    "sk-secret-a",
    "sk-secret-b",
    "AKIASECRET",
    "aws-secret-key",
    TOKEN,
    "hunter2",
    "secret-smtp",
)
ME = Actor("command line", "test")


def row(table: str, **values: Any) -> tuple[str, dict[str, Any]]:
    names = ", ".join(f'"{name}"' for name in values)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in values)})", values


def rows(upstream: str = "http://gpu1:8000") -> list[tuple[str, dict[str, Any]]]:
    later = int(time.time()) + 86_400
    return [
        row("channels", id=1, type=1, key="sk-secret-channel-1", name="own gpu", base_url=upstream, weight=5, priority=10,
            models="mistral-small-3.2,gpt-4o", model_mapping='{"gpt-4o": "step", "step": "gpt-4o-2024-11-20"}'),
        row("channels", id=2, type=14, key="sk-secret-a\nsk-secret-b\nsk-dead", name="克劳德", priority=5, group="vip",
            models="claude-sonnet-4-5", tag="t", param_override='{"temperature": 0}', header_override='{"x": "y"}',
            channel_info='{"is_multi_key": true, "multi_key_size": 3, "multi_key_status_list": {"2": 3}}'),
        row("channels", id=3, type=33, key="AKIASECRET|aws-secret-key|us-east-1", name="aws", models="nova-lite,mystery",
            model_mapping='{"nova-lite": "amazon.nova-lite-v1:0"}'),
        row("channels", id=4, type=1, key="sk-x", name="off", status=2, models="gpt-4o"),
        row("channels", id=5, type=36, key="sk-y", name="suno", models="suno_music"),
        row("channels", id=6, type=3, key='["azure-secret-1"]', name="azure", base_url="https://e.openai.azure.com",
            other="2024-10-21", models="gpt-4o"),
        row("users", id=1, username="root", password="hunter2", role=100, quota=123_456_789, email="root@example.org"),
        row("users", id=2, username="ann", quota=1, group="vip"),
        row("users", id=3, username="gone", status=2, quota=500_000),
        row("users", id=4, username="owes", quota=-5),
        row("tokens", id=1, user_id=1, key=TOKEN, name="laptop", remain_quota=12_345, unlimited_quota=0, expired_time=later,
            model_limits_enabled=1, model_limits="mistral-small-3.2,other", allow_ips="127.0.0.1\n10.0.0.0/8\n"),
        row("tokens", id=2, user_id=1, key="u" * 48, name="all", remain_quota=0, unlimited_quota=1, group="auto"),
        row("tokens", id=3, user_id=2, key="v" * 48, name="vip", remain_quota=7, unlimited_quota=0),
        row("tokens", id=4, user_id=1, key="w" * 48, name="used up", remain_quota=0, unlimited_quota=0),
        row("tokens", id=5, user_id=1, key="x" * 48, name="old", remain_quota=9, unlimited_quota=0, expired_time=1_000),
        row("tokens", id=6, user_id=3, key="y" * 48, name="of gone", remain_quota=9, unlimited_quota=0),
        row("tokens", id=7, user_id=1, key="z" * 48, name="no address", unlimited_quota=1, allow_ips="nonsense"),
        row("tokens", id=8, user_id=1, key="q" * 48, name="deleted", unlimited_quota=1, deleted_at="2026-01-01 00:00:00"),
        row("tokens", id=9, user_id=1, key="n" * 48, name="nothing", unlimited_quota=1, model_limits_enabled=1,
            model_limits="not-here"),
        row("options", key="ModelRatio", value='{"mistral-small-3.2": 0.05, "gpt-4o": 1.25, "claude-sonnet-4-5": 1.5}'),
        row("options", key="CompletionRatio", value='{"mistral-small-3.2": 3, "claude-sonnet-4-5": 5, "gpt-4o": 4.00000001}'),
        row("options", key="CacheRatio", value='{"claude-sonnet-4-5": 0.1}'),
        row("options", key="CreateCacheRatio", value='{"claude-sonnet-4-5": 1.25}'),
        row("options", key="ModelPrice", value='{"suno_music": 0.1}'),
        row("options", key="GroupRatio", value='{"default": 1, "vip": 1}'),
        row("options", key="SMTPToken", value="secret-smtp"),
    ]  # fmt: skip


def database(file: Path, given: list[tuple[str, dict[str, Any]]] | None = None) -> Path:
    with sqlite3.connect(file) as connection:
        for statement in SCHEMA:
            connection.execute(statement)
        for statement, values in rows() if given is None else given:
            connection.execute(statement, values)
    connection.close()
    return file


@pytest.fixture
def imported(tmp_path: Path) -> Imported:
    return import_new_api(read_source(str(database(tmp_path / "one-api.db"))))


def document(found: Imported) -> dict[str, Any]:
    return tomllib.loads(found.text)


def by_id(found: Imported, table: str) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in document(found)[table]}


# --- what becomes of it


def test_channels_become_providers_and_keys_become_variables(imported: Imported) -> None:
    providers = by_id(imported, "providers")
    assert providers["own-gpu"] == {
        "id": "own-gpu",
        "base_url": "http://gpu1:8000/v1",
        "api_key": {"env": "CHANNEL_1_KEY"},
    }
    assert providers["channel-2"] == {
        "id": "channel-2",
        "preset": "anthropic",
        "api_keys": [{"env": "CHANNEL_2_KEY"}, {"env": "CHANNEL_2_KEY_2"}],  # the third one is disabled
    }
    assert providers["aws"] == {
        "id": "aws",
        "preset": "bedrock",
        "region": "us-east-1",
        "access_key_id": {"env": "CHANNEL_3_KEY_ACCESS_KEY_ID"},
        "secret_access_key": {"env": "CHANNEL_3_KEY_SECRET_ACCESS_KEY"},
    }
    assert providers["azure"]["api_version"] == "2024-10-21"
    assert "off" not in providers
    lines = dict(line.split("=", 1) for line in imported.secrets.splitlines())
    assert lines["CHANNEL_1_KEY"] == "'sk-secret-channel-1'"
    assert set(lines) == set(imported.variables)


def test_models_keep_their_mapping_priority_weight_and_price(imported: Imported) -> None:
    models = by_id(imported, "models")
    [small] = models["mistral-small-3.2"]["deployments"]
    assert (small["upstream_model"], small["weight"]) == ("mistral-small-3.2", 5)
    assert small["price"] == {"input": "0.1", "output": "0.3"}
    assert [(one["provider"], one.get("priority", 0)) for one in models["gpt-4o"]["deployments"]] == [
        ("own-gpu", 0),
        ("azure", 2),
    ]
    assert models["gpt-4o"]["deployments"][0]["upstream_model"] == "gpt-4o-2024-11-20"
    assert models["claude-sonnet-4-5"]["deployments"][0]["price"] == {
        "input": "3",
        "output": "15",
        "cached_input": "0.3",
        "cache_write_5m": "3.75",
    }
    assert models["nova-lite"]["deployments"][0]["price"]["input"] == "0.06", "of the catalogue"
    assert "mystery" not in models, "without a price every call would be free"
    assert any("mystery" in note for note in imported.report.notes)
    assert any("gpt-4o" in note and "rounded" in note for note in imported.report.notes)
    assert set(models) <= set(checked(imported.text).models)


def test_users_and_tokens_become_accounts_and_keys_to_the_last_unit(imported: Imported) -> None:
    accounts = {one.name: one for one in imported.plan.accounts}
    assert {name: one.credit_usd for name, one in accounts.items()} == {
        "root": "246.913578",
        "ann": "0.000002",
        "owes": "0.00",
    }
    keys = {one.name: one for one in imported.plan.keys}
    assert set(keys) == {"laptop", "all", "vip", "nothing"}
    laptop = keys["laptop"]
    assert laptop.digest == hashlib.sha256(f"sk-{TOKEN}".encode()).hexdigest()
    assert (laptop.shown, laptop.account, laptop.budget_usd) == ("sk-Ab3d", accounts["root"].id, "0.02469")
    assert (laptop.models, laptop.networks) == (["mistral-small-3.2"], ["127.0.0.1/32", "10.0.0.0/8"])
    assert laptop.expires_at is not None
    assert (keys["all"].budget_usd, keys["all"].models) == (None, None)
    assert keys["vip"].models == ["claude-sonnet-4-5"], "the models of its group"
    assert keys["nothing"].models == [], "limited to what is not here: it may call nothing, and not everything"


def test_the_report_names_every_channel_and_counts_every_row_that_is_left_out(imported: Imported) -> None:
    said = {line.setting: line.note for line in imported.report.lines("not_mapped")}
    assert "disabled" in said["channels[3].name"]
    assert "no provider here" in said["channels[4].key"]
    assert "defaults" in said["channels[1].param_override"]
    assert "headers" in said["channels[1].header_override"]
    assert {
        "tokens (1)", "users (1)", "options.SMTPToken", "users.role, passwords, e-mail",
    } <= set(said)  # fmt: skip
    left_out = sum(
        int(line.setting.split("(")[1][:-1])
        for line in imported.report.lines("not_mapped")
        if line.setting.startswith("tokens (")
    )
    assert left_out + len(imported.plan.keys) == 9


def test_prices_of_groups_with_one_ratio_are_multiplied(tmp_path: Path) -> None:
    given = [(one, values) for one, values in rows() if values.get("key") != "GroupRatio"]
    given.append(row("options", key="GroupRatio", value='{"default": 0.5, "vip": 0.5}'))
    found = import_new_api(read_source(str(database(tmp_path / "a.db", given))))
    assert by_id(found, "models")["mistral-small-3.2"]["deployments"][0]["price"] == {"input": "0.05", "output": "0.15"}
    given[-1] = row("options", key="GroupRatio", value='{"default": 0.5, "vip": 2}')
    found = import_new_api(read_source(str(database(tmp_path / "b.db", given))))
    assert any("other ratios" in note for note in found.report.notes)


def test_one_api_has_other_numbers_for_its_channels(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "one.db") as connection:
        connection.execute('CREATE TABLE channels (id integer PRIMARY KEY, type integer, "key" text, status integer, name text, '
                           'weight integer, base_url text, models text, "group" text, model_mapping text, priority bigint, '
                           "config text)")  # fmt: skip
        connection.execute('CREATE TABLE tokens (id integer PRIMARY KEY, user_id integer, "key" text, status integer, name text, '
                           "expired_time bigint, remain_quota bigint, unlimited_quota numeric, models text, subnet text)")  # fmt: skip
        connection.execute(
            'CREATE TABLE users (id integer PRIMARY KEY, username text, status integer, quota bigint, "group" text)'
        )
        connection.execute(
            "INSERT INTO channels VALUES (1, 29, 'gsk-1', 1, 'groq', 0, '', 'gpt-4o', 'default', '', 0, '')"
        )
        connection.execute("INSERT INTO users VALUES (1, 'a', 1, 500000, 'default')")
        connection.execute("INSERT INTO tokens VALUES (1, 1, 'k', 1, 't', -1, 5, 0, 'gpt-4o', '10.0.0.0/8')")
    connection.close()
    found = import_new_api(read_source(str(tmp_path / "one.db")))
    assert by_id(found, "providers")["groq"]["preset"] == "groq"
    [key] = found.plan.keys
    assert (key.models, key.networks) == (["gpt-4o"], ["10.0.0.0/8"])


# --- the source is only read


def test_the_database_is_not_changed_and_its_name_is_only_a_name(tmp_path: Path) -> None:
    file = database(tmp_path / "x?mode=rwc&y#z%41.db")
    before = file.read_bytes()
    file.chmod(0o400)
    assert read_source(str(file)).tokens
    assert file.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == [file.name]


def test_postgresql_is_read_in_a_transaction_that_cannot_write(new_database: Callable[..., str]) -> None:
    url = new_database(empty=True)
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for statement in SCHEMA:
            connection.execute(text(statement.replace(" real", " float8")))
        for statement, values in rows():
            fixed = {
                name: bool(value) if name in ("unlimited_quota", "model_limits_enabled") else value
                for name, value in values.items()
            }
            connection.execute(text(statement), fixed)
    engine.dispose()
    found = import_new_api(read_source(url))
    assert {one.name for one in found.plan.keys} == {"laptop", "all", "vip", "nothing"}
    assert "mistral-small-3.2" in by_id(found, "models")
    assert ":" not in found.plan.source


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("mysql://root:hunter2@db/new-api", "MySQL cannot be read"),
        ("root:hunter2@tcp(127.0.0.1:3306)/new-api", "MySQL cannot be read"),
        ("mariadb://root:hunter2@db/x", "MySQL cannot be read"),
        ("mssql://sa:hunter2@db/x", "only SQLite and PostgreSQL"),
        ("postgresql://u:hunter2@127.0.0.1:1/x", "cannot be read"),
        ("://hunter2", "a URL"),
        ("nothing.db", "is no file"),
        ("sqlite:///nothing.db", "is no file"),
    ],
)
def test_what_cannot_be_read_is_refused_without_its_password(place: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_source(place)
    assert words in raised.value.message
    assert "hunter2" not in raised.value.message
    assert "\n" not in raised.value.message


def test_another_database_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE t (a)").connection.close()
    (tmp_path / "noise.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)
    for name in ("empty.db", "noise.db"):
        with pytest.raises(ConfigurationError, match=r"is no database of new-api|cannot be read"):
            read_source(str(tmp_path / name))


@pytest.mark.parametrize(
    "evil",
    ["x'); DROP TABLE users; --", 'x" OR "1"="1', 'a"\n[server]\nmetrics = "public"', "\x1b[31m", "../../etc", "\x00"],
)
def test_names_are_neither_sql_nor_toml_nor_paths(tmp_path: Path, evil: str) -> None:
    later = [
        row("channels", id=1, type=1, key=f"k{len(evil)}", name=evil, base_url="http://gpu1:8000", models=f"{evil},gpt-4o",
            model_mapping=json.dumps({"gpt-4o": evil})),
        row("channels", id=2, type=1, key=evil, name="b", base_url=f"http://gpu1:8000/{evil}", models="gpt-4o"),
        row("users", id=1, username=evil, quota=5, group=evil),
        row("tokens", id=1, user_id=1, key="k", name=evil, unlimited_quota=1, model_limits_enabled=1, model_limits=evil,
            group=evil),
        row("options", key=evil, value=evil),
        row("options", key="ModelRatio", value='{"gpt-4o": 1}'),
    ]  # fmt: skip
    found = import_new_api(read_source(str(database(tmp_path / "a.db", later))))
    assert set(document(found)) <= {"providers", "models"}
    for kind in ("mapped", "not_mapped", "never_effective"):
        assert all(line.setting.isprintable() for line in found.report.lines(kind))  # type: ignore[arg-type]
    with closing(open_store(tmp_path / "data")) as store:
        apply_plan(store, ME, read_plan(as_text(found.plan), "plan"))
        assert all(key.name.isprintable() for key in list_keys(store))


# --- the plan


def test_a_plan_creates_everything_once_and_is_audited(
    imported: Imported, database_url: str | None, tmp_path: Path
) -> None:
    plan = read_plan(as_text(imported.plan), "plan")
    assert plan == imported.plan
    with closing(open_store(tmp_path / "data", database_url)) as store:
        done = apply_plan(store, ME, plan)
        assert (done.accounts, done.keys, done.unchanged) == (3, 4, 0)
        assert done.credit.dollars() == "246.91358"
        state = everything(store)
        assert {one.account.name: one.held.granted for one in balances(store)}["ann"] == 2_000_000
        again = apply_plan(store, ME, plan)
        assert (again.accounts, again.keys, again.unchanged, again.credit.value) == (0, 0, 7, 0)
        assert everything(store) == state
        actions = [one["action"] for one in list_audit(store, AuditFilter(), 100)]
        assert sorted(actions) == ["account.import"] * 3 + ["key.import"] * 4
        keys = {one.name: one for one in list_keys(store)}
        assert [(one.period, one.picodollars) for one in keys["laptop"].budgets] == [("total", 12_345 * 2_000_000)]
        assert (keys["nothing"].models, keys["all"].models) == ([], None)
        with store.snapshot() as connection:
            assert verify(connection, 0, lambda _: None).discrepancy is None


def everything(store: Store) -> list[Any]:
    with store.read() as connection:
        return [
            connection.execute(text(f"SELECT * FROM {table} ORDER BY 1")).all()
            for table in ("accounts", "api_keys", "funds", "entries", "postings", "audit_log")
        ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plan: plan.update(format="other"), "another version"),
        (lambda plan: plan.update(more=1), "no plan"),
        (lambda plan: plan["keys"][0].update(digest="00"), "no plan"),
        (lambda plan: plan["keys"][0].update(account="acc_000000000000"), "does not have"),
        (lambda plan: plan["keys"][0].update(networks=[]), "no plan"),
        (lambda plan: plan["keys"][0].update(networks=["nonsense"]), "--network"),
        (lambda plan: plan["keys"][0].update(name="\x1b"), "printable"),
        (lambda plan: plan["accounts"][0].update(credit_usd="-1"), "no plan"),
        (lambda plan: plan["accounts"][0].update(credit_usd="99999999999"), "wrong amount"),
        (lambda plan: plan["accounts"][0].update(id="acc_0'; DROP"), "no plan"),
    ],
)
def test_a_plan_that_was_tampered_with_creates_nothing(
    imported: Imported, tmp_path: Path, change: Callable[[Any], None], words: str
) -> None:
    raw = json.loads(as_text(imported.plan))
    change(raw)
    with closing(open_store(tmp_path / "data")) as store:
        before = everything(store)
        with pytest.raises(ConfigurationError, match=words):
            apply_plan(store, ME, read_plan(json.dumps(raw), "plan"))
        assert everything(store) == before


# --- an old key


@pytest.mark.parametrize("model", ["mistral-small-3.2", "gpt-4o"])
def test_an_old_token_calls_at_once_and_its_quota_is_its_credit_to_the_last_unit(tmp_path: Path, model: str) -> None:
    with ScriptedUpstream() as upstream:
        given = [(one, {**values}) for one, values in rows(upstream.url.removesuffix("/v1"))]
        given = [
            (one, values)
            for one, values in given
            if values.get("name") not in ("azure", "aws") and values.get("id") != 2
        ]
        found = import_new_api(read_source(str(database(tmp_path / "a.db", given))))
        secrets = dict(line.split("=", 1) for line in found.secrets.splitlines())
        text = found.text
        for name, value in secrets.items():
            text = text.replace(f'{{ env = "{name}" }}', json.dumps(value.strip("'")))

        async def test() -> None:
            async with running(tmp_path, text) as it:
                apply_plan(it.store, ME, found.plan)
                caller = Caller(it.port, f"sk-{TOKEN}")
                it.callers.append(caller)
                answer = await caller.call(model, max_tokens=5)
                if model == "gpt-4o":  # it is not one of the models that the token is limited to
                    assert answer.status in (403, 404)
                    return
                assert answer.status == 200, answer.body
                assert upstream.requests[0].headers["authorization"] == "Bearer sk-secret-channel-1"
                stranger = Caller(it.port, TOKEN)
                it.callers.append(stranger)
                assert (await stranger.call(model)).status == 401, "without sk- it is another key"

        serve(test)
    if model != "gpt-4o":
        with closing(open_store(tmp_path / "data")) as store:
            held = {one.account.name: one.held for one in balances(store)}["root"]
            assert held.granted == 123_456_789 * 2_000_000
            [key] = [one for one in list_keys(store) if one.name == "laptop"]
            assert [(one.period, one.picodollars) for one in key.budgets] == [("total", 12_345 * 2_000_000)]
            with store.snapshot() as connection:
                charged = verify(connection, 0, lambda _: lambda _: None)
            assert charged.discrepancy is None


# --- the command


def test_the_files_are_private_and_nothing_that_is_printed_is_a_secret(tmp_path: Path) -> None:
    file, out, data = database(tmp_path / "a.db"), tmp_path / "out", str(tmp_path / "data")
    done = run("import", "new-api", str(file), "-o", str(out))
    assert done.returncode == 0, done.stderr
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in out.iterdir()}
    assert modes == {"fairlead.toml": 0o644, "secrets.env": 0o600, "plan.json": 0o600}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    as_json = run("import", "new-api", str(file), "-o", str(tmp_path / "out2"), "--json")
    applied = run("import", "new-api", "--apply", str(out / "plan.json"), "--data", data)
    again = run("import", "new-api", "--apply", str(out / "plan.json"), "--data", data, "--json")
    assert json.loads(again.stdout) == {"accounts": 0, "keys": 0, "unchanged": 7, "credit": "0.00"}
    printed = "".join(one.stdout + one.stderr for one in (done, as_json, applied, again))
    printed += (out / "fairlead.toml").read_text() + (out / "plan.json").read_text()
    printed += run("keys", "list", "--json", "--data", data).stdout
    assert [secret for secret in SECRETS if secret in printed] == []
    assert "sk-secret-channel-1" in (out / "secrets.env").read_text()
    refused = run("import", "new-api", str(file), "-o", str(out))
    assert refused.returncode == 2
    assert "exists already" in refused.stderr
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert run("import", "new-api", str(file), "-o", str(tmp_path / "link")).returncode == 2
    assert not (tmp_path / "elsewhere").exists()


def test_the_secrets_load_into_a_shell_as_they_are(tmp_path: Path) -> None:
    odd = "a'b$(touch${IFS}x)`y`\"\\"
    given = [
        row("channels", id=1, type=1, key=odd, name="p", base_url="http://gpu1:8000", models="gpt-4o"),
        row("options", key="ModelRatio", value='{"gpt-4o": 1}'),
    ]
    found = import_new_api(read_source(str(database(tmp_path / "a.db", given))))
    (tmp_path / "secrets.env").write_text(found.secrets)
    done = subprocess.run(
        ["sh", "-c", "set -a; . ./secrets.env; printf %s \"$CHANNEL_1_KEY\""], cwd=tmp_path, capture_output=True, text=True
    )  # fmt: skip
    assert done.stdout == odd
    assert not (tmp_path / "x").exists()


def test_either_a_database_or_a_plan_is_named(tmp_path: Path) -> None:
    for arguments in ((), ("a.db", "--apply", "plan.json")):
        done = run("import", "new-api", *arguments)
        assert done.returncode == 2
        assert "--apply PLAN" in done.stderr
