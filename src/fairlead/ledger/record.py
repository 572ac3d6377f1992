"""The record of one call: everything that its bill is made of, written once and never changed."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from fairlead.wire.usage import TokenClasses, Usage

UsageState = Literal["reported", "counted", "estimated", "usage_missing", "none"]

# The outcome of an answer without a word.
EMPTY = "empty"


class Attempt(Struct, frozen=True, gc=False):
    """One try of one deployment. `outcome`: "served", "caller_gone" or the code of the error that ended it.

    `tokens` and `cost` are set for a failed try that the provider bills anyway: counted here, and the operator's.
    They are set for one that served, too, when it is billed for other tokens than the caller pays: it went on from
    another one's beginning.
    """

    deployment: str
    sheet: str
    outcome: str
    milliseconds: int
    tokens: TokenClasses | None = None
    prompt: int = 0
    cost: int = 0


class UsageRecord(Struct, frozen=True, gc=False, omit_defaults=True):
    """One admitted call. Times in milliseconds since 1970; amounts in picodollars.

    `usage`: "reported" by the provider; "counted" by its tokenizer or "estimated" when it reported nothing usable,
    or was cut off before; "usage_missing" when nobody counted, because nothing is charged; "none" when there was no
    answer to charge. `prompt_usage` is the same of the prompt where it differs. `missing`: a complete answer came
    without usage. `cost` is None when the sheet does not know it; that of failed attempts is in it. An `outcome` of
    "empty" is an answer without a word, which is not charged. Of a call with an answer and no attempt but the one that
    gave it, `attempts` may be left out where it is stored: `decode` puts it there.
    `hold` was set aside in every one of `scopes` (credit and budgets); `shortfall` is what the call came to beyond it
    and beyond what else there was: it was not charged. `implausible`: the tokens of prompt and answer that the provider
    reported although the request cannot have caused them; what was counted here stands in their place.
    `first_token`: milliseconds from the beginning of the call to the first token of an answer that came as a stream; 0:
    there was none, or the record is of a version that did not keep it.
    `session`, `user`, `received`, `sent` and `asked`: see `wire/notes.py`.
    """

    id: str
    at: int
    done: int
    account: str
    key: str
    model: str
    outcome: str
    stream: bool
    usage: UsageState
    deployment: str = ""
    sheet: str = ""
    tokens: TokenClasses = TokenClasses()
    prompt: int = 0
    completion: int = 0
    balanced: bool = True
    price: int = 0
    cost: int | None = None
    attempts: tuple[Attempt, ...] = ()
    hold: int = 0
    scopes: tuple[str, ...] = ()
    shortfall: int = 0
    prompt_usage: str = ""
    missing: bool = False
    implausible: tuple[int, int] | None = None
    first_token: int = 0
    session: str = ""
    user: str = ""
    received: str = ""
    sent: str = ""
    asked: str = ""

    @property
    def state(self) -> str:
        """What is to be known of its usage, in a word."""
        return "implausible" if self.implausible else "usage_missing" if self.missing else self.usage


class Spent(Struct, gc=False):
    """Of an attempt or of a record: what of it moves money."""

    deployment: str = ""
    cost: int | None = None


class PostingFields(Spent, kw_only=True, gc=False):
    id: str
    at: int
    account: str
    key: str
    price: int = 0
    scopes: tuple[str, ...] = ()
    attempts: tuple[Spent, ...] = ()


def usage_of(record: UsageRecord) -> Usage:
    return Usage(record.tokens, record.prompt, record.completion, record.balanced)


_decoder = msgspec.json.Decoder(UsageRecord)
encode = msgspec.json.Encoder().encode


def decode(body: bytes | str) -> UsageRecord:
    """A stored record. Raises msgspec.DecodeError when it is none."""
    record = _decoder.decode(body)
    if record.usage == "none" or record.attempts:
        return record
    only = Attempt(record.deployment, record.sheet, record.outcome, record.done - record.at)
    return replace(record, attempts=(only,))
