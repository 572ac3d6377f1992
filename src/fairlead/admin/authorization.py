"""Authorization codes (OAuth PKCE, RFC 7636): made for an account, exchanged once for a key of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, insert, select

from fairlead.accounts.accounts import account_info, check_name
from fairlead.accounts.keys import key_info
from fairlead.accounts.management_keys import list_management_keys
from fairlead.admin.audit import Actor, record
from fairlead.admin.keys import create_key, hash_of, key_by_hash
from fairlead.errors import Forbidden, InvalidRequest
from fairlead.store import Store
from fairlead.store.tables import authorization_codes

CODE_START: Final = "fl-auth-"
CODE_BYTES: Final = 32
LIFE_SECONDS: Final = 600
METHODS: Final = ("S256", "plain")
# RFC 7636, 4.1 and 4.2: 43 to 128 unreserved characters; that of S256 has exactly 43.
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class Exchanged(NamedTuple):
    """`key`: it cannot be shown again."""

    key: str
    account_id: str


def make_authorization_code(
    store: Store, actor: Actor, account_id: str, name: str, challenge: str, method: str, columns: Mapping[str, Any]
) -> str:
    """A code that can be exchanged once within LIFE_SECONDS, by the holder of the verifier of `challenge`, for a key
    with this name and these restrictions. Raises InvalidRequest or ConfigurationError."""
    check_name(name)
    if method not in METHODS:
        raise InvalidRequest("code_challenge_method must be S256 or plain.", param="code_challenge_method")
    if not _VERIFIER.fullmatch(challenge) or (method == "S256" and len(challenge) != 43):
        raise InvalidRequest(
            "code_challenge must have 43 to 128 letters, digits, '.', '_', '~' or '-'; of S256 exactly 43.",
            param="code_challenge",
        )
    code = CODE_START + secrets.token_urlsafe(CODE_BYTES)
    now = int(time.time() * 1000)
    with store.write() as connection:
        connection.execute(delete(authorization_codes).where(authorization_codes.c.expires_at < now))
        account_info(connection, account_id)
        connection.execute(
            insert(authorization_codes).values(
                digest=_digest(code), account_id=account_id, challenge=challenge, method=method, made_by=actor.id,
                name=name, restrictions=msgspec.json.encode(columns).decode(),
                expires_at=now + LIFE_SECONDS * 1000,
            )
        )  # fmt: skip
        record(
            connection, actor, "authorization_code.create", "authorization_code", None,
            {"name": name, "method": method, **columns},
            account_id=account_id,
        )  # fmt: skip
    return code


def exchange_authorization_code(
    store: Store, actor: Actor, code: str, verifier: str, method: str | None = None
) -> Exchanged:
    """The key that a code is exchanged for; a wrong verifier leaves the code as it is. Raises Forbidden for a code that
    is unknown, used or expired, and for a verifier that does not belong to it: which of them is not told."""
    refusal = Forbidden("The code is unknown, used or expired, or the code_verifier does not belong to it.")
    with store.write() as connection:
        digest = _digest(code[:128])
        # Written to first: of two exchanges at once the second one finds nothing.
        now = int(time.time() * 1000)
        connection.execute(delete(authorization_codes).where(authorization_codes.c.expires_at < now))
        row = connection.execute(select(authorization_codes).where(authorization_codes.c.digest == digest)).first()
        if row is None or (method is not None and method != row.method):
            raise refusal
        if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(
            row.challenge, s256(verifier) if row.method == "S256" else verifier
        ):
            raise refusal
        if not connection.execute(delete(authorization_codes).where(authorization_codes.c.digest == digest)).rowcount:
            raise refusal
        by = _maker(connection, row.made_by, actor.address)
        if by is None:  # it was revoked in the meantime
            raise refusal
        joined = store.joined(connection)
        key = create_key(joined, by, row.name, account_id=row.account_id, columns=msgspec.json.decode(row.restrictions))
        made = key_by_hash(joined, hash_of(key))
        record(
            connection, by, "authorization_code.exchange", made.id, None, {"key": made.id}, account_id=row.account_id
        )
    return Exchanged(key, row.account_id)


def _maker(connection: Connection, key_id: str, address: str) -> Actor | None:
    """Who made a code, if that key is still in force."""
    for key in list_management_keys(connection):
        if key.id == key_id:
            return Actor("management key", key_id, address) if key.in_force else None
    caller = key_info(connection, key_id)
    if caller is None or caller.revoked_at is not None or caller.disabled_at is not None:
        return None
    return Actor("key", key_id, address)


def s256(verifier: str) -> str:
    """RFC 7636, 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
