"""Indexes of calls by project, member, session and user hold only the calls that have one."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"

PARTIAL = {
    "calls_project": ("project_id", ["project_id", "at"]),
    "calls_member": ("member_id", ["member_id", "at"]),
    "calls_session": ("session", ["account_id", "session", "at"]),
    "calls_user": ("caller_user", ["account_id", "caller_user", "at"]),
}


def upgrade() -> None:
    for name, (column, columns) in PARTIAL.items():
        op.drop_index(name, table_name="calls")
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, "calls", columns, sqlite_where=where, postgresql_where=where)
