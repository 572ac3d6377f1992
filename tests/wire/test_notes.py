"""What callers say of a call's session and user: bounded, whatever it is."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
from msgspec import Raw

from fairlead.ledger.record import decode
from fairlead.wire import notes
from fairlead.wire.notes import LONGEST_NAME, CallNotes, bounded, notes_in_head, notes_in_members


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("s-1", "s-1"), (" s ", "s"), ("é🎈", "é🎈"), ("x" * LONGEST_NAME, "x" * LONGEST_NAME),
        ("x" * (LONGEST_NAME + 1), "sha256:"), ("a\x00b", "sha256:"), ("a\nb", "sha256:"), ("\ud83d", "sha256:"),
        ("\u202ex", "sha256:"), ("", ""),
    ],
)  # fmt: skip
def test_a_name_is_kept_or_digested(value: str, kept: str) -> None:
    found = bounded(value)
    assert found.startswith(kept)
    assert len(found) <= LONGEST_NAME
    assert found == bounded(value), "the same every time"
    if kept != "sha256:":
        assert found == kept


def test_the_head_of_each_client() -> None:
    def said(*headers: tuple[bytes, bytes]) -> tuple[str, str] | None:
        notes = notes_in_head([(b"host", b"x"), *headers])
        return None if notes is None else (notes.session, notes.user)

    assert said() is None
    assert said((b"x-claude-code-session-id", b" ")) is None
    assert said((b"x-claude-code-session-id", b"c-1")) == ("c-1", "")
    assert said((b"session-id", b"s"), (b"thread-id", b"t")) == ("s", ""), "Codex"
    assert said((b"conversation_id", b"k")) == ("k", "")
    assert said((b"x-openwebui-user-email", b"a@b"), (b"x-openwebui-user-id", b"u-1")) == ("", "u-1")
    assert said((b"x-openwebui-user-name", b"J%C3%BCrgen")) == ("", "Jürgen")
    found = said((b"session-id", b"\xff\x00" * 4_000))
    assert found is not None
    assert found[0].startswith("sha256:")


def test_members_that_are_no_strings_say_nothing() -> None:
    assert notes_in_members({"user": Raw(b"1"), "session_id": Raw(b"null"), "prompt_cache_key": Raw(b"{}")}) is None
    found = notes_in_members(
        {"session_id": Raw(b"[]"), "prompt_cache_key": Raw(b'"k"'), "safety_identifier": Raw(b'"u"')}
    )
    assert found is not None
    assert (found.session, found.user) == ("k", "u")


def test_the_head_counts_more_than_the_body_and_both_are_kept() -> None:
    found = CallNotes("head").over(CallNotes("body", "user"))
    assert (found.session, found.user) == ("head", "user")


def test_notes_are_members_of_a_record() -> None:
    notes = CallNotes('a"b\\', "ü")
    notes.receive(b"body")
    text = b'{"id":"g","at":1,"done":2,"account":"a","key":"k","model":"m","outcome":"x","stream":false,"usage":"none"'
    record = decode(text + notes.members() + b"}")
    assert (record.session, record.user, record.received, record.sent) == (
        'a"b\\',
        "ü",
        sha256(b"body").hexdigest(),
        "",
    )
    assert msgspec.json.decode(msgspec.json.encode(record))["user"] == "ü"


def test_notes_as_header_lines_hold_nothing_but_printable_ascii() -> None:
    assert CallNotes("a b:c/1", "Jürgen").lines() == b"x-session-id: a b:c/1\r\nx-user-id: J%C3%BCrgen\r\n"
    assert CallNotes().lines() == b""


def test_a_user_who_is_named_alone_is_read_once_and_digests_are_each_calls_own() -> None:
    members = {"user": Raw(b'"u-\\u00e9"'), "temperature": Raw(b"1")}
    first = notes_in_members(members)
    assert first is not None
    assert (first.session, first.user) == ("", "u-é")
    assert notes_in_members({"user": Raw(b'"u-\\u00e9"')}) is first
    own = first.over(None)
    own.receive(b"abc")
    own.digest([b"ab", memoryview(b"d")])
    assert (own.received, own.sent) == (sha256(b"abc").hexdigest(), sha256(b"abd").hexdigest())
    assert first.received == ""
    with_session = notes_in_members({**members, "session_id": Raw(b'"s"')})
    assert with_session is not None
    assert (with_session.session, with_session.user) == ("s", "u-é")
    assert notes_in_members({"user": Raw(b"5")}) is None
    assert notes_in_members({"user": Raw(b'"  "')}) is not None


def test_the_digest_of_what_came_in_is_of_each_try_and_of_what_goes_on_with_another_model() -> None:
    came = b'{"model":"a"}'
    found, other = CallNotes("s"), CallNotes("s")
    found.receive(came)
    other.receive(came)
    found.digest([came])  # sent on as it was
    assert found.sent == found.received == sha256(came).hexdigest()
    found.digest([b'{"model":"b"}'])
    assert (found.received, found.sent) == (sha256(came).hexdigest(), sha256(b'{"model":"b"}').hexdigest())
    for made in (other.asking("a"), found.asking("a")):
        assert (made.received, made.sent) == (sha256(came).hexdigest(), "")


def test_a_call_without_digests_gets_none() -> None:
    found = CallNotes("s")
    found.digest([b"sent"])
    assert (found.received, found.sent, found.members()) == ("", "", b',"session":"s"')


def test_users_that_are_remembered_are_bounded() -> None:
    for at in range(3 * notes.MOST_KNOWN):
        made = notes_in_members({"user": Raw(b'"u%d"' % at)})
        assert made is not None
        assert made.user == f"u{at}"
    assert len(notes._known) <= notes.MOST_KNOWN
    long = notes_in_members({"user": Raw(b'"%b"' % (b"x" * 5_000))})
    assert long is not None
    assert long.user.startswith("sha256:")
    assert max(map(len, notes._known)) <= notes.LONGEST_NAME
