"""Finds phrases that read as translated, and terms that were replaced, in documentation, pages, help and comments.

Usage: prose.py [ROOT]. Prints file, line, the phrase and a better one; the exit status is 1 when there is any. Called
by script/check. Code is not checked: of Python files only comments, docstrings and other strings.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
# The phrase (a regular expression, in any case) and what to write instead.
PHRASES: tuple[tuple[str, str], ...] = (
    # Sentences that were replaced, and their kind.
    (r"begins? again in \d", "restarting in"),
    (r"nobody (?:who|here) (?:serves|has)\b", "no healthy deployment; no ... found"),
    (r"made good\b|makes? good (?:on|for)\b", "retried elsewhere"),
    (r"is taken for\b", "is assumed to be"),
    (r"\bwork(?:s|ed)? out (?:again|sums)\b|\bworked out at\b", "recompute, compute"),
    (r"\bh(?:ang|ung)s?(?:ing)? up\b", "disconnect"),
    (r"\bkeeps a bill\b", "issues a receipt"),
    (r"\bwork it out\b", "calculate"),
    # Words of another language in English letters.
    (r"\bwhoever\b(?! comes)", "the noun: the caller, the reader, the process"),
    (r"\bgo(?:es)? on from\b|\bgo(?:es)? on (?:elsewhere|behind)\b|\bcalls go on\b", "continue"),
    (r"\bcomes? along\b|\bcame along\b", "bundled, sent"),
    (r"\bat hand\b", "available, in memory"),
    (r"\ball the same\b", "anyway, still"),
    (r"\bfor nothing\b(?= costs|;|, )", "free of charge"),
    (r"\bmend(?:s|ed)?\b", "fix, correct"),
    (r"\banew\b", "again"),
    (r"\blies? about\b", "stay"),
    (r"\blet go of\b", "released"),
    (r"\ba slip\b", "a typo, a mistake"),
    (r"\bth(?:ink|inks|ought|inking) up\b", "invent"),
    (r"\bma(?:kes?|de|king) up for\b(?! with)", "emulate, compensate for"),
    (r"\bfor who\b", "for those who, for callers who"),
    (r"\bis answered to who\b|\bto who asks\b|\bwho asks for the same host\b", "to callers who"),
    (r"\bdearest\b", "most expensive"),
    (r"\blikeliest\b", "most likely"),
    (r"\baloud\b", "with an error"),
    (r"\bin the words of\b", "in the format of"),
    (r"\bshorthand for what\b", "name the thing"),
    # Things that speak.
    (r"\b(?:page|header|log|file|table|receipt|answer)s? tells?\b", "shows, contains, lists"),
    (r"\bis told by\b|\bare told by\b|\btold of by\b", "is reported by"),
)
# Where a word is meant: the list itself, and what quotes it.
EXCEPT = ("tools/prose.py", "tests/", "docs/decisions/", "src/fairlead/catalogue/models/")
MARKDOWN = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/**/*.md", "bench/*.md")
SOURCES = ("src/fairlead/**/*.py", "tools/**/*.py", "bench/*.py")
PAGES = ("src/fairlead/site/templates/**/*.html", "src/fairlead/site/static/*.js")


def needles(phrase: str) -> tuple[str, ...]:
    """For each alternative a piece that it always has: looking for a piece is a hundred times faster than matching."""
    return tuple(
        max(re.findall(r"[a-z ]+", re.sub(r"\(\?.*?\)\??|\\.|.\?", "\n", one)), key=len)
        for one in re.split(r"\|(?![^(]*\))", phrase)
    )


_PHRASES = [(needles(phrase), re.compile(phrase, re.IGNORECASE), better) for phrase, better in PHRASES]


class Found(NamedTuple):
    file: Path
    line: int
    phrase: str
    better: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.phrase!r}: {self.better}"


def in_text(file: Path, text: str, first_line: int = 1) -> Iterator[Found]:
    low = text.lower()
    for pieces, pattern, better in _PHRASES:
        if any(piece in low for piece in pieces):
            for found in pattern.finditer(text):
                yield Found(file, first_line + text.count("\n", 0, found.start()), found[0], better)


def in_python(file: Path, text: str) -> Iterator[Found]:
    """In comments and strings."""
    if not any(in_text(file, text)):  # most files: the slow reading is for the others
        return
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds:
            yield from in_text(file, token.string, token.start[0])


def check(root: Path = ROOT) -> list[Found]:
    found: list[Found] = []
    for patterns, reader in ((MARKDOWN, in_text), (SOURCES, in_python), (PAGES, in_text)):
        for file in sorted({file for pattern in patterns for file in root.glob(pattern)}):
            name = file.relative_to(root)
            if not str(name).startswith(EXCEPT):
                found += reader(name, file.read_text("utf-8"))
    return sorted(found)


def main() -> int:
    found = check(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    for one in found:
        print(one)
    if found:
        print(f"{len(found)} phrases to reword; the list is tools/prose.py.", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
