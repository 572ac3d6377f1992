"""Codes by time are those of RFC 6238, and good once."""

from __future__ import annotations

import base64

import pytest

from fairlead.people.totp import address, code_at, new_recovery_codes, new_secret, period_of, recovery_digest

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert code_at(SECRET, seconds // 30) == code
    assert period_of(SECRET, f"{code[:3]} {code[3:]}", seconds, 0) == seconds // 30


def test_a_clock_may_be_half_a_minute_wrong_and_no_code_is_good_twice() -> None:
    now = 1_800_000_000.0
    period = int(now // 30)
    for drift in (-1, 0, 1):
        assert period_of(SECRET, code_at(SECRET, period + drift), now, 0) == period + drift
        assert period_of(SECRET, code_at(SECRET, period + drift), now, period + drift) is None
    assert period_of(SECRET, code_at(SECRET, period - 2), now, 0) is None
    assert period_of(SECRET, code_at(SECRET, period + 2), now, 0) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "²²²²²²", "-12345"])
def test_what_is_no_code_is_wrong(code: str) -> None:
    assert period_of(SECRET, code, 59, 0) is None


def test_secrets_and_recovery_codes_are_random_and_long() -> None:
    assert len(base64.b32decode(new_secret())) == 20
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    assert all(len(code.replace("-", "")) == 16 for code in codes)
    assert recovery_digest(codes[0]) == recovery_digest(codes[0].upper().replace("-", " "))


def test_the_address_of_a_qr_code_names_server_and_person() -> None:
    assert (
        address("ABC", "Fairlead", "a@b.example")
        == "otpauth://totp/Fairlead%3Aa%40b.example?secret=ABC&issuer=Fairlead"
    )
