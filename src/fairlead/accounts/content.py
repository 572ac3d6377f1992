"""What an organisation keeps of its calls, and what of that concerns one key."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

MOST_DAYS: Final = 365
# Of projects and of keys that a policy may name, each.
MOST_NAMED: Final = 1_000
# Of an organisation's own expressions: how many, and how long each may be.
MOST_PATTERNS: Final = 20
LONGEST_PATTERN: Final = 256

DETECTORS: Final = ("email", "card", "iban", "phone", "secret", "ip")


class ContentPolicy(Struct, frozen=True, omit_defaults=True):
    """`share`: of the calls, in per cent. `days`: how long content is kept. `projects`, `keys`: only calls of these are
    kept; both empty: of all. `never`: keys whose calls are never kept, whatever else is said here. `detectors`: names
    of DETECTORS that redact; `patterns`: expressions of the organisation's own (RE2), which redact as well. `media`:
    images, audio and files are kept too, not only their size and digest. `store_false`: a request with
    `"store": false` is not kept."""

    enabled: bool = False
    share: float = 100.0
    days: int = 30
    projects: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    detectors: tuple[str, ...] = DETECTORS
    patterns: tuple[str, ...] = ()
    media: bool = False
    store_false: bool = True


class ContentRule(Struct, frozen=True, gc=False):
    """What holds for the calls of one key. `share`: of them, from 0 to 1."""

    share: float
    detectors: tuple[str, ...]
    patterns: tuple[str, ...]
    media: bool
    store_false: bool


_decoder: Final = msgspec.json.Decoder(ContentPolicy)


def read_policy(text: str | None) -> ContentPolicy:
    """As it is stored with an account."""
    return ContentPolicy() if text is None else _decoder.decode(text)


def written_policy(policy: ContentPolicy) -> str:
    return msgspec.json.encode(policy).decode()


@lru_cache(maxsize=1_024)
def _read(text: str) -> tuple[ContentPolicy, ContentRule] | None:
    """Decoded once for all keys of an account, which share it."""
    policy = read_policy(text)
    if not policy.enabled or policy.share <= 0:
        return None
    rule = ContentRule(policy.share / 100, policy.detectors, policy.patterns, policy.media, policy.store_false)
    return policy, rule


def rule_for(text: str | None, key_id: str, project_id: str | None) -> ContentRule | None:
    """What of a stored policy holds for a key; None: nothing of its calls is kept."""
    found = None if text is None else _read(text)
    if found is None:
        return None
    policy, rule = found
    if key_id in policy.never:
        return None
    if (policy.keys or policy.projects) and key_id not in policy.keys and project_id not in policy.projects:
        return None
    return rule
