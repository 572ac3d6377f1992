"""Mistral's control tokens at their real ids, and a byte-level BPE vocabulary behind them.

Merges never join a space to a word before the word itself is built, so " Paris" and "Paris" split into the
same pieces. A small model can then copy an argument from a sentence into JSON without learning two spellings.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

CONTROL_TOKENS = (
    "<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS] "
    "[TOOL_CALLS] [IMG] <pad> [IMG_BREAK] [IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] "
    "[/SYSTEM_PROMPT] [TOOL_CONTENT] "
    + " ".join(f"<SPECIAL_{number}>" for number in range(20, 32))
    + " [ARGS] [CALL_ID]"
).split()
BOS, EOS, PAD = 1, 2, 11
VOCABULARY = 2048
SPACE = "Ġ"  # how byte-level BPE writes a space
SPACED_PIECES = 820  # vocabulary entries that are a space and a piece

# Tekken's pre-tokenizer (`tokenizer.ggml.pre = tekken`): digits stand alone, one leading sign may join a word.
TEKKEN_PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CONTROL_SPLIT = re.compile("(" + "|".join(re.escape(token) for token in CONTROL_TOKENS) + ")")
_CONTROL_ID = {token: number for number, token in enumerate(CONTROL_TOKENS)}


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(TEKKEN_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Two passes: pieces without spaces first, then a space before the most frequent first pieces."""
    split = _pre_tokenizer()
    words: Counter[str] = Counter()
    spaced_words: Counter[str] = Counter()
    for text in texts:
        for part in _CONTROL_SPLIT.split(text):
            if part in _CONTROL_ID:
                continue
            for word, _ in split.pre_tokenize_str(part):
                words[word.removeprefix(SPACE) or word] += 1
                if word.startswith(SPACE) and len(word) > 1:
                    spaced_words[word.removeprefix(SPACE)] += 1
    pieces = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(CONTROL_TOKENS) - SPACED_PIECES,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # The square root keeps frequent template words from using up the vocabulary.
    pieces.train_from_iterator(
        (word for word, count in sorted(words.items()) for _ in range(1 + int(count**0.5))), trainer
    )
    vocabulary, merges = _read(pieces)
    first_pieces: Counter[str] = Counter()
    for word, count in spaced_words.items():
        first_pieces[pieces.encode(word).tokens[0]] += count
    for piece, _ in first_pieces.most_common(SPACED_PIECES):
        if SPACE + piece not in vocabulary:
            vocabulary[SPACE + piece] = len(vocabulary)
            merges.append((SPACE, piece))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _read(tokenizer: Tokenizer) -> tuple[dict[str, int], list[tuple[str, str]]]:
    model = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in model["merges"]]
    return dict(model["vocab"]), merges


def read_vocabulary(path: Path) -> tuple[list[str], list[str]]:
    """Pieces in id order (behind the control tokens) and merges as "left right" lines."""
    vocabulary, merges = _read(Tokenizer.from_file(str(path)))
    return sorted(vocabulary, key=vocabulary.__getitem__), [" ".join(merge) for merge in merges]


class Encoder:
    """Text with control tokens spelled out to model ids."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in _CONTROL_SPLIT.split(text):
            if part in _CONTROL_ID:
                ids.append(_CONTROL_ID[part])
            elif part:
                ids.extend(piece + len(CONTROL_TOKENS) for piece in self._tokenizer.encode(part).ids)
        return ids
