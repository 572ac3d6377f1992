"""What an engine is to run, checked before a process is started for it."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairlead.engines.gguf import GgufError, GgufInfo, read_gguf
from fairlead.engines.memory import available_memory, estimate_memory
from fairlead.engines.processors import available_processors
from fairlead.errors import ConfigurationError
from fairlead.settings import MODEL_ID

# The engine, and the one version of it that is supported: the extra `engine` of pyproject.toml.
ENGINE_PACKAGE = "xllamacpp==2026.10.11549"
DEMO_DIRECTORY = Path(__file__).parent / "demo"
DEMO_GGUF = DEMO_DIRECTORY / "fairlead-demo.gguf"
DEMO_MODEL_ID = "fairlead-demo"
DEMO_CONTEXT_TOKENS = 1024
DEMO_SLOTS = 4
# One thread writes 4,500 tokens per second; a second one only takes a core from the gateway.
DEMO_THREADS = 1
MISTRAL_SMALL_TEMPLATE = DEMO_DIRECTORY / "mistral-small-3.2.jinja"

DEFAULT_SLOTS = 4
MOST_SLOTS = 64
MOST_THREADS = 16
# Tried from the largest on, when no context is asked for: the first that the model has and the memory holds.
CONTEXTS = (32_768, 16_384, 8_192, 4_096, 2_048, 1_024)
LEAST_CONTEXT_TOKENS = 256
# Of an input that is not answered but seen as a whole, in one batch: its memory grows with the batch.
MOST_TOGETHER = 8_192

# What a model is for, and llama.cpp's numbers of how it makes one vector of all tokens.
MODES = ("chat", "embedding", "rerank")
UNPOOLED, MEAN, RANK = -1, 1, 4
# Of these architectures llama.cpp has only encoders.
ENCODERS = frozenset({
    "bert", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert", "nomic-bert",
    "nomic-bert-moe", "t5encoder",
})  # fmt: skip

_MISTRAL_VOCABULARY = 131_072
_MISTRAL_NAME = re.compile(r"mistral[-_ .]?small[-_ .]?3[._]2", re.IGNORECASE)
_PART = re.compile(r"-(\d{5})-of-(\d{5})$")


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One model in one engine. `context_tokens` is what each of the `slots` (requests at once) has for itself."""

    model_id: str
    gguf: Path
    mmproj: Path | None
    context_tokens: int
    slots: int
    threads: int
    chat_template: Path | None
    images: bool
    mode: str = "chat"
    pooling: int = UNPOOLED


def demo_spec() -> EngineSpec | None:
    """The demonstration model of this package; None when its file or the engine's package is not installed."""
    if not DEMO_GGUF.is_file() or not engine_is_installed():
        return None
    return EngineSpec(
        model_id=DEMO_MODEL_ID,
        gguf=DEMO_GGUF,
        mmproj=None,
        context_tokens=DEMO_CONTEXT_TOKENS,
        slots=DEMO_SLOTS,
        threads=DEMO_THREADS,
        chat_template=None,
        images=False,
    )


def engine_is_installed() -> bool:
    """Whether the engine's package is there. It is looked for, not imported: that costs 34 MB."""
    return importlib.util.find_spec("xllamacpp") is not None


def install_engine() -> str:
    """The command that installs it beside this Fairlead, in a clone as well as from a wheel."""
    return f"{sys.executable} -m pip install {ENGINE_PACKAGE}"


def spec_for(
    path: Path,
    mmproj: Path | None = None,
    model_id: str | None = None,
    context: int | None = None,
    slots: int | None = None,
    mode: str | None = None,
    *,
    measure: bool = True,
) -> EngineSpec:
    """Checks the files and the memory for the model at `path`; `measure`: the memory, too.

    `context` is in tokens per slot; without it the largest of `CONTEXTS` that fits. `mode`: what it is for, where the
    file does not say so. Raises ConfigurationError with what is wrong and what helps.
    """
    if not engine_is_installed():
        raise ConfigurationError(
            f"The engine, which GGUF files require, is not installed. Install it with: {install_engine()}"
        )
    info = _read(path, "model")
    if info.is_projector:
        raise ConfigurationError(
            f"{path} is the vision part of a model and cannot answer by itself. "
            f"Give the model's own file, and this one with --mmproj {path}."
        )
    if not info.architecture or not info.block_count or not info.embedding_length:
        raise ConfigurationError(f"{path} does not describe a language model: its architecture or its size is missing.")
    if mmproj is not None and not _read(mmproj, "vision part").is_projector:
        raise ConfigurationError(f"{mmproj} is not the vision part of a model. --mmproj takes an mmproj file.")
    mode = mode or mode_of(info)
    slots = DEFAULT_SLOTS if slots is None else slots
    if not 1 <= slots <= MOST_SLOTS:
        raise ConfigurationError(f"--slots must be from 1 to {MOST_SLOTS}, not {slots}.")
    weight_bytes = sum(part.stat().st_size for part in _parts(path, info))
    if mmproj is not None:
        weight_bytes += mmproj.stat().st_size
    if model_id is None:
        model_id = id_of_file(path)
    elif not re.fullmatch(MODEL_ID, model_id):
        raise ConfigurationError(
            f"{model_id[:200]!r} cannot be the id of a model: up to 128 letters, digits and . _ : / -, "
            "a letter or a digit first."
        )
    return EngineSpec(
        model_id=model_id,
        gguf=path.absolute(),
        mmproj=None if mmproj is None else mmproj.absolute(),
        context_tokens=_context(
            path, info, weight_bytes, slots, context, MOST_TOGETHER if mode != "chat" else None, measure
        ),
        slots=slots,
        threads=min(MOST_THREADS, available_processors()),
        chat_template=MISTRAL_SMALL_TEMPLATE if is_mistral_small(path, info) else None,
        images=mmproj is not None,
        mode=mode,
        pooling=_pooling(info, mode),
    )


def id_of_file(path: Path) -> str:
    """The id of its model where none is given. A file may have any name; an id stands in addresses."""
    return re.sub(r"[^a-z0-9._\-]+", "-", _PART.sub("", path.stem).lower()).strip("-._")[:128] or "model"


def specs_for(
    paths: Sequence[Path],
    mmproj: Path | None = None,
    model_ids: Sequence[str] = (),
    context: int | None = None,
    slots: int | None = None,
    modes: Sequence[str] = (),
) -> list[EngineSpec]:
    """Several models, each for an engine of its own. `model_ids` and `modes` are in the order of the files; `mmproj`
    and `context` are the chat model's. Raises ConfigurationError."""
    for name, given in (("--as", model_ids), ("--mode", modes)):
        if len(given) > len(paths):
            raise ConfigurationError(f"{name} is given {len(given)} times for {len(paths)} files.")
    made: list[EngineSpec] = []
    for at, path in enumerate(paths):
        mode = modes[at] if at < len(modes) else mode_of(_read(path, "model"))
        talks = mode == "chat"
        spec = spec_for(
            path, mmproj if talks else None, model_ids[at] if at < len(model_ids) else None, context if talks else None,
            slots, mode,
        )  # fmt: skip
        if any(other.model_id == spec.model_id for other in made):
            raise ConfigurationError(f"Two files have the id {spec.model_id!r}: give each its own with --as.")
        made.append(spec)
    if mmproj is not None and all(spec.mmproj is None for spec in made):
        raise ConfigurationError("--mmproj is the vision part of a chat model, and none of the files is one.")
    return made


def mode_of(info: GgufInfo) -> str:
    """What a model is for, as its file says."""
    if info.pooling == RANK:
        return "rerank"
    return "embedding" if info.pooling > 0 or info.architecture in ENCODERS else "chat"


def _pooling(info: GgufInfo, mode: str) -> int:
    if mode == "chat":
        return UNPOOLED
    if mode == "rerank":
        return RANK
    return info.pooling if 0 < info.pooling < RANK else MEAN


def is_mistral_small(path: Path, info: GgufInfo) -> bool:
    """Whether the model speaks the v11 format of Mistral Small 3.2, for which files often bring an older template.

    Mistral Nemo and Small 3.1 share architecture and vocabulary but write tool calls differently, so the template
    must name all three of v11's marks, or the name must say it.
    """
    if info.vocab_size != _MISTRAL_VOCABULARY or info.architecture not in ("llama", "mistral3"):
        return False
    if _MISTRAL_NAME.search(path.name) or _MISTRAL_NAME.search(info.name):
        return True
    template = info.chat_template
    marks = all(mark in template for mark in ("[AVAILABLE_TOOLS]", "[SYSTEM_PROMPT]", "[ARGS]"))
    return marks and "[THINK]" not in template


def _read(path: Path, what: str) -> GgufInfo:
    try:
        return read_gguf(path)
    except FileNotFoundError:
        raise ConfigurationError(f"The {what} {path} does not exist.") from None
    except OSError as failure:
        raise ConfigurationError(f"The {what} {path} cannot be read: {failure.strerror}.") from None
    except GgufError as failure:
        raise ConfigurationError(f"The {what} {path} cannot be used: the file {failure}.") from None


def _parts(path: Path, info: GgufInfo) -> list[Path]:
    """All files of a model that was split into several, in order. Raises ConfigurationError when one is missing."""
    if info.parts == 1:
        return [path]
    found = _PART.search(path.stem)
    if found is None or int(found[2]) != info.parts or int(found[1]) != 1:
        raise ConfigurationError(
            f"{path} is one of {info.parts} files of a model. Give the first, whose name ends with "
            f"-00001-of-{info.parts:05d}.gguf, with the others beside it under their own names."
        )
    stem = path.stem[: found.start()]
    parts = [path.with_name(f"{stem}-{at:05d}-of-{info.parts:05d}.gguf") for at in range(1, info.parts + 1)]
    for part in parts[1:]:
        _read(part, "part")
    return parts


def _context(
    path: Path, info: GgufInfo, weight_bytes: int, slots: int, asked: int | None, limit: int | None, measure: bool
) -> int:
    most = info.context_length or CONTEXTS[0]
    most = most if limit is None else min(most, limit)
    if asked is not None:
        if not LEAST_CONTEXT_TOKENS <= asked <= most:
            raise ConfigurationError(
                f"The context must be from {LEAST_CONTEXT_TOKENS} to {most} tokens for {path.name}, not {asked}."
            )
        candidates = [asked]
    else:
        candidates = [tokens for tokens in CONTEXTS if tokens <= most] or [most]
    room = free_memory() if measure else None
    if room is None:
        return candidates[0]
    needed = 0
    for tokens in candidates:
        needed = estimate_memory(info, weight_bytes=weight_bytes, context_tokens=tokens, slots=slots)
        if needed <= room:
            return tokens
    raise ConfigurationError(
        f"{path.name} needs about {_gigabytes(needed)} of memory with {candidates[-1]} tokens of context in each of "
        f"{slots} slots, but only {_gigabytes(room)} is free. Use a smaller quantization, --context or --slots."
    )


def free_memory() -> int | None:
    """Bytes that a model may take here; None where that cannot be said: of an accelerator the machine knows nothing."""
    return None if _has_accelerator() else available_memory()


def needed_memory(spec: EngineSpec) -> int:
    """Bytes that an engine with this will hold, about. Raises ConfigurationError."""
    info = _read(spec.gguf, "model")
    weight = sum(part.stat().st_size for part in _parts(spec.gguf, info))
    weight += 0 if spec.mmproj is None else spec.mmproj.stat().st_size
    return estimate_memory(info, weight_bytes=weight, context_tokens=spec.context_tokens, slots=spec.slots)


def check_memory(spec: EngineSpec) -> None:
    """Raises ConfigurationError where an engine would not fit into the memory that is free now."""
    needed, room = needed_memory(spec), free_memory()
    if room is not None and needed > room:
        raise ConfigurationError(
            f"{spec.gguf.name} needs about {_gigabytes(needed)} of memory with {spec.context_tokens} tokens of context "
            f"in each of {spec.slots} slots, but only {_gigabytes(room)} is free."
        )


def _has_accelerator() -> bool:
    """Whether there is a GPU whose memory may take the model: then the machine's own says nothing."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
