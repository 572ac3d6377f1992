"""The tables, as SQLAlchemy Core knows them. A change here needs a migration; a test compares the two."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)

metadata = MetaData()

# Alembic's own: the number of the newest migration that was applied.
alembic_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("created_at", BigInteger, nullable=False),  # seconds since 1970, UTC
    Column("prepaid", Boolean, nullable=False),  # paid calls need credit
    Column("budgets", Text, nullable=True),  # JSON: picodollars by "day", "week", "month", "total"
    Column("limits", Text, nullable=True),  # JSON: numbers by limit
    Column("models", Text, nullable=True),  # as those of keys
    Column("each_user", Text, nullable=True),  # JSON: budgets and limits of each end user
    Column("disabled_at", BigInteger, nullable=True),  # its keys are refused, until it is enabled again
    Column("deleted_at", BigInteger, nullable=True),  # for good: what is left is in the books
    Column("content", Text, nullable=True),  # JSON: what is kept of its calls (accounts/content.py); None: nothing
)


def _group(name: str) -> Table:
    """What keys of an account share: a project's, or a member's."""
    return Table(
        name,
        metadata,
        Column("id", String(32), primary_key=True),
        Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False),
        Column("name", String(128), nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("budgets", Text, nullable=True),  # as those of accounts
        Column("limits", Text, nullable=True),
        Column("models", Text, nullable=True),
        Column("each_user", Text, nullable=True),
        Column("archived_at", BigInteger, nullable=True),  # its keys are refused, until it is restored
        Index(f"{name}_account", "account_id"),
    )


projects = _group("projects")
members = _group("members")

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("prefix", String(32), nullable=False, unique=True),  # of a key of another system: of its digest
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 of the whole key
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=True),
    Column("expires_at", BigInteger, nullable=True),
    Column("models", Text, nullable=True),  # JSON list of model ids; None: every model
    Column("networks", Text, nullable=True),  # JSON list of CIDR ranges; None: from everywhere
    Column("budgets", Text, nullable=True),  # as those of accounts
    Column("limits", Text, nullable=True),
    Column("disabled_at", BigInteger, nullable=True),  # refused, until it is enabled again
    Column("shown", String(32), nullable=True),  # what lists show of a key of another system
    Column("project_id", String(32), nullable=True),
    Column("member_id", String(32), nullable=True),
    Column("each_user", Text, nullable=True),
    Index("api_keys_account", "account_id", "created_at", "id"),
    Index("api_keys_digest", "digest", unique=True),
)

# What has changed about keys, by the number that "keys" of `versions` had then. Pruned (accounts/changes.py).
key_changes = Table(
    "key_changes",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary(32), nullable=True),  # of a key
    Column("account_id", String(32), nullable=True),  # all keys of an account
)

# A number by name that changes with what it stands for, so that other processes notice.
versions = Table(
    "versions",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# Never changed and never removed. The newest is in force: its number is that of "configuration" in `versions`.
configuration_versions = Table(
    "configuration_versions",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),  # milliseconds since 1970
    Column("author", String(128), nullable=False),
    Column("comment", Text, nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the document; "": none
    Column("restored", BigInteger, nullable=True),  # the version that it repeats
    Column("document", Text, nullable=True),  # TOML; None: the files of the nodes are in force
    # JSON: addresses of providers that came over HTTP, whose names may only resolve to what was allowed.
    Column("guarded", Text, nullable=False, server_default="[]"),
)

# What each process runs. Times in milliseconds since 1970.
processes = Table(
    "processes",
    metadata,
    Column("id", String(32), primary_key=True),  # as in leases
    Column("node", String(255), nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("place", Integer, nullable=False),  # among the workers of its machine
    Column("release", String(32), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("heard_at", BigInteger, nullable=False),
    Column("source", String(16), nullable=False),  # of its configuration: "file", "database" or "none"
    Column("version", BigInteger, nullable=False),  # 0: not one of the database
    Column("digest", String(64), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("file", Text, nullable=False),
    Column("answered", BigInteger, nullable=False),  # the newest version that it has taken or refused
    Column("error", Text, nullable=False),  # why a newer configuration was refused
    Column("note", Text, nullable=False),
    Column("restart", Text, nullable=False),  # settings that are in force after a restart
    Column("in_flight", Text, nullable=False),  # JSON: calls under way by deployment
)

# Never changed and never removed: every record names the sheet that it was charged by.
price_sheets = Table(
    "price_sheets",
    metadata,
    Column("id", String(32), primary_key=True),  # made of the body
    Column("deployment", String(512), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # canonical JSON
    UniqueConstraint("deployment", "version", name="price_sheets_version"),
)

# Of entries that are not the charges of calls. Written out, so that databases see that the index has them.
MOVES = text("entries.kind <> 'settle'")
# Amounts from here on are picodollars, times milliseconds since 1970.
entries = Table(
    "entries",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("note", String(256), nullable=False),
    Index("entries_moves", "id", sqlite_where=text("kind <> 'settle'"), postgresql_where=text("kind <> 'settle'")),
)

postings = Table(
    "postings",
    metadata,
    Column("entry_id", BigInteger, ForeignKey("entries.id"), primary_key=True),
    Column("book", String(128), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    CheckConstraint("amount <> 0", name="postings_move_something"),
)

# In the order in which they came: those of one entry stand together.
usage_records = Table(
    "usage_records",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(48), nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
    Column("account_id", String(32), nullable=False),
    Column("key_id", String(32), nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("entry_id", BigInteger, ForeignKey("entries.id"), nullable=False),
    Column("body", Text, nullable=False),  # the whole record as JSON
    CheckConstraint("price >= 0", name="usage_records_price"),
)

# Of records whose callers named a session, with the user ("": none); what the record itself says counts.
call_sessions = Table(
    "call_sessions",
    metadata,
    Column("record_id", String(48), primary_key=True),
    Column("account_id", String(32), nullable=False),
    Column("session", String(256), nullable=False),
    Column("caller_user", String(256), nullable=False),
    Index("call_sessions_session", "account_id", "session"),
)

# What each key was charged so far: the sum of its records.
charges = Table(
    "charges",
    metadata,
    Column("account_id", String(32), primary_key=True),
    Column("key_id", String(32), primary_key=True),
    Column("charged", BigInteger, nullable=False),
    CheckConstraint("charged >= 0", name="charges_charged"),
)

# What may be spent: an account's credit (`account/ID`) and every budget (`key/ID/day/2026-01-31`). A process takes
# a slice (`leased`) by one conditional UPDATE and spends it in memory; `granted - spent - leased` is free to take.
funds = Table(
    "funds",
    metadata,
    Column("scope", String(128), primary_key=True),
    Column("granted", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("leased", BigInteger, nullable=False),
    Column("wanted_at", BigInteger, nullable=False),  # when a process last found too little: others give back
    CheckConstraint("granted >= 0", name="funds_granted"),
    CheckConstraint("leased >= 0", name="funds_leased"),
)

leases = Table(
    "leases",
    metadata,
    Column("process_id", String(32), primary_key=True),  # the name of its spool
    Column("scope", String(128), ForeignKey("funds.scope"), primary_key=True),
    Column("remaining", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    CheckConstraint("remaining >= 0", name="leases_remaining"),
    Index("leases_scope", "scope"),
)

refunds = Table(
    "refunds",
    metadata,
    Column("entry_id", BigInteger, ForeignKey("entries.id"), primary_key=True),
    Column("record_id", String(48), ForeignKey("usage_records.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    CheckConstraint("amount > 0", name="refunds_amount"),
    Index("refunds_record", "record_id"),
)

credit_codes = Table(
    "credit_codes",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),  # SHA-256 of the code
    Column("shown", String(16), nullable=False),  # its beginning
    Column("amount", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("redeemed_at", BigInteger, nullable=True),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=True),
    CheckConstraint("amount > 0", name="credit_codes_amount"),
)

# Whose calls a cell counts: a deployment's attempts, or with deployment '' a model's calls. kind: "traffic", "probe".
telemetry_series = Table(
    "telemetry_series",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("model", String(256), nullable=False),
    Column("deployment", String(512), nullable=False),
    UniqueConstraint("kind", "model", "deployment", name="telemetry_series_name"),
)

# Cells: counts by slot as MessagePack. Times are seconds since 1970. A process writes the whole of its own minute
# again and again; what is added up of all of them is an hour, and of hours a day.
telemetry_minutes = Table(
    "telemetry_minutes",
    metadata,
    Column("series_id", BigInteger, ForeignKey("telemetry_series.id"), primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("writer", String(32), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Index("telemetry_minutes_start", "start"),
)

telemetry_hours = Table(
    "telemetry_hours",
    metadata,
    Column("series_id", BigInteger, ForeignKey("telemetry_series.id"), primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Index("telemetry_hours_start", "start"),
)

telemetry_days = Table(
    "telemetry_days",
    metadata,
    Column("series_id", BigInteger, ForeignKey("telemetry_series.id"), primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Index("telemetry_days_start", "start"),
)

# An hour ("hour") or a day ("day") whose parts have changed since it was added up.
telemetry_marks = Table(
    "telemetry_marks",
    metadata,
    Column("span", String(8), primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("changes", BigInteger, nullable=False),
)

# What has become of deployments and providers, for status pages.
health_events = Table(
    "health_events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("deployment", String(512), nullable=False),  # "": the whole provider
    Column("provider", String(128), nullable=False),
    Column("event", String(16), nullable=False),
    Column("reason", String(128), nullable=False),
    Index("health_events_at", "at"),
)

# Who is open or rests, so that a restart does not forget it.
deployment_health = Table(
    "deployment_health",
    metadata,
    Column("deployment", String(512), primary_key=True),  # "": the whole provider
    Column("provider", String(128), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("open_seconds", Integer, nullable=False),
    Column("reason", String(128), nullable=False),
)

# Deployments that an operator has taken out of use.
drained_deployments = Table(
    "drained_deployments",
    metadata,
    Column("deployment", String(512), primary_key=True),
    Column("at", BigInteger, nullable=False),  # milliseconds since 1970
    Column("drained_by", String(160), nullable=False),
)

# How calls were routed, where there was something to decide.
decisions = Table(
    "decisions",
    metadata,
    Column("id", String(48), primary_key=True),  # of the generation
    Column("at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # JSON
    Index("decisions_at", "at"),
)

# Responses that callers can read again and continue, where the operator has that on. `items`: the input of the
# request, a JSON list; `previous`: the response that it continues, "": none.
responses = Table(
    "responses",
    metadata,
    Column("account_id", String(32), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("previous", String(128), nullable=False),
    Column("items", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON
    # When the process was heard of that works on it, in milliseconds since 1970; 0: it is complete.
    Column("heard_at", BigInteger, nullable=False, server_default="0"),
    Index("responses_at", "at"),
)

# Keys of the management API, which can make no call: they are never among `api_keys`.
management_keys = Table(
    "management_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("shown", String(32), nullable=False),  # its beginning
    Column("digest", LargeBinary(32), nullable=False, unique=True),  # SHA-256 of the whole key
    Column("scopes", String(128), nullable=False),  # names, separated by spaces
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=True),  # the only one that it may touch
    Column("created_at", BigInteger, nullable=False),  # seconds since 1970, as the other two
    Column("expires_at", BigInteger, nullable=True),
    Column("revoked_at", BigInteger, nullable=True),
)

# What a POST of the management API answered, for a repetition with the same Idempotency-Key. `answer` is encrypted with
# the management key, which is not stored.
idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("owner", String(64), primary_key=True),  # the id of the management key
    Column("name", LargeBinary(32), primary_key=True),  # SHA-256 of the Idempotency-Key
    Column("at", BigInteger, nullable=False),  # milliseconds since 1970
    Column("request", LargeBinary(32), nullable=False),  # SHA-256 of method, path and body
    Column("status", Integer, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Index("idempotent_answers_at", "at"),
)

# Codes that are exchanged for a key once (OAuth PKCE).
authorization_codes = Table(
    "authorization_codes",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),  # SHA-256 of the code
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False),
    Column("challenge", String(256), nullable=False),
    Column("method", String(8), nullable=False),  # "S256" or "plain"
    Column("made_by", String(64), nullable=False),  # the id of the key that made it
    Column("name", String(128), nullable=False),  # of the key that it is exchanged for, as the rest
    Column("restrictions", Text, nullable=False),  # JSON: columns of the key
    Column("expires_at", BigInteger, nullable=False),  # milliseconds since 1970
    Index("authorization_codes_expires_at", "expires_at"),
)

# Usage by hour and by day (UTC), added up of records in the order of their numbers by a background task; the number of
# the last one that was is the version "usage_rollups". A call counts in every scope that it belongs to: "all",
# `account/ID`, `key/ID`, `project/ID`, `member/ID`, `user/ACCOUNT/DIGEST`, `session/ACCOUNT/DIGEST`.
usage_rollups = Table(
    "usage_rollups",
    metadata,
    Column("scope", String(128), primary_key=True),
    Column("span", String(8), primary_key=True),  # "hour" or "day"
    Column("start", BigInteger, primary_key=True),  # seconds since 1970
    Column("model", String(256), primary_key=True),
    Column("deployment", String(512), primary_key=True),  # of a day; "" of an hour
    Column("requests", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("charged", BigInteger, nullable=False),  # picodollars
    Column("latencies", LargeBinary, nullable=False),  # a histogram: ledger/latencies.py
    sqlite_with_rowid=False,
)


def _having(column: str) -> dict[str, Any]:
    """An index without the rows that have no value there: most calls have none, and each would cost a write."""
    condition = text(f"{column} IS NOT NULL")
    return {"sqlite_where": condition, "postgresql_where": condition}


# A line for each record, in the same transaction as the roll-ups: what lists of calls show and are filtered by.
calls = Table(
    "calls",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("id", String(48), nullable=False),
    Column("at", BigInteger, nullable=False),  # milliseconds since 1970
    Column("account_id", String(32), nullable=False),
    Column("key_id", String(32), nullable=False),
    Column("project_id", String(32), nullable=True),  # those of the key when the call was counted
    Column("member_id", String(32), nullable=True),
    Column("model", String(256), nullable=False),
    Column("deployment", String(512), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("charged", BigInteger, nullable=False),
    Column("milliseconds", BigInteger, nullable=False),
    Column("session", String(256), nullable=True),
    Column("caller_user", String(256), nullable=True),
    Index("calls_account", "account_id", "at"),
    Index("calls_key", "key_id", "at"),
    Index("calls_model", "account_id", "model", "at"),
    Index("calls_project", "project_id", "at", **_having("project_id")),
    Index("calls_member", "member_id", "at", **_having("member_id")),
    Index("calls_session", "account_id", "session", "at", **_having("session")),
    Index("calls_user", "account_id", "caller_user", "at", **_having("caller_user")),
)

# Every change that somebody made, by the order of `id`. Rows are added and never changed or removed: the database
# itself refuses it.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),  # milliseconds since 1970
    Column("actor_kind", String(32), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("account_id", String(32), nullable=True),  # whose it is, where it is an account's
    Column("before", Text, nullable=True),  # JSON, as the next
    Column("after", Text, nullable=True),
    Index("audit_log_account", "account_id", "id"),
)

# SQLite's; PostgreSQL gets its own from the migration.
APPEND_ONLY = (
    ("audit_log_no_update", "BEFORE UPDATE ON audit_log"),
    ("audit_log_no_delete", "BEFORE DELETE ON audit_log"),
    # INSERT OR REPLACE removes a row without the trigger above.
    ("audit_log_no_replace", "BEFORE INSERT ON audit_log WHEN EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id)"),
)


@event.listens_for(audit_log, "after_create")
def _refuse_changes(_table: Table, connection: Connection, **_given: object) -> None:
    if connection.dialect.name == "sqlite":
        for name, when in APPEND_ONLY:
            connection.exec_driver_sql(
                f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END"
            )


# Provider credentials, sealed by AES-GCM with a key that is not in the database.
sealed_secrets = Table(
    "sealed_secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("key_id", String(16), nullable=False),  # which key it was sealed with
    Column("nonce", LargeBinary(12), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),  # seconds since 1970, UTC
    Column("changed_at", BigInteger, nullable=False),
)

# How far alerts about something have gone, so that each is sent once: of a budget or credit (its scope in `funds`) the
# highest threshold that was reached, in millionths, of `granted` beyond `base`; of a deployment 1 while it is down.
alert_levels = Table(
    "alert_levels",
    metadata,
    Column("scope", String(640), primary_key=True),
    Column("granted", BigInteger, nullable=False),
    Column("base", BigInteger, nullable=False),
    Column("reached", BigInteger, nullable=False),
)

# Alerts on their way: one row for each channel ("webhook", "email"). A process that sends one claims it for a while.
alert_outbox = Table(
    "alert_outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("event", String(40), nullable=False),  # the id of the event, the same in every channel and retry
    Column("kind", String(40), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),  # milliseconds since 1970, as all times here
    Column("body", Text, nullable=False),  # JSON, as it is sent
    Column("state", String(16), nullable=False),  # "waiting", "delivered" or "dead"
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("claimed_until", BigInteger, nullable=False),
    Column("error", String(256), nullable=False),  # of the last attempt
    Column("account_id", String(32), nullable=True),  # whose own alert it is; None: the server's
    Index("alert_outbox_state", "state", "next_at"),
    Index("alert_outbox_account", "account_id", "id"),
)

# What an account wants to be told of its budgets and its credit, and whom.
account_alerts = Table(
    "account_alerts",
    metadata,
    Column("account_id", String(32), ForeignKey("accounts.id"), primary_key=True),
    Column("thresholds", Text, nullable=False),  # JSON: parts of a budget in millionths, ascending
    Column("low_credit", BigInteger, nullable=True),  # picodollars
    Column("people", Text, nullable=False),  # JSON: ids of those who get mail
    Column("webhook", Text, nullable=True),  # its URL
    Column("secret", Text, nullable=True),  # what it is signed with; None: it is in `sealed_secrets`
)

# People who sign in to the console. Times in seconds since 1970, here and in what belongs to them.
people = Table(
    "people",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("email", String(254), nullable=False, unique=True),  # in lower case
    Column("name", String(128), nullable=False),
    Column("password", Text, nullable=True),  # argon2id; None: signs in by other means
    Column("operator", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("confirmed_at", BigInteger, nullable=True),  # the e-mail address
    Column("disabled_at", BigInteger, nullable=True),
)

# Whom an account belongs to, and what each may do there (people/roles.py).
memberships = Table(
    "memberships",
    metadata,
    Column("person_id", String(32), ForeignKey("people.id"), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id"), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("member_id", String(32), nullable=False),  # whose caps hold for this person's keys
    Column("created_at", BigInteger, nullable=False),
    Index("memberships_account", "account_id"),
)

# Keys that were disabled with their person or a membership, and are enabled with them again.
suspended_keys = Table(
    "suspended_keys",
    metadata,
    Column("key_id", String(32), primary_key=True),
    Column("account_id", String(32), ForeignKey("accounts.id"), nullable=False),
    Column("person_id", String(32), nullable=False),
    Column("at", BigInteger, nullable=False),  # the key's `disabled_at`
    Index("suspended_keys_person", "person_id", "account_id"),
)

# Who is signed in, by the SHA-256 of what their browser holds.
person_sessions = Table(
    "person_sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("person_id", String(32), ForeignKey("people.id"), nullable=False),
    Column("account_id", String(32), nullable=True),  # the organisation that was chosen
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("proved_at", BigInteger, nullable=False),  # when the person last signed in or proved who they are
    Column("pending", String(16), nullable=False),  # what is missing: "" or "second factor"
    Column("method", String(32), nullable=False),  # how they signed in
    Column("address", String(64), nullable=False),
    Column("agent", String(256), nullable=False),
    Column("notice", Text, nullable=True),  # shown once, on the next page
    Column("challenge", Text, nullable=True),  # JSON: what the browser has to answer next
    Index("person_sessions_person", "person_id"),
    Index("person_sessions_expiry", "expires_at"),
)

# One-time links, by the SHA-256 of their token.
person_links = Table(
    "person_links",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),  # "operator", "sign-up", "confirm", "reset" or "invitation"
    Column("email", String(254), nullable=False),
    Column("person_id", String(32), nullable=True),
    Column("account_id", String(32), nullable=True),
    Column("role", String(16), nullable=True),
    Column("made_by", String(32), nullable=True),
    Column("mailed", Boolean, nullable=False),  # to the address alone; else somebody else has seen it, too
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=True),
    Index("person_links_account", "account_id"),
)

# What a person proves who they are with, besides a password.
person_factors = Table(
    "person_factors",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("person_id", String(32), ForeignKey("people.id"), nullable=False),
    Column("kind", String(16), nullable=False),  # "totp", "passkey" or "recovery"
    Column("name", String(128), nullable=False),
    Column("handle", LargeBinary(1024), nullable=True, unique=True),  # of a passkey: its credential id
    Column("body", Text, nullable=False),  # a sealed secret, a public key or a hash, by kind
    Column("counter", BigInteger, nullable=False),  # of a passkey its own; of TOTP the last period that was used
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=True),
    Index("person_factors_person", "person_id"),
)

# Who a person is at a provider of sign-ins.
person_identities = Table(
    "person_identities",
    metadata,
    Column("provider", String(255), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("person_id", String(32), ForeignKey("people.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("person_identities_person", "person_id"),
)

# How often something was tried, by whom or on whom: the theoretical arrival time of GCRA, in milliseconds.
form_attempts = Table(
    "form_attempts",
    metadata,
    Column("scope", String(128), primary_key=True),
    Column("next_at", BigInteger, nullable=False),
    Index("form_attempts_next", "next_at"),
)

# What was asked and answered, where an account keeps it: redacted, compressed and sealed. Apart from the ledger.
call_content = Table(
    "call_content",
    metadata,
    Column("id", String(64), primary_key=True),  # of the call
    Column("account_id", String(32), nullable=False),
    Column("key_id", String(32), nullable=False),
    Column("caller_user", String(128), nullable=False),  # the end user whom its caller named, "": nobody
    Column("at", BigInteger, nullable=False),  # when the call ended, in milliseconds since 1970
    Column("sealed_with", String(16), nullable=False),  # id of the seal key
    Column("nonce", LargeBinary(12), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("call_content_account", "account_id", "at", "id"),
    Index("call_content_user", "account_id", "caller_user"),
)

# How many calls of a day were kept, were to be kept and were not, and asked not to be.
content_counts = Table(
    "content_counts",
    metadata,
    Column("account_id", String(32), nullable=False),
    Column("day", Integer, nullable=False),  # since 1970
    Column("kept", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("left_out", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),  # of those that were kept, as they are stored
    PrimaryKeyConstraint("account_id", "day"),
)

# Until when everything of an account, or of an end user, was deleted: what ended before is not stored any more.
content_erasures = Table(
    "content_erasures",
    metadata,
    Column("account_id", String(32), nullable=False),
    Column("caller_user", String(128), nullable=False),  # "": everybody
    Column("at", BigInteger, nullable=False),  # milliseconds since 1970
    PrimaryKeyConstraint("account_id", "caller_user"),
)
