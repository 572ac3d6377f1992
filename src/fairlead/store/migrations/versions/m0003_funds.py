"""Credit, budgets, leases, refunds and codes; what a key may be limited to."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("accounts") as accounts:
        accounts.add_column(sa.Column("prepaid", sa.Boolean, nullable=False, server_default=sa.false()))
        accounts.add_column(sa.Column("budgets", sa.Text, nullable=True))
        accounts.add_column(sa.Column("limits", sa.Text, nullable=True))
    with op.batch_alter_table("accounts") as accounts:
        accounts.alter_column("prepaid", server_default=None)
    with op.batch_alter_table("api_keys") as keys:
        keys.drop_column("credit_picodollars")
        keys.add_column(sa.Column("expires_at", sa.BigInteger, nullable=True))
        for name in ("models", "networks", "budgets", "limits"):
            keys.add_column(sa.Column(name, sa.Text, nullable=True))
    op.create_table(
        "funds",
        sa.Column("scope", sa.String(128), primary_key=True),
        sa.Column("granted", sa.BigInteger, nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("leased", sa.BigInteger, nullable=False),
        sa.Column("wanted_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("granted >= 0", name="funds_granted"),
        sa.CheckConstraint("leased >= 0", name="funds_leased"),
    )
    op.create_table(
        "leases",
        sa.Column("process_id", sa.String(32), primary_key=True),
        sa.Column("scope", sa.String(128), sa.ForeignKey("funds.scope"), primary_key=True),
        sa.Column("remaining", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("remaining >= 0", name="leases_remaining"),
    )
    op.create_index("leases_scope", "leases", ["scope"])
    op.create_table(
        "refunds",
        sa.Column("entry_id", sa.BigInteger, sa.ForeignKey("entries.id"), primary_key=True),
        sa.Column("record_id", sa.String(48), sa.ForeignKey("usage_records.id"), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount > 0", name="refunds_amount"),
    )
    op.create_index("refunds_record", "refunds", ["record_id"])
    op.create_table(
        "credit_codes",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("shown", sa.String(16), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("redeemed_at", sa.BigInteger, nullable=True),
        sa.Column("account_id", sa.String(32), sa.ForeignKey("accounts.id"), nullable=True),
        sa.CheckConstraint("amount > 0", name="credit_codes_amount"),
    )
