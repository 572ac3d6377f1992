"""Cached tokens of usage by day."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("usage_days", sa.Column("cached_tokens", sa.BigInteger, nullable=False, server_default="0"))
