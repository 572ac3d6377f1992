"""Price sheets, usage records and the books; a number that tells when keys have changed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "versions",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO versions (name, number) VALUES ('keys', 1)")
    op.create_table(
        "price_sheets",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("deployment", sa.String(512), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("deployment", "version", name="price_sheets_version"),
    )
    op.create_table(
        "entries",
        sa.Column("id", _serial, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("note", sa.String(256), nullable=False),
    )
    op.create_table(
        "postings",
        sa.Column("entry_id", sa.BigInteger, sa.ForeignKey("entries.id"), primary_key=True),
        sa.Column("book", sa.String(128), primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount <> 0", name="postings_move_something"),
    )
    op.create_table(
        "usage_records",
        sa.Column("id", sa.String(48), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("sheet_id", sa.String(32), sa.ForeignKey("price_sheets.id"), nullable=True),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("cost", sa.BigInteger, nullable=True),
        sa.Column("entry_id", sa.BigInteger, sa.ForeignKey("entries.id"), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.CheckConstraint("price >= 0", name="usage_records_price"),
        sa.CheckConstraint("cost IS NULL OR cost >= 0", name="usage_records_cost"),
    )
    op.create_index("usage_records_account", "usage_records", ["account_id", "at"])
    op.create_index("usage_records_entry", "usage_records", ["entry_id"])
