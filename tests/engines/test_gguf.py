"""Any file may be given as a model: it is either understood or refused in a sentence, at no great cost."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.engines.gguf import GgufError, GgufInfo, read_gguf
from fairlead.engines.memory import available_memory, estimate_memory
from fairlead.engines.processors import available_processors
from fairlead.engines.spec import DEMO_GGUF, MISTRAL_SMALL_TEMPLATE, demo_spec, is_mistral_small, spec_for, specs_for
from fairlead.errors import ConfigurationError

MMPROJ = Path(__file__).parents[1] / "fixtures" / "demo-mmproj.gguf"
DEMO = DEMO_GGUF.read_bytes()
METADATA_END = 63_000


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def file_of(*fields: tuple[str, int, bytes], tensors: int = 0, rest: bytes = b"") -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, tensors, len(fields))
    return head + b"".join(string(key) + struct.pack("<I", kind) + value for key, kind, value in fields) + rest


def array(kind: int, count: int, items: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + items


def read(tmp_path: Path, data: bytes) -> GgufInfo:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    return read_gguf(path)


def test_the_demonstration_model_is_understood() -> None:
    info = read_gguf(DEMO_GGUF)
    assert (info.architecture, info.vocab_size, info.name) == ("llama", 2048, "fairlead-demo")
    assert info.context_length >= 1024
    assert info.head_count > 0
    assert "[AVAILABLE_TOOLS]" in info.chat_template
    assert info.kv_bytes_per_token() == 2 * 2 * info.block_count * 3 * 32
    assert not info.is_projector


def test_the_vision_part_is_known_for_what_it_is() -> None:
    assert read_gguf(MMPROJ).is_projector


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        b"GGML" + bytes(100),
        b"<!doctype html>" + bytes(100),
        b"GGUF" + struct.pack("<IQQ", 1, 0, 0) + bytes(100),
        b"GGUF" + struct.pack(">IQQ", 3, 0, 0) + bytes(100),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63) + bytes(100),
        b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0) + bytes(100),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62) + bytes(100),
        file_of(("a", 8, struct.pack("<Q", 2**40))),
        file_of(("a", 9, array(8, 2**60))),
        file_of(("a", 9, array(8, 4, string("x")))),
        file_of(("a", 9, array(4, 2**62))),
        file_of(("a", 9, array(4, 2**61 + 1, bytes(8)))),
        file_of(("a", 9, array(9, 1, array(9, 1, array(9, 1))))),
        file_of(("a", 99, bytes(8))),
        file_of(("general.alignment", 4, struct.pack("<I", 33))),
        file_of(tensors=1, rest=string("t") + struct.pack("<I", 2**31) + bytes(64)),
        file_of(tensors=1, rest=string("t") + struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0)),
        DEMO[:1000],
        DEMO[:METADATA_END],
        DEMO[:-1],
        DEMO[: len(DEMO) // 2],
    ],
    ids=lambda data: f"{len(data)}-{data[:40]!r}",
)
def test_what_is_no_whole_gguf_file_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(GgufError):
        read(tmp_path, data)


def test_a_file_of_large_unused_texts_takes_little_memory(tmp_path: Path) -> None:
    text = string(b"x" * 1_000_000)
    data = file_of(*((f"key.{at}", 8, text) for at in range(60)))
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    del data
    tracemalloc.start()
    try:
        read_gguf(path)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_a_directory_a_pipe_and_a_missing_file_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    for path, words in ((pipe, "not a regular file"), (tmp_path, "not a regular file"), (tmp_path / "no", "not exist")):
        with pytest.raises(ConfigurationError, match=words):
            spec_for(path)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, METADATA_END - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_a_damaged_file_is_understood_or_refused_but_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(DEMO)
    for at, byte in changes:
        data[at] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(data)
    try:
        assert read_gguf(path).size == len(data)
    except GgufError:
        assert path.stat().st_size == len(data)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**64 - 1), st.binary(max_size=300))
def test_random_bytes_behind_the_magic_are_refused_or_read_within_bounds(
    tmp_path_factory: pytest.TempPathFactory, keys: int, tensors: int, rest: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "random.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, tensors, keys) + rest)
    try:
        assert read_gguf(path).size == 24 + len(rest)
    except GgufError:
        assert keys or tensors


def test_a_checked_model_gets_a_context_that_it_has_and_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "Tiny-Model.Q8_0.gguf"
    path.write_bytes(DEMO)
    spec = spec_for(path)
    assert spec.model_id == "tiny-model.q8_0"
    assert spec.context_tokens == 2048
    assert spec.threads >= 1
    assert not spec.images
    named = spec_for(path, MMPROJ, "my/model", 512, 2)
    assert (named.model_id, named.context_tokens, named.slots, named.images) == ("my/model", 512, 2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((MMPROJ,), "--mmproj"),
        ((DEMO_GGUF, DEMO_GGUF), "not the vision part"),
        ((DEMO_GGUF, Path("/nowhere.gguf")), "does not exist"),
        ((DEMO_GGUF, None, None, 4096), "from 256 to 2048"),
        ((DEMO_GGUF, None, None, 10), "from 256 to 2048"),
        ((DEMO_GGUF, None, None, None, 0), "from 1 to 64"),
        ((DEMO_GGUF, None, None, None, 65), "from 1 to 64"),
    ],
)
def test_a_wrong_wish_is_refused_in_a_sentence(arguments: tuple[Path], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        spec_for(*arguments)
    assert caught.value.message.endswith(".") or "--mmproj" in caught.value.message


def test_a_model_that_does_not_fit_is_refused_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.engines.spec.available_memory", lambda: 50_000_000)
    monkeypatch.setattr("fairlead.engines.spec._has_accelerator", lambda: False)
    with pytest.raises(ConfigurationError, match=r"needs about 0\.1 GB .* only 0\.1 GB is free"):
        spec_for(DEMO_GGUF)


def test_the_estimate_for_mistral_small_matches_what_is_known_of_it() -> None:
    info = GgufInfo(
        size=14_300_000_000, architecture="llama", kind="model", name="Mistral-Small-3.2", context_length=131_072,
        block_count=40, embedding_length=5120, head_count=32, kv_width=40 * 8 * 256, vocab_size=131_072,
        chat_template="", parts=1,
    )  # fmt: skip
    assert info.kv_bytes_per_token() == 160 * 1024
    needed = estimate_memory(info, weight_bytes=info.size, context_tokens=32_768, slots=1)
    assert 19.6e9 < needed < 20.5e9


@pytest.mark.parametrize(
    ("name", "template", "vocabulary", "expected"),
    [
        ("Mistral-Small-3.2-24B-Instruct-2506", "", 131_072, True),
        ("Mistral Small 3.2 24B", "[AVAILABLE_TOOLS]", 131_072, True),
        ("tuned", "[AVAILABLE_TOOLS] [SYSTEM_PROMPT] [ARGS]", 131_072, True),
        ("Magistral", "[AVAILABLE_TOOLS] [SYSTEM_PROMPT] [ARGS] [THINK]", 131_072, False),
        ("Mistral-Nemo", "[AVAILABLE_TOOLS]", 131_072, False),
        ("Mistral-Small-3.1", "[AVAILABLE_TOOLS] [SYSTEM_PROMPT]", 131_072, False),
        ("Mistral-Small-3.2", "", 32_000, False),
    ],
)
def test_our_template_is_taken_for_mistral_small_3_2_and_its_tunes_only(
    name: str, template: str, vocabulary: int, expected: bool
) -> None:
    info = GgufInfo(1, "llama", "", name, 0, 40, 5120, 32, 1, vocabulary, template, 1)
    assert is_mistral_small(Path("file.gguf"), info) is expected
    assert MISTRAL_SMALL_TEMPLATE.is_file()


def test_a_split_model_wants_its_first_file_and_all_the_others(tmp_path: Path) -> None:
    text = "llama.block_count"
    one = file_of(
        ("general.architecture", 8, string("llama")),
        (text, 4, struct.pack("<I", 2)),
        ("llama.embedding_length", 4, struct.pack("<I", 64)),
        ("split.count", 2, struct.pack("<H", 2)),
        rest=bytes(64),
    )
    first, second = tmp_path / "m-00001-of-00002.gguf", tmp_path / "m-00002-of-00002.gguf"
    first.write_bytes(one)
    with pytest.raises(ConfigurationError, match=r"m-00002-of-00002\.gguf does not exist"):
        spec_for(first)
    second.write_bytes(one)
    assert spec_for(first).model_id == "m"
    with pytest.raises(ConfigurationError, match="Give the first"):
        spec_for(second)


def test_the_container_s_limits_count_when_they_are_lower_than_the_machine_s(tmp_path: Path) -> None:
    meminfo, own = tmp_path / "meminfo", tmp_path / "own"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:    1000 kB\n")
    own.write_text("0::/a/b\n")
    folder = tmp_path / "cgroup" / "a"
    (folder / "b").mkdir(parents=True)
    assert available_memory(meminfo, own, tmp_path / "cgroup") == 1_024_000
    (folder / "memory.max").write_text("500000\n")
    (folder / "memory.current").write_text("300000\n")
    (folder / "memory.stat").write_text("anon 1\ninactive_file 50000\n")
    (folder / "b" / "memory.max").write_text("max\n")
    (folder / "b" / "memory.current").write_text("1\n")
    assert available_memory(meminfo, own, tmp_path / "cgroup") == 250_000
    assert available_memory(tmp_path / "none", tmp_path / "none", tmp_path) is None
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert available_processors(tmp_path / "cpu.max") == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert available_processors(tmp_path / "cpu.max") == len(os.sched_getaffinity(0))


def test_there_is_no_demonstration_without_its_file_or_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = demo_spec()
    assert spec is not None
    assert (spec.model_id, spec.context_tokens, spec.slots) == ("fairlead-demo", 1024, 4)
    monkeypatch.setattr("fairlead.engines.spec.engine_is_installed", lambda: False)
    assert demo_spec() is None
    with pytest.raises(ConfigurationError, match="not installed"):
        spec_for(DEMO_GGUF)
    monkeypatch.undo()
    monkeypatch.setattr("fairlead.engines.spec.DEMO_GGUF", Path("/nowhere"))
    assert demo_spec() is None


FIXTURES = Path(__file__).parents[1] / "fixtures"
ENCODERS = (FIXTURES / "tiny-embedding.gguf", FIXTURES / "tiny-reranker.gguf")


def test_the_mode_of_a_model_is_what_its_file_says() -> None:
    specs = specs_for([DEMO_GGUF, *ENCODERS], model_ids=["a"], slots=2)
    assert [(one.model_id, one.mode, one.pooling) for one in specs] == [
        ("a", "chat", -1), ("tiny-embedding", "embedding", 1), ("tiny-reranker", "rerank", 4),
    ]  # fmt: skip
    other = spec_for(ENCODERS[1], mode="embedding")
    assert (other.mode, other.pooling) == ("embedding", 1)
    assert spec_for(ENCODERS[0], mode="rerank").pooling == 4


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"paths": [DEMO_GGUF, DEMO_GGUF]}, "Two files have the id"),
        ({"paths": [DEMO_GGUF], "model_ids": ["a", "b"]}, "--as is given 2 times for 1 files"),
        ({"paths": [DEMO_GGUF], "modes": ["chat", "chat"]}, "--mode is given 2 times"),
        ({"paths": [*ENCODERS], "mmproj": MMPROJ}, "--mmproj is the vision part of a chat model"),
    ],
)
def test_several_files_that_do_not_fit_together_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        specs_for(**given)


def test_the_vision_part_and_the_context_are_the_chat_models() -> None:
    encoder, chat = specs_for([ENCODERS[0], DEMO_GGUF], mmproj=MMPROJ, context=512)
    assert (chat.images, chat.context_tokens) == (True, 512)
    assert (encoder.images, encoder.context_tokens) == (False, 256)
