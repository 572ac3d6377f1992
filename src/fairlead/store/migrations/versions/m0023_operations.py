"""Drained deployments, archived projects and members, guarded addresses of providers."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "drained_deployments",
        sa.Column("deployment", sa.String(512), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("drained_by", sa.String(160), nullable=False),
    )
    for name in ("projects", "members"):
        op.add_column(name, sa.Column("archived_at", sa.BigInteger, nullable=True))
    op.add_column("configuration_versions", sa.Column("guarded", sa.Text, nullable=False, server_default="[]"))
