"""The vocabularies that come with this package, loaded when they are first needed (a third of a second each).

Sources: mistral-common's tekken_240911.json (Apache-2.0), OpenAI's o200k_base and cl100k_base (MIT); packed by
tools/tokenizers/pack.py, which says the format.
"""

from __future__ import annotations

import lzma
import struct
import threading
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

FAMILIES = ("tekken", "o200k_base", "cl100k_base")
_lock = threading.Lock()
_loaded: dict[str, tiktoken.Encoding] = {}


def encoding(family: str) -> tiktoken.Encoding:
    """The encoding of a family. To be called in a thread: the first call of each takes long."""
    found = _loaded.get(family)
    if found is None:
        with _lock:
            found = _loaded.get(family)
            if found is None:
                found = _loaded[family] = _load(family)
    return found


def _load(family: str) -> tiktoken.Encoding:
    import tiktoken

    data = lzma.decompress((files("fairlead.tokens") / f"{family}.xz").read_bytes())
    (length,) = struct.unpack_from("<I", data)
    at = 4 + length
    ranks: dict[bytes, int] = {}
    while at < len(data):
        end = at + 1 + data[at]
        ranks[data[at + 1 : end]] = len(ranks)
        at = end
    return tiktoken.Encoding(
        f"fairlead-{family}", pat_str=data[4 : 4 + length].decode(), mergeable_ranks=ranks, special_tokens={}
    )
