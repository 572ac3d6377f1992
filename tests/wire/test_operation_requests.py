"""Bodies of operations other than chat that are made to cost more than their bytes: memory is bounded by them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from fairlead.errors import InvalidRequest
from fairlead.operations.completions import COMPLETIONS
from fairlead.operations.embeddings import EMBEDDINGS
from fairlead.operations.moderations import MODERATIONS
from fairlead.operations.rerank import RERANK
from fairlead.routing.demand import Operation
from fairlead.wire.completions import parse_completions
from fairlead.wire.embeddings import parse_embeddings
from fairlead.wire.moderations import parse_moderation
from fairlead.wire.operation_request import OperationRequest
from fairlead.wire.rerank import parse_rerank

BYTES = 600_000
# Of a body, in memory: a list of short texts has about 60 bytes for each, and so many are allowed.
MOST_TIMES = 16


def repeated(entry: bytes) -> bytes:
    return b"[" + b",".join([entry] * (BYTES // (len(entry) + 1))) + b"]"


ENTRIES = {
    "empty texts": b'""', "texts": b'"a"', "escaped": b'"\\\\"', "tokens": b"1", "large tokens": b"2147483647",
    "lists": b"[1]", "empty lists": b"[]", "deep lists": b"[[[1]]]", "objects": b"{}", "nulls": b"null", "floats": b"1.5",
    "parts": b'{"type":"text","text":"a"}', "nested": b'{"text":"a","x":[[],[],[],[],[]]}',
    "images": b'{"type":"image_url","image_url":{"url":"https://a.example/b"}}',
}  # fmt: skip
HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "input": lambda entries: b'{"model":"m","input":%b}' % entries,
    "prompt": lambda entries: b'{"model":"m","prompt":%b}' % entries,
    "documents": lambda entries: b'{"model":"m","query":"q","documents":%b}' % entries,
    "a document": lambda entries: b'{"model":"m","query":"q","documents":[{"text":"a","x":%b}]}' % entries,
    "ranked": lambda entries: b'{"model":"m","query":"q","rank_fields":["x"],"documents":[{"x":%b}]}' % entries,
    "unknown": lambda entries: b'{"model":"m","query":"q","input":"a","prompt":"a","documents":["a"],"x":%b}' % entries,
}
READERS: dict[str, tuple[Callable[[bytes], OperationRequest], Operation]] = {
    "embeddings": (parse_embeddings, EMBEDDINGS), "rerank": (parse_rerank, RERANK),
    "moderations": (parse_moderation, MODERATIONS), "completions": (parse_completions, COMPLETIONS),
}  # fmt: skip


@pytest.mark.parametrize("reader", list(READERS))
def test_memory_is_bounded_by_the_bytes_of_a_body(reader: str) -> None:
    read, operation = READERS[reader]
    tracemalloc.start()
    try:
        for name, entry in ENTRIES.items():
            for place, around in HOSTILE.items():
                body = around(repeated(entry))
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
                try:
                    request = read(body)
                    operation.demand(request)
                    operation.kept(request)
                    del request
                except InvalidRequest:
                    pass
                peak = tracemalloc.get_traced_memory()[1] - before
                assert peak < MOST_TIMES * len(body), (name, place)
    finally:
        tracemalloc.stop()
