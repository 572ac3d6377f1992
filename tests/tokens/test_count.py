"""Tokens as the real tokenizers count them. The figures for Tekken come from mistral-common 1.13.1 (V11), those for the
others from tiktoken's own tests and documentation."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.tokens import Counted, count_chat, count_text, family_of
from fairlead.tokens.count import MOST_COUNTED_CHARACTERS, estimate

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
ASK: dict[str, Any] = {"role": "user", "content": "Weather in Paris?"}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello!", 2),
        ("Hello world, wie geht es dir?", 8),
        ("  leading and   many spaces\n\n\ttabs", 9),
        ("日本語のテキストです。", 8),
        ("emoji 😀👩\u200d👩\u200d👧 mix", 20),
        ("def f(x):\n    return x ** 2\n", 11),
        ("[INST] not control [/INST]</s>", 13),
        ("1234567890 12.5 1e-12", 21),
        ("Ünïcödé ß ñ", 9),
        ("a" * 5000, 2500),
        ("The quick brown fox jumps over the lazy dog. " * 200, 2001),
    ],
)
def test_texts_have_the_tokens_that_mistral_common_gives_them(text: str, tokens: int) -> None:
    assert count_text("tekken", text) == Counted(tokens, "counted")


@pytest.mark.parametrize(
    ("messages", "tools", "tokens"),
    [
        ([{"role": "user", "content": "Hello!"}], None, 5),
        (
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello. What now?"},
                {"role": "user", "content": "Tell me a joke about [INST]."},
            ],
            None,
            26,
        ),
        ([ASK], [TOOL], 67),
        (
            [
                ASK,
                {"role": "assistant", "content": "", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "abcdefghi", "content": "21C"},
            ],
            [TOOL],
            92,
        ),
    ],
)
def test_chats_have_the_tokens_of_the_v11_layout(messages: Any, tools: Any, tokens: int) -> None:
    given_tools = None if tools is None else json.dumps(tools).encode()
    assert count_chat("tekken", json.dumps(messages).encode(), given_tools) == Counted(tokens, "counted")


def test_openais_encodings_are_theirs() -> None:
    assert count_text("o200k_base", "hello world") == Counted(2, "counted")
    assert count_text("cl100k_base", "tiktoken is great!") == Counted(6, "counted")
    assert count_text("cl100k_base", "antidisestablishmentarianism") == Counted(6, "counted")
    # The example of OpenAI's cookbook for a chat: three for each message, three for the reply.
    assert count_chat("cl100k_base", b'[{"role":"user","content":"hello world"}]') == Counted(3 + 1 + 2 + 3, "counted")


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", "tekken"), ("ministral-8b-latest", "tekken"),
        ("mistral-large-2407", None), ("gpt-4o-mini", "o200k_base"), ("openai/gpt-5", "o200k_base"),
        ("o3-mini", "o200k_base"), ("gpt-4-turbo", "cl100k_base"), ("gpt-3.5-turbo", "cl100k_base"),
        ("claude-sonnet-4", None), ("Qwen/Qwen3-32B", None), ("fairlead-demo", "tekken"),
    ],
)  # fmt: skip
def test_the_family_is_known_by_the_name(model: str, family: str | None) -> None:
    assert family_of(model) == family


def test_what_is_not_known_is_estimated_and_says_so() -> None:
    assert count_text(None, "word " * 100) == Counted(125, "estimated")
    assert count_text(None, "") == Counted(0, "estimated")
    image = [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}]}]
    assert count_chat("tekken", json.dumps(image).encode()).provenance == "estimated"
    assert count_chat(None, b'[{"role":"user","content":"x"}]').provenance == "estimated"


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, " " * 1_000_000, "😀" * 200_000, "\n" * 500_000, "\ud800 x", "x" * 3_000_000]
)
def test_hostile_text_is_counted_in_bounded_work(text: str) -> None:
    began = time.process_time()
    assert count_text("tekken", text).tokens > 0
    assert time.process_time() - began < 60  # seconds of work for a quadratic one would be hundreds


@given(st.text(max_size=300), st.sampled_from(["tekken", "o200k_base", "cl100k_base", None]))
@settings(deadline=None, max_examples=60)
def test_a_text_never_has_more_tokens_than_bytes(text: str, family: str | None) -> None:
    assert count_text(family, text).tokens <= len(text.encode("utf-8", "surrogatepass")) + 1


def test_many_threads_load_once() -> None:
    found: list[Counted] = []
    threads = [threading.Thread(target=lambda: found.append(count_text("o200k_base", "hello"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Counted(1, "counted")] * 8


def test_a_chat_is_counted_up_to_a_bound_however_its_text_is_divided() -> None:
    """Its messages and tools together: a caller must not keep the threads that count busy with many long ones."""
    part = "word " * (MOST_COUNTED_CHARACTERS // 50)
    chat = [{"role": "user", "content": part}] * 9
    assert count_chat("o200k_base", json.dumps(chat).encode()).provenance == "counted"
    counted = count_chat("o200k_base", json.dumps(chat * 4).encode())
    assert counted.provenance == "estimated"
    assert counted.tokens == pytest.approx(9 * 4 * len(part) / 4.5, rel=0.2)
    assert estimate("aé" * 4) == 4
