"""Packs tokenizer vocabularies for `fairlead.tokens`.

    python tools/tokenizers/pack.py tekken TEKKEN.json src/fairlead/tokens/tekken.xz
    python tools/tokenizers/pack.py o200k_base O200K.tiktoken src/fairlead/tokens/o200k_base.xz

TEKKEN.json is `mistral_common/data/tekken_240911.json` of the mistral-common wheel (Apache-2.0). The .tiktoken
files are OpenAI's (MIT); tiktoken itself checks their SHA-256 here. What counting needs are the ranked byte strings and
the pattern. Format, before LZMA: the pattern's length (4 bytes, little-endian) and its bytes, then for every rank one
byte of length and the bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
import struct
import sys
from pathlib import Path

SPECIAL_TOKENS = 1000


def tekken(path: Path) -> tuple[str, list[bytes]]:
    source = json.loads(path.read_text("utf-8"))
    config = source["config"]
    entries = source["vocab"][: config["default_vocab_size"] - SPECIAL_TOKENS]
    if any(entry["rank"] != at for at, entry in enumerate(entries)):
        raise SystemExit("the ranks have gaps")
    return config["pattern"], [base64.b64decode(entry["token_bytes"]) for entry in entries]


def openai(name: str, path: Path) -> tuple[str, list[bytes]]:
    from tiktoken_ext import openai_public

    def load(_url: str, expected_hash: str) -> dict[bytes, int]:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != expected_hash:
            raise SystemExit(f"{path} is not OpenAI's file")
        return {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, data.splitlines())}

    openai_public.load_tiktoken_bpe = load
    made = openai_public.ENCODING_CONSTRUCTORS[name]()
    ranks = made["mergeable_ranks"]
    tokens = sorted(ranks, key=ranks.get)
    if [ranks[token] for token in tokens] != list(range(len(tokens))):
        raise SystemExit("the ranks have gaps")
    return made["pat_str"], tokens


def main() -> None:
    name, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    pattern, tokens = tekken(source) if name == "tekken" else openai(name, source)
    packed = bytearray(struct.pack("<I", len(pattern.encode())) + pattern.encode())
    for token in tokens:
        if not 0 < len(token) < 256:
            raise SystemExit("a token is longer than one byte can say")
        packed.append(len(token))
        packed += token
    data = lzma.compress(bytes(packed), preset=9 | lzma.PRESET_EXTREME)
    target.write_bytes(data)
    print(f"{name}: {len(tokens)} ranks, {len(packed)} bytes, packed {len(data)}")


if __name__ == "__main__":
    main()
