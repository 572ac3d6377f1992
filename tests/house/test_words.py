"""Names and sentences that were replaced by the field's terms stay away."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "fairlead"
# What each is called now.
NAMES = {
    "let_go": "clear_traceback",
    "let_go_of_code": "release_file_pages",
    "give_back_at_rest": "trim_heap_when_idle",
    "Standing": "DeploymentHealth",
    "standing": "Health.of, and `target` for what it returns",
    "standings": "Health.by_deployment",
    "account_standing": "account_balance",
    "Calling": "CallState",
    "Gathering": "BufferSink",
    "Relaying": "StreamSink",
    "Said": "RequestIdentity, Citations",
    "Keeper": "HealthStore, TelemetryWriter",
    "Board": "PerformanceCache",
    "Desk": "PageContext",
    "desk": "PageContext",
    "Press": "PageCache",
    "press": "PageCache",
    "Print": "CachedPage",
    "Prints": "CachedPages",
    "Chores": "BackgroundTasks",
    "chores": "BackgroundTasks",
    "Team": "Supervisor",
    "Member": "ChildProcess",
    "_company": "start_hedge",
    "Once": "FastParse",
    "Frame": "RequestTemplate",
    "goes_on": "supports_prefill",
    "hurry": "set_deadline",
    "on_gone": "on_disconnect",
    "_hung_up": "_on_disconnect",
    "Beginnings": "RecordPrefixCache",
    "Moved": "PostingFields",
    "make_up": "emulate",
    "MadeUp": "EmulatedAnswer",
}
# Where a name is the field's own: Amazon's event streams are made of frames.
MEANT = {("providers/bedrock/event_stream.py", "Frame"), ("providers/bedrock/reader.py", "Frame")}
SENTENCES = (
    "begins again in",
    "Nobody who serves",
    "Nobody here has",
    "made good among them",
    "is taken for fast",
    "can be worked out again",
    "Work it out",
    "hangs up",
    "hung up",
)


def names_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield node.asname or node.name


def test_no_name_is_one_that_was_replaced() -> None:
    found = {
        f"{file.relative_to(SOURCE)}: {name} is now {NAMES[name]}"
        for file in SOURCE.rglob("*.py")
        if any(name in (text := file.read_text("utf-8")) for name in NAMES)
        for name in names_in(ast.parse(text))
        if name in NAMES and (str(file.relative_to(SOURCE)), name) not in MEANT
    }
    assert sorted(found) == []


@pytest.mark.parametrize("folder", ["src/fairlead", "docs"])
def test_no_sentence_is_one_that_was_replaced(folder: str) -> None:
    pattern = re.compile("|".join(SENTENCES))
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in sorted((ROOT / folder).rglob("*"))
        if file.suffix in (".py", ".md", ".html", ".js", ".sql")
        for line in file.read_text("utf-8").splitlines()
        if pattern.search(line)
    ]
    assert found == []


def test_an_old_name_would_be_found() -> None:
    tree = ast.parse("import a as Desk\nclass Press: ...\ndef f(chores): return self.desk + Frame\n")
    assert {name for name in names_in(tree) if name in NAMES} == {"Desk", "Press", "chores", "desk", "Frame"}
