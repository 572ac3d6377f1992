"""Second factors and passkeys: set up, used to sign in, removed. Each change is in the audit log."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import struct
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from fairlead.admin.audit import Actor, record
from fairlead.admin.factor_secrets import opened, sealed
from fairlead.admin.people import Visitor, begin_session, count_try, finish_session
from fairlead.errors import CallerError, ConfigurationError, Forbidden, InvalidRequest, NotFound
from fairlead.people import factors, persons, totp
from fairlead.people.attempts import Rate, attempt
from fairlead.people.factors import MOST_PASSKEYS, Factor
from fairlead.people.persons import Person
from fairlead.people.sessions import SignedIn
from fairlead.providers.sealed import seal_key
from fairlead.store import Store

ISSUER: Final = "Fairlead"
CHALLENGE_SECONDS: Final = 600
WRONG_CODE: Final = "This code is wrong or was used before. Enter the newest one."
WRONG_PASSKEY: Final = "This passkey was not accepted. Try again, or use another way to sign in."
_NONCE_BYTES: Final = 16
_MAC_BYTES: Final = 16
_ONCE: Final = Rate(1, CHALLENGE_SECONDS + 1)


class Place(NamedTuple):
    """Where passkeys are good: the origin of the page, and its host without a port (the "relying party")."""

    origin: str
    host: str


def list_factors(store: Store, person_id: str) -> list[Factor]:
    with store.read() as connection:
        return factors.factors_of(connection, person_id)


# --- Codes of an app


def begin_totp(store: Store, person: Person) -> tuple[str, str]:
    """A new secret in base32, and the address for a QR code. It counts when a code of it was entered. Raises
    InvalidRequest where secrets cannot be sealed."""
    try:
        key = seal_key(store, make=True)
    except ConfigurationError as error:
        raise InvalidRequest(error.message) from None
    secret, factor_id = totp.new_secret(), factors.new_id()
    with store.write() as connection:
        for one in factors.factors_of(connection, person.id):
            if one.kind == "totp" and not one.counts:
                factors.remove(connection, person.id, one.id)
        factors.add_factor(connection, factor_id, person.id, "totp", "app", sealed(key, factor_id, secret))
    return secret, totp.address(secret, ISSUER, person.email)


def confirm_totp(store: Store, actor: Actor, person: Person, code: str) -> list[str]:
    """Puts a secret in force with its first code, in the place of an earlier one, and returns recovery codes, which
    cannot be shown again. Raises InvalidRequest."""
    key = seal_key(store)
    with store.write() as connection:
        found = factors.factors_of(connection, person.id)
        fresh = next((one for one in found if one.kind == "totp" and not one.counts), None)
        period = None if fresh is None else totp.period_of(opened(key, fresh), code, time.time(), fresh.counter)
        if fresh is None or period is None or not factors.use(connection, fresh, period):
            raise InvalidRequest(WRONG_CODE, param="code")
        for one in found:
            if one.kind == "totp" and one.counts:
                factors.remove(connection, person.id, one.id)
        codes = _new_recovery_codes(connection, person.id)
        record(connection, actor, "factor.create", person.id, None, {"kind": "totp", "id": fresh.id})
    return codes


def renew_recovery_codes(store: Store, actor: Actor, person_id: str) -> list[str]:
    """Ten new ones; those before are worth nothing."""
    with store.write() as connection:
        codes = _new_recovery_codes(connection, person_id)
        record(connection, actor, "factor.create", person_id, None, {"kind": "recovery", "codes": len(codes)})
    return codes


def remove_factor(store: Store, actor: Actor, person_id: str, factor_id: str) -> None:
    """Raises NotFound. With the last factor the recovery codes go."""
    with store.write() as connection:
        found = next((one for one in factors.factors_of(connection, person_id) if one.id == factor_id), None)
        if found is None or found.kind == "recovery":
            raise NotFound("There is no such passkey or app.")
        factors.remove(connection, person_id, factor_id)
        if not factors.has_second_factor(connection, person_id):
            factors.remove_all(connection, person_id, "recovery")
        record(connection, actor, "factor.remove", person_id, {"kind": found.kind, "name": found.name}, None)


def prove_by_code(store: Store, signed_in: SignedIn, code: str, visitor: Visitor, hours: float) -> str:
    """A code of the app, or a recovery code: completes a sign-in, or proves again who somebody is. Returns the new
    token of the session. Raises Forbidden and RateLimited."""
    person = signed_in.person
    count_try(store, visitor, f"factor/{person.id}", person.id)
    with store.write() as connection:
        method = _used_code(store, connection, person.id, code)
        if method is not None:
            return finish_session(connection, signed_in, visitor, hours, method)
        actor = Actor("person", person.id, visitor.address)
        record(connection, actor, "sign-in.refuse", person.id, None, {"by": "code"})
    raise Forbidden(WRONG_CODE)


def _used_code(store: Store, connection: Connection, person_id: str, code: str) -> str | None:
    """How a code was right; None: it was not."""
    digest = totp.recovery_digest(code)
    for one in factors.factors_of(connection, person_id):
        if one.kind == "totp" and one.counts:
            period = totp.period_of(opened(seal_key(store), one), code, time.time(), one.counter)
            if period is not None and factors.use(connection, one, period):
                return "totp"
        elif (
            one.kind == "recovery"
            and hmac.compare_digest(one.body, digest)
            and factors.remove(connection, person_id, one.id)
        ):
            return "recovery code"
    return None


def _new_recovery_codes(connection: Connection, person_id: str) -> list[str]:
    factors.remove_all(connection, person_id, "recovery")
    codes = totp.new_recovery_codes()
    for code in codes:
        factors.add_factor(connection, factors.new_id(), person_id, "recovery", "", totp.recovery_digest(code))
    return codes


# --- Passkeys


def new_challenge(token: str) -> str:
    """What a passkey has to sign for the browser with this cookie, within ten minutes and once."""
    plain = secrets.token_bytes(_NONCE_BYTES) + struct.pack(">Q", int(time.time()))
    return _text(plain + _mac(token, plain))


def _use_challenge(connection: Connection, token: str, challenge: str) -> bytes:
    """Raises Forbidden."""
    try:
        raw = base64.urlsafe_b64decode(challenge[:200] + "==")
        plain, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        made = struct.unpack(">Q", plain[_NONCE_BYTES:])[0]
    except (ValueError, struct.error):
        raise Forbidden(WRONG_PASSKEY) from None
    if not hmac.compare_digest(mac, _mac(token, plain)) or not 0 <= time.time() - made <= CHALLENGE_SECONDS:
        raise Forbidden("This took too long. Load the page again.")
    attempt(connection, "challenge", challenge, _ONCE)
    return raw


def creation_options(person: Person, place: Place, challenge: str, known: list[Factor]) -> str:
    """What the browser needs to make a passkey, as JSON."""
    from webauthn import generate_registration_options, options_to_json
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    made = generate_registration_options(
        rp_id=place.host,
        rp_name=ISSUER,
        user_name=person.email,
        user_id=person.id.encode(),
        user_display_name=person.name,
        challenge=_bytes(challenge),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=one.handle) for one in known if one.kind == "passkey" and one.handle
        ],
    )
    return options_to_json(made)


def request_options(place: Place, challenge: str, known: list[Factor] | None = None) -> str:
    """What the browser needs to use a passkey, as JSON. `known`: those of one person; None: any."""
    from webauthn import generate_authentication_options, options_to_json
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor, UserVerificationRequirement

    made = generate_authentication_options(
        rp_id=place.host,
        challenge=_bytes(challenge),
        allow_credentials=[PublicKeyCredentialDescriptor(id=one.handle) for one in known or () if one.handle],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json(made)


def add_passkey(
    store: Store, actor: Actor, person: Person, token: str, challenge: str, credential: str, place: Place, name: str
) -> list[str]:
    """Stores a passkey that the browser has made. Returns recovery codes where there were none yet, else nothing.
    Raises InvalidRequest and Forbidden."""
    from webauthn import verify_registration_response

    given = _credential(credential)
    with store.write() as connection:
        raw = _use_challenge(connection, token, challenge)
        made = _verified(
            lambda: verify_registration_response(
                credential=given,
                expected_challenge=raw,
                expected_rp_id=place.host,
                expected_origin=place.origin,
                require_user_verification=True,
            )
        )
        found = factors.factors_of(connection, person.id)
        if sum(one.kind == "passkey" for one in found) >= MOST_PASSKEYS:
            raise InvalidRequest(f"You have {MOST_PASSKEYS} passkeys already. Remove one first.")
        if factors.by_handle(connection, made.credential_id) is not None:
            raise InvalidRequest("This passkey is known already.")
        factors.add_factor(
            connection, factors.new_id(), person.id, "passkey", name, _text(made.credential_public_key),
            handle=made.credential_id, counter=made.sign_count,
        )  # fmt: skip
        record(connection, actor, "factor.create", person.id, None, {"kind": "passkey", "name": name})
        if any(one.kind == "recovery" for one in found):
            return []
        return _new_recovery_codes(connection, person.id)


def passkey_person(store: Store, token: str, challenge: str, credential: str, place: Place, visitor: Visitor) -> Person:
    """Whose passkey has signed the challenge. Raises Forbidden and RateLimited."""
    from webauthn import verify_authentication_response

    count_try(store, visitor, "", "")
    given = _credential(credential)
    refused = ""
    with store.write() as connection:
        raw = _use_challenge(connection, token, challenge)
        factor = factors.by_handle(connection, _bytes(str(given.get("rawId", ""))))
        person = None if factor is None else persons.person_of(connection, factor.person_id)
        if factor is not None and person is not None and person.disabled_at is None:
            try:
                used = _verified(
                    lambda: verify_authentication_response(
                        credential=given,
                        expected_challenge=raw,
                        expected_rp_id=place.host,
                        expected_origin=place.origin,
                        credential_public_key=_bytes(factor.body),
                        credential_current_sign_count=factor.counter,
                        require_user_verification=True,
                    )
                )
            except CallerError:
                refused = person.id
            else:
                factors.use(connection, factor, used.new_sign_count)
                return person
        subject = refused or "unknown"
        record(connection, Actor("person", "", visitor.address), "sign-in.refuse", subject, None, {"by": "passkey"})
    raise Forbidden(WRONG_PASSKEY)


def sign_in_by_passkey(
    store: Store, token: str, challenge: str, credential: str, place: Place, visitor: Visitor, hours: float
) -> str:
    """Signs somebody in without a password: a passkey is two factors, what they have and what unlocks it. Returns the
    token of a new session. Raises Forbidden and RateLimited."""
    person = passkey_person(store, token, challenge, credential, place, visitor)
    with store.write() as connection:
        return begin_session(connection, person, visitor, hours, "passkey", proved=True)


def prove_by_passkey(
    store: Store, signed_in: SignedIn, token: str, challenge: str, credential: str, place: Place, visitor: Visitor,
    hours: float,
) -> str:  # fmt: skip
    """Completes a sign-in, or proves again who somebody is. Returns the new token of the session. Raises Forbidden and
    RateLimited."""
    person = passkey_person(store, token, challenge, credential, place, visitor)
    if person.id != signed_in.person.id:
        raise Forbidden(WRONG_PASSKEY)
    with store.write() as connection:
        return finish_session(connection, signed_in, visitor, hours, "passkey")


def _verified(verify: Callable[[], Any]) -> Any:
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        return verify()
    except (WebAuthnException, ValueError, KeyError, TypeError):  # of what a browser sent
        raise Forbidden(WRONG_PASSKEY) from None


def _credential(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text[:16_384])
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidRequest(WRONG_PASSKEY)
    return found


def _mac(token: str, plain: bytes) -> bytes:
    return hmac.digest(hashlib.sha256(b"fairlead passkey\0" + token.encode()).digest(), plain, "sha256")[:_MAC_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text[:4_096] + "==")
    except ValueError:
        return b""
