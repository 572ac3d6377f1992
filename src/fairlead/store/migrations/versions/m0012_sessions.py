"""The session and the user of a call, as its caller names them."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "call_sessions",
        sa.Column("record_id", sa.String(48), primary_key=True),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("session", sa.String(256), nullable=False),
        sa.Column("caller_user", sa.String(256), nullable=False),
    )
    op.create_index("call_sessions_session", "call_sessions", ["account_id", "session"])
