"""Replaces what must not be kept by marks, before anything of a call is written.

Every expression is run by RE2, in time linear in the text; those of organisations, too. What an expression finds is a
candidate: card numbers and IBANs count only with the right check digits, addresses only when they are some.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import re2

# What RE2 may use for one expression. One that needs more is refused when it is saved.
PATTERN_BYTES: Final = 1_048_576
# A mark is one of these, a name, and the other. Neither stands in a text that was redacted but as a mark.
OPEN, CLOSE = "\ue000", "\ue001"
MARK: Final = re.compile(f"{OPEN}([a-z0-9 ]{{1,24}}){CLOSE}")
# RE2 keeps Python's lock while it searches: a long text is searched in windows, so that the event loop gets its turn.
# What begins in a window is found when it ends within the margin behind it.
WINDOW_BYTES: Final = 32_768
MARGIN_BYTES: Final = 8_192
# What a window has of the one before it, so that no word seems to begin in its middle.
BEFORE_BYTES: Final = 64
# Candidates in all texts of one call. Where there are more, the rest of the text is withheld as a whole.
MOST_CANDIDATES: Final = 10_000
WITHHELD: Final = "rest"

_SECRETS: Final = (
    rb"sk-(?:[A-Za-z0-9]{1,12}-){0,3}[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, OpenRouter, and our own
    rb"fl-(?:mgmt|code|auth|link|hook)-[A-Za-z0-9_-]{16,}",
    rb"(?:ghp|gho|ghu|ghs|ghr|glpat|npm|hf|pypi|xox[abeoprs])[_-][A-Za-z0-9_-]{16,}",
    rb"github_pat_[A-Za-z0-9_]{20,}",
    rb"(?:AKIA|ASIA)[A-Z0-9]{16}",  # AWS
    rb"AIza[A-Za-z0-9_-]{35}",  # Google
    rb"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
    rb"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",  # JWT
    rb"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-]+-----END [A-Z ]{0,32}PRIVATE KEY-----",
)
_EXPRESSIONS: Final[Mapping[str, bytes]] = {
    "email": rb"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,63}",
    # Numbers of cards begin with 2 to 6 (ISO/IEC 7812); a time in milliseconds begins with 1.
    "card": rb"\b[2-6](?:[ -]?[0-9]){12,18}\b",
    "iban": rb"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}\b",
    # In international form (E.164), or as North Americans write it.
    "phone": (
        rb"(?:\+|\b00)[1-9](?:[ ./()-]{0,2}[0-9]){6,14}\b"
        rb"|(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}\b"
    ),
    "secret": b"|".join(_SECRETS),
    "ip": (
        rb"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b"
        rb"|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:[0-9]{0,3}(?:\.[0-9]{1,3}){3})?"
    ),
}
# In this order: of two that begin at the same place and are as long, the first one names the mark.
_ORDER: Final = ("secret", "email", "iban", "card", "ip", "phone")
# Lengths of IBANs by country. Source: SWIFT's IBAN registry, release 99.
_IBAN_LENGTHS: Final = (
    b"AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 "
    b"EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 "
    b"KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 "
    b"PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 "
    b"UA29 VA22 VG24 XK20 YE30"
)
_IBAN: Final = {pair[:2]: int(pair[2:]) for pair in _IBAN_LENGTHS.split(b" ")}
_LETTERS: Final = re.compile(r"[A-Z]")
_DIGIT: Final = re.compile(rb"[0-9]")


@lru_cache(maxsize=512)
def compiled(pattern: str | bytes) -> Any:
    """An expression for UTF-8; None for one that RE2 refuses. Built-in ones are ASCII, and bytes."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_BYTES
    if isinstance(pattern, bytes):
        options.encoding = re2.Options.Encoding.LATIN1
    try:
        return re2.compile(pattern if isinstance(pattern, bytes) else pattern.encode(), options)
    except (re2.error, UnicodeError):
        return None


def _luhn(found: bytes) -> int:
    digits = [byte - 0x30 for byte in found if 0x30 <= byte <= 0x39]
    if len(set(digits)) == 1:  # 0000 0000 0000 0000 is no card
        return 0
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2])
    return len(found) if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 else 0


def _iban(found: bytes) -> int:
    """How much of it is one: words in capitals may follow."""
    length = _IBAN.get(found[:2])
    if length is None:
        return 0
    kept, end = "", 0
    while end < len(found) and len(kept) < length:
        if found[end] != 0x20:
            kept += chr(found[end])
        end += 1
    if len(kept) != length:
        return 0
    moved = _LETTERS.sub(lambda letter: str(ord(letter[0]) - 55), kept[4:] + kept[:4])
    return end if int(moved) % 97 == 1 else 0


def _phone(found: bytes) -> int:
    return len(found) if 7 <= sum(0x30 <= byte <= 0x39 for byte in found) <= 17 else 0


def _ip(found: bytes) -> int:
    version_6 = b":" in found
    # "a::b" is C++ more often, "::" always.
    if version_6 and not _DIGIT.search(found):
        return 0
    try:
        socket.inet_pton(socket.AF_INET6 if version_6 else socket.AF_INET, found.decode())
    except OSError:
        return 0
    return len(found)


def _whole(found: bytes) -> int:
    return len(found)


_CHECKS: Final[Mapping[str, Callable[[bytes], int]]] = {"card": _luhn, "iban": _iban, "phone": _phone, "ip": _ip}


class Redactor:
    """Redacts by these detectors and expressions. `counts`: of the marks that it has made, by name."""

    __slots__ = ("_expressions", "_left", "counts")

    def __init__(self, detectors: Iterable[str], patterns: Iterable[str]) -> None:
        wanted = set(detectors)
        self._expressions: list[tuple[str, Any, Callable[[bytes], int]]] = [
            (name, compiled(_EXPRESSIONS[name]), _CHECKS.get(name, _whole)) for name in _ORDER if name in wanted
        ]
        for at, pattern in enumerate(patterns, 1):
            made = compiled(pattern)
            if made is not None:
                self._expressions.append((f"rule {at}", made, _whole))
        self.counts: dict[str, int] = {}
        self._left = MOST_CANDIDATES

    def text(self, given: str) -> str:
        """The text with marks in the place of what was found."""
        if OPEN in given or CLOSE in given:  # nobody else makes marks
            given = given.replace(OPEN, "\ufffd").replace(CLOSE, "\ufffd")
        data = given.encode("utf-8", "replace")
        spans: list[tuple[int, int, int, str]] = []
        for start in range(0, max(1, len(data)), WINDOW_BYTES):
            before = min(start, BEFORE_BYTES)
            window = data[start - before : start + WINDOW_BYTES + MARGIN_BYTES]
            for rank, (name, expression, check) in enumerate(self._expressions):
                for match in expression.finditer(window):
                    self._left -= 1
                    if self._left < 0:
                        return self._marked(data, [*spans, (start - before, len(data), -1, WITHHELD)])
                    begin, end = match.span()
                    length = check(window[begin:end])
                    if length and end > begin:
                        at = start - before + begin
                        spans.append((at, at + length, rank, name))
        return self._marked(data, spans) if spans else data.decode()

    def _marked(self, data: bytes, spans: list[tuple[int, int, int, str]]) -> str:
        """Spans that overlap become one mark, named by the one that begins first, the longest of those."""
        spans.sort(key=lambda span: (span[0], -span[1], span[2]))
        pieces, at, last = [], 0, -1
        for begin, end, _rank, name in spans:
            if begin < last:
                last = max(last, end)
                at = last
                continue
            pieces += [data[at:begin], f"{OPEN}{name}{CLOSE}".encode()]
            self.counts[name] = self.counts.get(name, 0) + 1
            at = last = end
        pieces.append(data[at:])
        return b"".join(pieces).decode("utf-8", "replace")


def plain(text: str) -> str:
    """With marks that can be read anywhere: "[redacted: email]"."""
    return MARK.sub(lambda mark: f"[redacted: {mark[1]}]", text)
