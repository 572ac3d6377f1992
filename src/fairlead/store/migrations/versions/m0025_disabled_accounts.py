"""Accounts can be disabled."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("disabled_at", sa.BigInteger, nullable=True))
