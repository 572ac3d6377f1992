"""Calls of providers: translated, and in the caller's own bytes."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from fairlead.wire.answer_shapes import AnswerContext


class Translation(Struct, frozen=True, gc=False):
    """A `VendorRequest`."""

    body: list[bytes | memoryview]
    stream: bool
    dropped: tuple[str, ...] = ()
    clamped: tuple[str, ...] = ()
    choices: int = 1
    prefill: str = ""
    path: bytes | None = None
    headers: bytes = b""


class TranslatedCall(Struct, frozen=True, gc=False):
    """A call in a vendor's words, and what the writer of its answer must know."""

    body: list[bytes | memoryview]
    stream: bool
    dropped: tuple[str, ...]
    clamped: tuple[str, ...]
    path: bytes | None
    headers: bytes
    prefill: str
    context: AnswerContext
    bare: bool = False


class NativeCall(Struct, frozen=True, gc=False):
    """A `Call` in the caller's own bytes. `choices`: how many answers it asks for; `echo`: what their writer needs."""

    body: list[bytes | memoryview]
    stream: bool
    dropped: tuple[str, ...]
    path: bytes
    headers: bytes
    choices: int = 1
    echo: Any = None
    clamped: tuple[str, ...] = ()
    bare: bool = True
