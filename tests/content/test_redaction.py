"""What is redacted, and that no text and no expression takes long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fairlead.accounts.content import DETECTORS, LONGEST_PATTERN, ContentPolicy
from fairlead.content.checking import check_policy
from fairlead.content.redaction import (
    CLOSE,
    MARGIN_BYTES,
    MOST_CANDIDATES,
    OPEN,
    WINDOW_BYTES,
    Redactor,
    plain,
)
from fairlead.errors import InvalidRequest


def redacted(text: str, *patterns: str) -> str:
    return plain(Redactor(DETECTORS, patterns).text(text))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("email", "ada.lovelace+x@mail.example.co.uk"),
        ("card", "4111 1111 1111 1111"),
        ("card", "378282246310005"),
        ("iban", "DE89 3704 0044 0532 0130 00"),
        ("iban", "GB82WEST12345698765432"),
        ("phone", "+49 30 1234567"),
        ("phone", "(212) 555-0123"),
        ("secret", "sk-fl-abcdefgh0123456789abcdef0123456789"),
        ("secret", "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz"),
        ("secret", "sk-or-v1-0123456789abcdef0123456789abcdef"),
        ("secret", "fl-mgmt-abcdefgh0123456789abcdef"),
        ("secret", "AKIAIOSFODNN7EXAMPLE"),
        ("secret", "ghp_0123456789abcdefghij0123456789abcdef"),
        ("secret", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fw"),
        ("secret", "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"),
        ("ip", "192.168.17.4"),
        ("ip", "2001:db8::ff00:42:8329"),
    ],
)
def test_what_has_a_known_form_is_found_among_words(name: str, found: str) -> None:
    assert redacted(f"before {found} behind") == f"before [redacted: {name}] behind"
    assert redacted(found) == f"[redacted: {name}]"


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",  # Luhn
        "0000 0000 0000 0000",
        "1796067015885",  # right by Luhn, but a time
        "FR14 2004 1010 0505 0001 3M02 607",  # modulo 97
        "999.1.1.1 and 1.2.3",
        "std::vector<a::b> at 12:30:45 on 2026-11-30",
        "3.14159265358979 and 1,234,567.89",
        "the sk-learn package, a@b",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert redacted(text) == text


def test_only_what_was_chosen_is_redacted() -> None:
    text = "a@b.example from 10.0.0.1"
    assert plain(Redactor(["ip"], []).text(text)) == "a@b.example from [redacted: ip]"
    assert plain(Redactor([], ["from"]).text(text)) == "a@b.example [redacted: rule 1] 10.0.0.1"


def test_what_overlaps_is_one_mark_and_all_are_counted() -> None:
    redactor = Redactor(["email"], ["b@c", "[0-9]+"])
    assert plain(redactor.text("ab@c.example 1 22")) == "[redacted: email] [redacted: rule 2] [redacted: rule 2]"
    assert redactor.counts == {"email": 1, "rule 2": 2}


def test_nobody_else_makes_marks() -> None:
    assert redacted(f"{OPEN}email{CLOSE}") == "\ufffdemail\ufffd"


def test_what_lies_across_windows_is_found() -> None:
    for at in range(WINDOW_BYTES - 20, WINDOW_BYTES + 2):
        assert "example.org" not in redacted("x " * (at // 2) + "somebody@example.org" + " y" * 40)
    key = "-----BEGIN PRIVATE KEY-----\n" + "A" * (MARGIN_BYTES - 200) + "\n-----END PRIVATE KEY-----"
    assert "AAAA" not in redacted("." * (WINDOW_BYTES - 5) + key)


def test_a_text_of_nothing_but_candidates_is_withheld() -> None:
    made = Redactor(["ip", "email"], [])
    text = made.text("1.1.1.1 " * MOST_CANDIDATES * 2)
    assert "1.1.1.1" not in text
    assert text.endswith(f"{OPEN}rest{CLOSE}")
    assert "a@b.example" not in made.text("and a@b.example"), "no budget is left for this call"


# Each takes a backtracking engine longer than the world has existed.
BOMBS = ("(a+)+$", "(a|aa)+$", "(.*a){20}b", "([a-z]+)*!")


@pytest.mark.parametrize("pattern", BOMBS)
def test_an_expression_cannot_take_long(pattern: str) -> None:
    check_policy(ContentPolicy(patterns=(pattern.replace("*!", "+!"),)), 365)
    Redactor([], [pattern]).text("a" * 100_000 + "c")


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("(", "RE2"), (r"(?=a)b", "RE2"), (r"(a)\1", "RE2"), ("((a{1,100}){1,100}){1,100}", "RE2"),
        ("a" * (LONGEST_PATTERN + 1), "longer"), ("a*", "empty text"), ("", "empty text"),
    ],
)  # fmt: skip
def test_an_expression_that_cannot_be_run_is_refused(pattern: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence) as refused:
        check_policy(ContentPolicy(patterns=(pattern,)), 365)
    assert refused.value.param == "patterns"


@given(some.text(max_size=400))
def test_what_has_nothing_to_redact_stays_as_it_is(text: str) -> None:
    kept = text.replace(OPEN, "").replace(CLOSE, "").encode("utf-8", "replace").decode()
    assert Redactor([], []).text(kept) == kept
    assert Redactor(DETECTORS, []).text(text) == Redactor(DETECTORS, []).text(text)


@given(some.text("abc @.:1234567890-+", max_size=200))
def test_what_was_redacted_has_nothing_left_to_redact(text: str) -> None:
    once = Redactor(["email", "iban", "secret"], []).text(text)
    again = Redactor(["email", "iban", "secret"], [])
    again.text(once.replace(OPEN, " ").replace(CLOSE, " "))
    assert not again.counts
