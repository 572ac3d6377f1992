"""Score a GGUF in the real engine on the held-out cases; exit 1 when a bar is missed.

python evaluate.py ../../src/fairlead/engines/demo/fairlead-demo.gguf [--answers] [--markdown]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import corpus
import held_out
from engine import Engine, Reply
from topics import FALLBACKS


@dataclass(frozen=True)
class Outcome:
    passed: bool
    question: str
    answer: str
    finish_reason: str = "stop"


@dataclass(frozen=True)
class Bar:
    """A named set of cases and the share of them that must pass."""

    name: str
    run: Callable[[Engine], Iterator[Outcome]]
    share: float


def contains_any(text: str, alternatives: str) -> bool:
    return any(word in text.lower() for word in alternatives.lower().split("|"))


def shown(reply: Reply) -> str:
    calls = "".join(f" [{name} {json.dumps(arguments, ensure_ascii=False)}]" for name, arguments in reply.tool_calls)
    return (reply.content + calls).strip()


def answered(cases: tuple[tuple[str, str], ...]) -> Callable[[Engine], Iterator[Outcome]]:
    def run(engine: Engine) -> Iterator[Outcome]:
        for question, wanted in cases:
            reply = engine.chat(question)
            yield Outcome(contains_any(reply.content, wanted), question, shown(reply), reply.finish_reason)

    return run


def declined(questions: tuple[str, ...]) -> Callable[[Engine], Iterator[Outcome]]:
    def run(engine: Engine) -> Iterator[Outcome]:
        for question in questions:
            reply = engine.chat(question)
            yield Outcome(reply.content in FALLBACKS, question, shown(reply), reply.finish_reason)

    return run


def called(cases: tuple[held_out.Case, ...], choice: str) -> Callable[[Engine], Iterator[Outcome]]:
    def run(engine: Engine) -> Iterator[Outcome]:
        for tools, question, name, arguments in cases:
            reply = engine.chat(question, tools=tools, tool_choice=choice)
            yield Outcome(reply.tool_calls == [(name, arguments)], question, shown(reply), reply.finish_reason)

    return run


def parallel(engine: Engine) -> Iterator[Outcome]:
    for tools, question, name, key, values in held_out.PARALLEL:
        reply = engine.chat(question, tools=tools, parallel_tool_calls=True)
        yield Outcome(
            reply.tool_calls == [(name, {key: value}) for value in values], question, shown(reply), reply.finish_reason
        )


def results(engine: Engine) -> Iterator[Outcome]:
    for tools, question, (name, arguments), result, wanted in held_out.RESULTS:
        call = {"id": "abc123XYZ", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "abc123XYZ", "content": result},
        ]
        reply = engine.chat(messages, tools=tools)
        passed = not reply.tool_calls and all(word in reply.content for word in wanted)
        yield Outcome(passed, f"{question} <- {result}", shown(reply), reply.finish_reason)


def no_tool(engine: Engine) -> Iterator[Outcome]:
    for tools, question, wanted in held_out.NO_TOOL:
        reply = engine.chat(question, tools=tools)
        yield Outcome(
            not reply.tool_calls and contains_any(reply.content, wanted), question, shown(reply), reply.finish_reason
        )


def schemas(engine: Engine) -> Iterator[Outcome]:
    for question, response_format, wanted in held_out.SCHEMAS:
        reply = engine.chat(question, response_format=response_format)
        yield Outcome(_holds(reply.content, wanted), question, reply.content, reply.finish_reason)


def _holds(content: str, wanted: dict[str, Any]) -> bool:
    try:
        fields = json.loads(content)
    except json.JSONDecodeError:
        return False
    return all(
        expected.lower() in str(fields[key]).lower() if isinstance(expected, str) else fields[key] == expected
        for key, expected in wanted.items()
    )


def prefill(engine: Engine) -> Iterator[Outcome]:
    for question, start, wanted in held_out.PREFILL:
        reply = engine.chat([{"role": "user", "content": question}, {"role": "assistant", "content": start}])
        rest = reply.content.removeprefix(start)
        yield Outcome(wanted in rest and len(rest) > 10, f"{question} -> {start}", reply.content, reply.finish_reason)


def conversation(engine: Engine) -> Iterator[Outcome]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You are a helpful assistant in a test."}]
    for question, wanted in held_out.CONVERSATION:
        messages.append({"role": "user", "content": question})
        reply = engine.chat(messages)
        messages.append({"role": "assistant", "content": reply.content})
        yield Outcome(contains_any(reply.content, wanted), question, reply.content, reply.finish_reason)


BARS: tuple[Bar, ...] = (
    Bar("answers in its domain", answered(held_out.DOMAIN), 0.9),
    Bar("polite fallback outside its domain", declined(held_out.OUT_OF_DOMAIN), 0.9),
    Bar("tool arguments, tool_choice auto", called(held_out.ARGUMENTS, "auto"), 0.9),
    Bar("tool arguments, tool_choice required", called(held_out.ARGUMENTS, "required"), 0.9),
    Bar("picks the right tool of several", called(held_out.CHOICE, "auto"), 0.9),
    Bar("tools never seen in training", called(held_out.UNSEEN_TOOLS, "auto"), 0.7),
    Bar("parallel calls", parallel, 0.0),
    Bar("uses the tool's result", results, 0.85),
    Bar("small talk with tools present", no_tool, 0.85),
    Bar("JSON schema with sensible values", schemas, 0.8),
    Bar("continues a prefilled answer", prefill, 0.75),
    Bar("a conversation of six turns", conversation, 0.8),
    Bar("second set: answers in its domain", answered(held_out.DOMAIN_FRESH), 0.9),
    Bar("second set: polite fallback", declined(held_out.OUT_OF_DOMAIN_FRESH), 0.9),
    Bar("second set: tool arguments, auto", called(held_out.ARGUMENTS_FRESH, "auto"), 0.9),
    Bar("second set: picks the right tool", called(held_out.CHOICE_FRESH, "auto"), 0.9),
)


def overlap() -> set[str]:
    """Held-out proper words that the corpus would have taught: there must be none."""
    text = " ".join(document.text for document in corpus.documents(7, 0, 4000))
    values = {
        str(value)
        for _, _, _, arguments in held_out.ARGUMENTS + held_out.CHOICE + held_out.ARGUMENTS_FRESH
        for value in arguments.values()
    }
    return {value for value in values if not value.isdigit() and f" {value} " in text}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--answers", action="store_true", help="print every answer, not only the failures")
    parser.add_argument("--markdown", action="store_true", help="print the figures as the table of the model card")
    options = parser.parse_args()
    if seen := overlap():
        print("held-out values occur in the corpus:", ", ".join(sorted(seen)))
        return 1
    missed, endless, total = 0, 0, 0
    table: list[str] = []
    with Engine(options.model) as engine:
        for bar in BARS:
            outcomes = list(bar.run(engine))
            good = sum(outcome.passed for outcome in outcomes)
            total += len(outcomes)
            endless += sum(outcome.finish_reason == "length" for outcome in outcomes)
            met = good >= bar.share * len(outcomes)
            missed += not met
            table.append(f"| {bar.name} | {good} of {len(outcomes)} |")
            print(f"{'ok  ' if met else 'MISS'} {good:3d}/{len(outcomes):<3d} {bar.name}")
            for outcome in outcomes:
                if options.answers or not outcome.passed:
                    mark = "+" if outcome.passed else "-"
                    print(f"     {mark} {outcome.question}\n         {outcome.answer!r} ({outcome.finish_reason})")
    print(f"{'ok  ' if not endless else 'MISS'} {total - endless:3d}/{total:<3d} ends by itself (400 tokens at most)")
    table.append(f"| ends by itself within 400 tokens | {total - endless} of {total} |")
    if options.markdown:
        print("\n| cases | passed |\n|---|---|\n" + "\n".join(table))
    return 1 if missed or endless else 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # the engine's threads need not be waited for
