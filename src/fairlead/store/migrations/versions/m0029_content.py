"""Accounts may keep the content of their calls."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("content", sa.Text, nullable=True))
    op.create_table(
        "call_content",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("caller_user", sa.String(128), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("sealed_with", sa.String(16), nullable=False),
        sa.Column("nonce", sa.LargeBinary(12), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("call_content_account", "call_content", ["account_id", "at", "id"])
    op.create_index("call_content_user", "call_content", ["account_id", "caller_user"])
    op.create_table(
        "content_counts",
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("kept", sa.BigInteger, nullable=False),
        sa.Column("dropped", sa.BigInteger, nullable=False),
        sa.Column("left_out", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "day"),
    )
    op.create_table(
        "content_erasures",
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("caller_user", sa.String(128), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "caller_user"),
    )
