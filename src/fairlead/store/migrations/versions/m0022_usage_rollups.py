"""Usage by hour and day in every scope, and a line for each call, in place of usage by day."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

INDEXES = {
    "account": ["account_id", "at"],
    "key": ["key_id", "at"],
    "model": ["account_id", "model", "at"],
    "project": ["project_id", "at"],
    "member": ["member_id", "at"],
    "session": ["account_id", "session", "at"],
    "user": ["account_id", "caller_user", "at"],
}


def upgrade() -> None:
    op.create_table(
        "usage_rollups",
        sa.Column("scope", sa.String(128), primary_key=True),
        sa.Column("span", sa.String(8), primary_key=True),
        sa.Column("start", sa.BigInteger, primary_key=True),
        sa.Column("model", sa.String(256), primary_key=True),
        sa.Column("deployment", sa.String(512), primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("cached_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger, nullable=False),
        sa.Column("charged", sa.BigInteger, nullable=False),
        sa.Column("latencies", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calls",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(48), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(32), nullable=True),
        sa.Column("member_id", sa.String(32), nullable=True),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("deployment", sa.String(512), nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("cached_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
        sa.Column("charged", sa.BigInteger, nullable=False),
        sa.Column("milliseconds", sa.BigInteger, nullable=False),
        sa.Column("session", sa.String(256), nullable=True),
        sa.Column("caller_user", sa.String(256), nullable=True),
    )
    for name, columns in INDEXES.items():
        op.create_index(f"calls_{name}", "calls", columns)
    moves = sa.text("kind <> 'settle'")
    op.create_index("entries_moves", "entries", ["id"], sqlite_where=moves, postgresql_where=moves)
    op.drop_index("api_keys_account", "api_keys")
    op.create_index("api_keys_account", "api_keys", ["account_id", "created_at", "id"])
    # Everything is counted again from the records.
    op.drop_table("usage_days")
    op.execute("DELETE FROM versions WHERE name = 'usage_days'")
    op.execute("INSERT INTO versions (name, number) VALUES ('usage_rollups', 0)")
