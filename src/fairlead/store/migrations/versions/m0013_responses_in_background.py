"""When a process was last heard of that works on a response in the background."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("responses", sa.Column("heard_at", sa.BigInteger, nullable=False, server_default="0"))
