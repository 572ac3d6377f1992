"""How much memory a model will take, and how much there is."""

from __future__ import annotations

from pathlib import Path

from fairlead.engines.gguf import GgufInfo

# llama.cpp's batch of one computation, in tokens: its buffers for activations and for the logits grow with it.
BATCH_TOKENS = 512
ACTIVATIONS_PER_EMBEDDING = 16
FLOAT_BYTES = 4
PROCESS_BYTES = 64 * 1024 * 1024

MEMINFO = Path("/proc/meminfo")
OWN_CGROUPS = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")


def estimate_memory(info: GgufInfo, *, weight_bytes: int, context_tokens: int, slots: int) -> int:
    """Bytes that the engine will hold: weights, key/value cache of all slots, buffers, the process itself.

    Right to a tenth or so for dense models; too high for those with a sliding window or a compressed cache.
    """
    cache = info.kv_bytes_per_token() * context_tokens * slots
    buffers = BATCH_TOKENS * FLOAT_BYTES * (info.vocab_size + ACTIVATIONS_PER_EMBEDDING * info.embedding_length)
    return weight_bytes + cache + buffers + PROCESS_BYTES


def available_memory(meminfo: Path = MEMINFO, own: Path = OWN_CGROUPS, cgroups: Path = CGROUPS) -> int | None:
    """Bytes that can still be taken here: the machine's or the container's, whichever is less; None if unknown."""
    known = [room for room in (_machine(meminfo), _container(own, cgroups)) if room is not None]
    return min(known, default=None)


def _machine(meminfo: Path) -> int | None:
    for line in _lines(meminfo):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _container(own: Path, cgroups: Path) -> int | None:
    rooms: list[int] = []
    for line in _lines(own):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            rooms.extend(_rooms(cgroups, path, "memory.max", "memory.current"))
        elif "memory" in controllers.split(","):
            rooms.extend(_rooms(cgroups / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes"))
    return min(rooms, default=None)


def _rooms(root: Path, path: str, limit_name: str, used_name: str) -> list[int]:
    """The room in the cgroup `path` and in every one above it: each sets its own limit."""
    rooms = []
    place = root / path.strip("/")
    for folder in (place, *place.parents):
        limit, used = _read_number(folder / limit_name), _read_number(folder / used_name)
        if limit is not None and used is not None:
            rooms.append(max(0, limit - used + _cache(folder)))
        if folder == root:
            break
    return rooms


def _cache(folder: Path) -> int:
    """Bytes of the page cache that the kernel gives back first."""
    for line in _lines(folder / "memory.stat"):
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0


def _read_number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
