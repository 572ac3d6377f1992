"""Projects and members of accounts, models of accounts, caps of each end user."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    for name in ("projects", "members"):
        op.create_table(
            name,
            sa.Column("id", sa.String(32), primary_key=True),
            sa.Column("account_id", sa.String(32), sa.ForeignKey("accounts.id"), nullable=False),
            sa.Column("name", sa.String(128), nullable=False),
            sa.Column("created_at", sa.BigInteger, nullable=False),
            sa.Column("budgets", sa.Text, nullable=True),
            sa.Column("limits", sa.Text, nullable=True),
            sa.Column("models", sa.Text, nullable=True),
            sa.Column("each_user", sa.Text, nullable=True),
        )
        op.create_index(f"{name}_account", name, ["account_id"])
    op.add_column("accounts", sa.Column("models", sa.Text, nullable=True))
    op.add_column("accounts", sa.Column("each_user", sa.Text, nullable=True))
    op.add_column("api_keys", sa.Column("project_id", sa.String(32), nullable=True))
    op.add_column("api_keys", sa.Column("member_id", sa.String(32), nullable=True))
    op.add_column("api_keys", sa.Column("each_user", sa.Text, nullable=True))
