"""The code blocks of a documentation page with their marks, and the rules by which a test runs them.

A mark is a comment on a line of its own before a block: `<!-- not run: reason -->`. See docs/internals/documentation.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
MARKS = ("not run", "file", "append", "background", "output", "fails", "requires")
SETUPS = ("gateway", "engine")
RUNNABLE = ("sh", "python", "toml", "json")

_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)
_MARKDOWN = MarkdownIt("commonmark")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. `line`: of its fence, from 1. `marks`: name to value, "" for a mark without one."""

    language: str
    text: str
    line: int
    marks: dict[str, str]

    @property
    def is_run(self) -> bool:
        return self.language in RUNNABLE and "not run" not in self.marks


@dataclass(frozen=True, slots=True)
class Document:
    path: Path
    setup: str | None
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))


def pages() -> list[Path]:
    """Every page that a user reads: README.md and docs/ without the decisions, which quote code that was rejected."""
    decisions = ROOT / "docs" / "decisions"
    return [
        ROOT / "README.md",
        *(page for page in sorted((ROOT / "docs").rglob("*.md")) if decisions not in page.parents),
    ]


def read(path: Path) -> Document:
    """Raises ValueError for a mark that does not exist, or that no block follows."""
    setup: str | None = None
    blocks: list[Block] = []
    marks: dict[str, str] = {}
    for token in _MARKDOWN.parse(path.read_text("utf-8")):
        line = (token.map or [0])[0] + 1
        if token.type == "html_block":
            for comment in _COMMENT.findall(token.content):
                name, _, value = comment.partition(":")
                if name == "setup":
                    setup = value.strip()
                    if setup not in SETUPS:
                        raise ValueError(f"{path}:{line}: there is no setup {setup!r}, only {', '.join(SETUPS)}")
                elif name in MARKS:
                    marks[name] = value.strip()
        elif token.type == "fence":
            if marks.get("not run") == "":
                raise ValueError(f"{path}:{line}: 'not run' needs a reason")
            blocks.append(Block(token.info.strip().partition(" ")[0], token.content, line, marks))
            marks = {}
        elif marks and token.level == 0:
            raise ValueError(f"{path}:{line}: no code block follows the mark {next(iter(marks))!r}")
    if marks:
        raise ValueError(f"{path}: no code block follows the mark {next(iter(marks))!r}")
    return Document(path, setup, tuple(blocks))


def matches(expected: str, output: str) -> bool:
    """Whether what `expected` has occurs in `output` in that order. `...` stands for anything, digits for digits, and blanks for
    any number of them."""
    at = 0
    for line in expected.splitlines():
        if line.strip(" .…"):
            found = _pattern(line).search(output, at)
            if found is None:
                return False
            at = found.end()
    return True


def _pattern(line: str) -> re.Pattern[str]:
    parts = []
    for part in re.split(r"\.\.\.|…", line.strip()):
        words = (re.sub(r"\d+", r"\\d+", re.escape(word)) for word in part.split())
        parts.append(r"\s*".join(words))
    return re.compile(".*?".join(parts))
