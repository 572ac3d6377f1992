"""Usage records are found by their id and read in the order in which they came; what was charged is summed by key."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "records",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(48), nullable=False, unique=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("entry_id", sa.BigInteger, sa.ForeignKey("entries.id"), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.CheckConstraint("price >= 0", name="usage_records_price"),
    )
    op.execute(
        "INSERT INTO records (id, at, account_id, key_id, price, entry_id, body) "
        "SELECT id, at, account_id, key_id, price, entry_id, body FROM usage_records ORDER BY entry_id, at"
    )
    op.create_table(
        "charges",
        sa.Column("account_id", sa.String(32), primary_key=True),
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("charged", sa.BigInteger, nullable=False),
        sa.CheckConstraint("charged >= 0", name="charges_charged"),
    )
    op.execute(
        "INSERT INTO charges (account_id, key_id, charged) "
        "SELECT account_id, key_id, sum(price) FROM usage_records GROUP BY account_id, key_id"
    )
    op.execute("CREATE TABLE kept_refunds AS SELECT * FROM refunds")
    op.drop_table("refunds")
    op.drop_table("usage_records")
    op.rename_table("records", "usage_records")
    op.create_table(
        "refunds",
        sa.Column("entry_id", sa.BigInteger, sa.ForeignKey("entries.id"), primary_key=True),
        sa.Column("record_id", sa.String(48), sa.ForeignKey("usage_records.id"), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount > 0", name="refunds_amount"),
    )
    op.create_index("refunds_record", "refunds", ["record_id"])
    op.execute("INSERT INTO refunds (entry_id, record_id, amount) SELECT entry_id, record_id, amount FROM kept_refunds")
    op.drop_table("kept_refunds")
