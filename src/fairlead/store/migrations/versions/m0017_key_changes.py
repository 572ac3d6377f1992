"""Keys are looked up by their digest, and their changes read by number. Keys of other systems."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("shown", sa.String(32), nullable=True))
    op.create_index("api_keys_digest", "api_keys", ["digest"], unique=True)
    op.create_table(
        "key_changes",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=True),
        sa.Column("account_id", sa.String(32), nullable=True),
    )
