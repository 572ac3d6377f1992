"""What the record of a call has beside its bill: whose call it is by the caller's own word, and digests of its body.

Clients name the session and the user of a call in headers (Claude Code, Codex, opencode, Open WebUI) or in the body
(`session_id`, `prompt_cache_key`, `user`). Both are claims: they are recorded and used to return to a cache, never to
decide what a caller may do or pays. Headers are not sent on, unless the operator says so of a
provider (`forward_sessions`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote, unquote

import msgspec
from msgspec import Raw

# A longer value, or one that cannot be printed, is recorded as its digest.
LONGEST_NAME: Final = 128
DIGEST_DIGITS: Final = 32
# The first that is there counts.
SESSION_HEADERS: Final = (
    b"x-claude-code-session-id", b"session-id", b"session_id", b"x-session-id", b"conversation_id", b"conversation-id",
    b"thread-id", b"x-openwebui-chat-id",
)  # fmt: skip
USER_HEADERS: Final = (b"x-openwebui-user-id", b"x-openwebui-user-email", b"x-openwebui-user-name")
SESSION_MEMBERS: Final = ("session_id", "prompt_cache_key")
USER_MEMBERS: Final = ("user", "safety_identifier")
MEMBERS: Final = frozenset({*SESSION_MEMBERS, *USER_MEMBERS})
_HEADERS: Final = frozenset({*SESSION_HEADERS, *USER_HEADERS})
# What of ASCII may stand in a header as it is.
_PLAIN: Final = " !#$&'()*+,/:;=?@[]-._~|"
# Users who were named alone, by the JSON of their names.
MOST_KNOWN: Final = 1_000
_known: Final[dict[bytes, CallNotes]] = {}
_OTHERS: Final = MEMBERS - {"user"}
# To be copied, which costs less than to make one.
_NO_BYTES: Final = hashlib.sha256(usedforsecurity=False)
_string: Final = msgspec.json.Decoder(str)
_encode: Final = msgspec.json.encode


class CallNotes:
    """`session`, `user`: names that the caller gives them, "": none. `received`, `sent`: SHA-256 of the body as it came
    in, decompressed, and as it was sent to the provider that answered, "": not taken. `asked`: the model that was asked
    for, where a budget had the call go on with another one. Calls may share one that has no digests."""

    __slots__ = ("_body", "_received", "asked", "sent", "session", "user")

    def __init__(self, session: str = "", user: str = "") -> None:
        self._body: bytes | None = None  # until its digest is taken
        self._received = ""
        self.session = session
        self.user = user
        self.sent = ""
        self.asked = ""

    def over(self, other: CallNotes | None) -> CallNotes:
        """The names of these, and those that are only in the others."""
        made = CallNotes(self.session, self.user)
        if other is not None:
            made.session, made.user = self.session or other.session, self.user or other.user
        return made

    def asking(self, model: str) -> CallNotes:
        """These, of a call that goes on with another model than this one."""
        made = CallNotes(self.session, self.user)
        made._body, made._received, made.asked = self._body, self._received, model
        return made

    @property
    def affinity(self) -> int:
        """A number for the session; 0: there is none."""
        return (hash(self.session) or 1) if self.session else 0

    @property
    def received(self) -> str:
        body = self._body
        if body is not None:
            self._body = None  # which is not needed any more
            self._received = _digest(body)
        return self._received

    def members(self) -> bytes:
        """As ready JSON members of a record, each with a comma before it."""
        text = b""
        received = self.received
        if self.sent:  # digests are nothing but digits
            text = b',"received":"%b","sent":"%b"' % (received.encode(), self.sent.encode())
        elif received:
            text = b',"received":"%b"' % received.encode()
        if self.session:
            text += b',"session":%b' % _encode(self.session)
        if self.user:
            text += b',"user":%b' % _encode(self.user)
        if self.asked:
            text += b',"asked":%b' % _encode(self.asked)
        return text

    def lines(self) -> bytes:
        """As ready header lines, for a provider that is to know them."""
        text = b""
        for name, value in ((b"x-session-id", self.session), (b"x-user-id", self.user)):
            if value:
                text += b"%b: %b\r\n" % (name, quote(value, safe=_PLAIN).encode())
        return text

    def receive(self, body: bytes) -> None:
        """What came in. Its digest is taken together with that of what is sent, when the call is on its way: so the
        provider does not wait for it."""
        self._body = body

    def digest(self, body: Sequence[bytes | memoryview]) -> None:
        """Takes the digests, where they are wanted, of what came in and of what was sent to a provider."""
        came = self._body
        received = self.received
        if not received:
            return
        if len(body) == 1:
            whole = body[0]
            self.sent = received if whole is came else _digest(whole)
            return
        found = _NO_BYTES.copy()
        for piece in body:
            found.update(piece)
        self.sent = found.hexdigest()


def _digest(body: bytes | memoryview) -> str:
    found = _NO_BYTES.copy()
    found.update(body)
    return found.hexdigest()


def bounded(value: str) -> str:
    """A name as it is recorded."""
    value = value.strip()
    if len(value) <= LONGEST_NAME and value.isprintable():
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass"), usedforsecurity=False)
    return f"sha256:{digest.hexdigest()[:DIGEST_DIGITS]}"


def notes_in_head(headers: Iterable[tuple[bytes, bytes]]) -> CallNotes | None:
    """What headers say; None: nothing."""
    found = {name: value for name, value in headers if name in _HEADERS and value.strip()}
    if not found:
        return None
    return CallNotes(_first(found, SESSION_HEADERS), _first(found, USER_HEADERS))


def _first(found: Mapping[bytes, bytes], names: Iterable[bytes]) -> str:
    for name in names:
        if name in found:
            # Open WebUI encodes names with percents.
            return bounded(unquote(found[name].decode("utf-8", "backslashreplace")))
    return ""


def notes_in_members(members: Mapping[str, Raw], session: str = "", user: str = "") -> CallNotes | None:
    """What members of a body say that are strings; None: nothing. `session`, `user`: where the API has names of its
    own for them."""
    raw = members.get("user")
    if raw is None or session or user or len(raw) > LONGEST_NAME or not _OTHERS.isdisjoint(members):
        return _notes(session or _member(members, SESSION_MEMBERS), user or _member(members, USER_MEMBERS))
    # Many programs name the same few users in all of their calls, and nothing else.
    key = bytes(raw)
    found = _known.get(key)
    if found is None:
        found = _notes("", _member(members, USER_MEMBERS))
        if found is not None:
            if len(_known) >= MOST_KNOWN:
                _known.clear()
            _known[key] = found
    return found


def _notes(session: str, user: str) -> CallNotes | None:
    return CallNotes(bounded(session), bounded(user)) if session or user else None


def _member(members: Mapping[str, Raw], names: Iterable[str]) -> str:
    for name in names:
        raw = members.get(name)
        if raw is not None and memoryview(raw)[0] == 0x22:
            try:
                return _string.decode(raw)
            except msgspec.DecodeError:
                continue
    return ""
