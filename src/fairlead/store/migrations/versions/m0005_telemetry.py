"""Telemetry: series, and their cells by minute, hour and day."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "telemetry_series",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("deployment", sa.String(512), nullable=False),
        sa.UniqueConstraint("kind", "model", "deployment", name="telemetry_series_name"),
    )
    op.create_table(
        "telemetry_minutes",
        sa.Column("series_id", sa.BigInteger, sa.ForeignKey("telemetry_series.id"), primary_key=True),
        sa.Column("start", sa.BigInteger, primary_key=True),
        sa.Column("writer", sa.String(32), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    for name in ("telemetry_hours", "telemetry_days"):
        op.create_table(
            name,
            sa.Column("series_id", sa.BigInteger, sa.ForeignKey("telemetry_series.id"), primary_key=True),
            sa.Column("start", sa.BigInteger, primary_key=True),
            sa.Column("body", sa.LargeBinary, nullable=False),
        )
    for name in ("telemetry_minutes", "telemetry_hours", "telemetry_days"):
        op.create_index(f"{name}_start", name, ["start"])
    op.create_table(
        "telemetry_marks",
        sa.Column("span", sa.String(8), primary_key=True),
        sa.Column("start", sa.BigInteger, primary_key=True),
        sa.Column("changes", sa.BigInteger, nullable=False),
    )
