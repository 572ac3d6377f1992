"""Accounts have alerts of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.create_table(
        "account_alerts",
        sa.Column("account_id", sa.String(32), sa.ForeignKey("accounts.id"), primary_key=True),
        sa.Column("thresholds", sa.Text, nullable=False),
        sa.Column("low_credit", sa.BigInteger, nullable=True),
        sa.Column("people", sa.Text, nullable=False),
        sa.Column("webhook", sa.Text, nullable=True),
        sa.Column("secret", sa.Text, nullable=True),
    )
    op.add_column("alert_outbox", sa.Column("account_id", sa.String(32), nullable=True))
    op.create_index("alert_outbox_account", "alert_outbox", ["account_id", "id"])
