"""Accounts can be deleted; keys that are disabled with their person come back with them."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("deleted_at", sa.BigInteger, nullable=True))
    op.create_table(
        "suspended_keys",
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("account_id", sa.String(32), sa.ForeignKey("accounts.id"), nullable=False),
        sa.Column("person_id", sa.String(32), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("suspended_keys_person", "suspended_keys", ["person_id", "account_id"])
