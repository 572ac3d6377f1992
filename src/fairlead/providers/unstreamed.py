"""What adapters of operations have in common whose answers come in one piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn

import msgspec
from msgspec import Raw

from fairlead.errors import FairleadError, NotCarried, UpstreamInvalid
from fairlead.providers.dialect import USUAL, Binding, Carried, Dialect
from fairlead.providers.failures import upstream_error
from fairlead.wire.operation_request import OperationRequest

_encode: Final = msgspec.json.encode


class WholeCall(NamedTuple):
    """A `Call` whose answer is not streamed. `request`: what it was made of, which its answer must fit."""

    body: list[bytes | memoryview]
    path: bytes
    request: Any
    dropped: tuple[str, ...] = ()
    clamped: tuple[str, ...] = ()
    headers: bytes = b""
    stream: bool = False
    bare: bool = False


class Unstreamed:
    """An `Adapter` without streams. Its subclass writes requests and reads answers."""

    stream_type: Final = b""

    def __init__(self, binding: Binding) -> None:
        self.binding = binding
        self.public_model = _encode(binding.public_model)
        self.path = binding.path

    def relay(self, call: Any) -> NoReturn:
        raise NotImplementedError("this operation does not stream")

    def assembler(self, call: Any) -> NoReturn:
        raise NotImplementedError("this operation does not stream")

    def error(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> FairleadError:
        return upstream_error(status, headers, body)


def members_for(
    request: OperationRequest, dialect: Dialect, operation: str, harmless: frozenset[str]
) -> tuple[dict[str, Raw], tuple[str, ...]]:
    """The parameters in the format of a dialect, and the names of those that it is not sent. `harmless`: names outside
    the API that are known to cost nothing more. Raises NotCarried for what is not sent in strict mode."""
    carried = dialect.carried.get(operation, USUAL)
    members: dict[str, Raw] = {}
    dropped: list[str] = []
    for name, raw in request.given.items():
        if name in carried.lacks or (name in request.unknown and not _passes(dialect, carried, name, harmless)):
            dropped.append(name[:64])
        else:
            members[carried.renames.get(name, name)] = raw
    if dropped and request.strict:
        raise NotCarried(dropped)
    return members, tuple(dropped)


def _passes(dialect: Dialect, carried: Carried, name: str, harmless: frozenset[str]) -> bool:
    if name in carried.knows:
        return True
    if not dialect.passes_unknown or name in dialect.lacks:
        return False
    return dialect.unknown is None or name in harmless or name in dialect.unknown


def body_of(upstream_model: str, members: Mapping[str, Raw], **more: Raw) -> list[bytes | memoryview]:
    """A JSON body; long values in `more` are not copied."""
    start = [b'{"model":%b' % _encode(upstream_model)]
    start += [b",%b:%b" % (_encode(name), raw) for name, raw in members.items()]
    body: list[bytes | memoryview] = [b"".join(start)]
    for name, raw in more.items():
        body += (b",%b:" % _encode(name), memoryview(raw))
    body.append(b"}")
    return body


def document(decoder: msgspec.json.Decoder[Any], body: bytes, what: str) -> Any:
    """What a provider answered. Raises UpstreamInvalid when it is not `what`."""
    try:
        if not body.isascii():
            body.decode()
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamInvalid(f"The provider's answer is not a {what}.") from None
