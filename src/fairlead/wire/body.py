"""A JSON body of any API, split into its top-level members, and written again with a few of them changed.

What is not changed stays as the caller wrote it, byte for byte: white space and the order of members too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from fairlead.errors import InvalidRequest
from fairlead.wire.bounds import LONGEST_NAME, MOST_MEMBERS, SKELETON_BYTES
from fairlead.wire.counting import TooMany, decode_members
from fairlead.wire.duplicates import refuse_duplicates

__all__ = ["checked", "members_of", "value_span", "with_members"]

_object: Final = msgspec.json.Decoder(dict[str, Raw])
_KEY: Final = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_SPACES: Final = (0x20, 0x0A, 0x0D, 0x09)


def members_of(body: bytes) -> dict[str, Raw]:
    """The members of the object that a body must be, undecoded. Raises InvalidRequest (also for a name that stands
    there twice)."""
    if not body:
        raise InvalidRequest("The request has no body: send a JSON object.")
    try:
        if not body.isascii():
            body.decode()
        if len(body) > SKELETON_BYTES:
            fields, twice = decode_members(body, MOST_MEMBERS)
            if twice is not None:
                raise InvalidRequest(f"The body has {twice[:64]!r} twice.", param=twice[:64])
        else:
            fields = _object.decode(body)
            refuse_duplicates(body, fields)
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not valid UTF-8 (at byte {error.start}).") from None
    except msgspec.ValidationError:
        raise InvalidRequest("The body must be a JSON object.") from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply.") from None
    except TooMany:
        raise InvalidRequest(f"The body has more than {MOST_MEMBERS} members.") from None
    _check_names(fields)
    return fields


def _check_names(fields: dict[str, Raw]) -> None:
    if len(fields) > MOST_MEMBERS:
        raise InvalidRequest(f"The body has more than {MOST_MEMBERS} members.")
    for name in fields:
        if len(name) > LONGEST_NAME:
            raise InvalidRequest(f"The name of a member is longer than {LONGEST_NAME} characters.", param=name[:64])


def checked(name: str, decoder: msgspec.json.Decoder[Any], raw: Raw, wanted: str, most_bytes: int) -> Any:
    """The value of a member. Raises InvalidRequest: "`name` must be `wanted`." and where it is not."""
    if len(raw) > most_bytes:
        raise InvalidRequest(f"{name} is longer than {most_bytes:,} bytes.", param=name)
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        text, _, path = str(error).partition(" - at `$")
        detail = f" ({name}{path.rstrip('`')}: {text[:200]})" if path else ""
        raise InvalidRequest(f"{name} must be {wanted}.{detail}", param=name) from None
    except RecursionError:
        raise InvalidRequest(f"{name} is nested too deeply.", param=name) from None


def with_members(body: bytes, fields: Mapping[str, Raw], changes: Mapping[str, bytes | None]) -> bytes:
    """The same body with other values for some members, None: without it. `fields`: what `members_of` gave of it; a
    name that is not among them is added at the end. Where a member is left out, the white space between members is."""
    spans = _spans(body, fields)
    if spans is None:
        return _written_again(fields, changes)
    added = b",".join(
        [
            b"%b:%b" % (msgspec.json.encode(name), value)
            for name, value in changes.items()
            if name not in fields and value is not None
        ]
    )
    if any(value is None and name in fields for name, value in changes.items()):
        kept = []
        for name, begin, value_at, end in spans:
            value = changes.get(name, b"")
            if value is not None:
                kept.append(body[begin:value_at] + value if value else body[begin:end])
        return b"{%b}" % b",".join([*kept, added] if added else kept)
    pieces: list[bytes] = []
    at = 0
    for name, _, value_at, end in spans:
        if name in changes:
            pieces += (body[at:value_at], changes[name] or b"")
            at = end
    if added:
        closing = body.rindex(b"}")
        pieces += (body[at:closing].rstrip(b" \t\r\n"), b"," if spans else b"", added)
        at = closing
    pieces.append(body[at:])
    return b"".join(pieces)


def value_span(body: bytes, fields: Mapping[str, Raw], name: str) -> tuple[int, int]:
    """Where the value of a member begins and ends; (-1, -1): not where it should be. `fields`: as `members_of` gave
    them."""
    at = body.find(b"{") + 1
    for one, value in fields.items():
        _, value_at = _member_at(body, one, at)
        end = value_at + len(value)
        if value_at < 0 or not body.startswith(value, value_at):
            break
        if one == name:
            return value_at, end
        at = _behind_space(body, end) + 1
    return -1, -1


def _spans(body: bytes, fields: Mapping[str, Raw]) -> list[tuple[str, int, int, int]] | None:
    """Of each member: where its name, its value, and what follows it begin. None: they are not where they should be."""
    spans: list[tuple[str, int, int, int]] = []
    at = body.index(b"{") + 1
    for name, value in fields.items():
        begin, value_at = _member_at(body, name, at)
        if value_at < 0 or not body.startswith(value, value_at):
            return None
        end = value_at + len(value)
        spans.append((name, begin, value_at, end))
        at = _behind_space(body, end) + 1
    return spans


def _member_at(body: bytes, name: str, at: int) -> tuple[int, int]:
    """Where the name of the member that begins there stands, and where its value; (-1, -1): there is none."""
    begin = _behind_space(body, at)
    key = b'"%b"' % name.encode()
    if body.startswith(key, begin):
        colon = _behind_space(body, begin + len(key))
        if body[colon : colon + 1] == b":":
            return begin, _behind_space(body, colon + 1)
    found = _KEY.match(body, at)  # its name has escapes
    return (-1, -1) if found is None else (found.start(1), found.end())


def _behind_space(body: bytes, at: int) -> int:
    end = len(body)
    while at < end and body[at] in _SPACES:
        at += 1
    return at


def _written_again(fields: Mapping[str, Raw], changes: Mapping[str, bytes | None]) -> bytes:
    """Compact: for a body whose members are not where they should be."""
    values: dict[str, Raw] = dict(fields)
    for name, value in changes.items():
        if value is None:
            values.pop(name, None)
        else:
            values[name] = Raw(value)
    return msgspec.json.encode(values)
