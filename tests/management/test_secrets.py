"""What is shown once is nowhere else: not in the audit log, the database, the log of the process, nor an error."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from fairlead.ledger.rollups import NAME

from .conftest import Api
from .tour import tour

SECRET = re.compile(r"(?:sk-fl-|fl-mgmt-|fl-code-|fl-auth-)[A-Za-z0-9_-]{20,}")


def texts(value: Any) -> str:
    return str(value)


def test_no_key_code_or_credential_is_kept_in_clear(api: Api) -> None:
    found = set(SECRET.findall(texts([(request, response) for _, request, response in tour(api)])))
    found |= {api.key, "sk-proj-an-openai-key"}
    assert {re.match(r"[a-z]+-[a-z]+-", secret)[0] for secret in found if SECRET.match(secret)} == {  # type: ignore[index]
        "sk-fl-", "fl-mgmt-", "fl-code-", "fl-auth-",
    }  # fmt: skip
    found = {secret for secret in found if "..." not in secret}
    log = texts(api("GET", "/v1/admin/audit?limit=1000").body)
    files = b"".join(path.read_bytes() for path in api.served.data.rglob("*") if path.is_file())
    for secret in found:
        assert secret not in log
        assert secret.encode() not in files
        assert secret not in api.served.output or secret == api.served.key
    with sqlite3.connect(api.served.data / "fairlead.db") as database:
        assert database.execute("SELECT number FROM versions WHERE name = ?", (NAME,)).fetchone()
    database.close()
    refused = api("POST", "/v1/admin/grants", {"account": "acc_x", "amount_usd": "1", "note": next(iter(found))})
    assert next(iter(found)) not in texts(refused.body)
