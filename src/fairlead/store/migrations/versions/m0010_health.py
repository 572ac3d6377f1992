"""Events and states of deployments, and how calls were routed."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "health_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("deployment", sa.String(512), nullable=False),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(128), nullable=False),
    )
    op.create_index("health_events_at", "health_events", ["at"])
    op.create_table(
        "deployment_health",
        sa.Column("deployment", sa.String(512), primary_key=True),
        sa.Column("provider", sa.String(128), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("open_seconds", sa.Integer, nullable=False),
        sa.Column("reason", sa.String(128), nullable=False),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("decisions_at", "decisions", ["at"])
