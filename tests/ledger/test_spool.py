"""What is in the spool survives a kill; what is torn is left out; what does not fit stops paid calls and loses nothing."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.ledger import spool as spool_module
from fairlead.ledger.orphans import orphans
from fairlead.ledger.spool import Reader, Spool, read_segment

MOST = 1 << 30
WRITER = """
import sys
import threading
from pathlib import Path
from fairlead.ledger.spool import Spool
spool = Spool(Path(sys.argv[1]), "dead", 1 << 30)
at = 0
while True:
    spool.append(b"record %d" % at)
    print(at, flush=True)
    at += 1
"""


def refuse(path: Path, error: OSError) -> None:
    raise AssertionError(f"{path}: {error}")


def everything(reader: Reader) -> list[bytes]:
    found: list[bytes] = []
    while True:
        batch, _ = reader.next_batch(7)
        reader.advance()
        if not batch:
            return found
        found += batch


@pytest.mark.parametrize("seed", range(3))
def test_what_was_written_before_a_kill_is_there_after_it(tmp_path: Path, seed: int) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    last = -1
    for _ in range(random.Random(seed).randrange(1, 3000)):
        last = int(writer.stdout.readline())
    assert list(orphans(tmp_path, refuse)) == []  # it lives: its lock holds
    writer.send_signal(signal.SIGKILL)
    rest = writer.stdout.read().split()
    writer.stdout.close()
    writer.wait()
    last = int(rest[-1]) if rest else last
    (orphan,) = orphans(tmp_path, refuse)
    found = everything(orphan.reader)
    assert found[: last + 1] == [b"record %d" % at for at in range(last + 1)]
    assert len(found) <= last + 2
    orphan.remove()
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=30), st.data())
@settings(max_examples=60, deadline=None)
def test_a_torn_or_damaged_tail_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("spool")
    spool = Spool(root, "a", MOST)
    spool_file = root / "a" / "00000000.spool"
    ends = [0]
    for record in records:
        spool.append(record)
        ends.append(spool.waiting)
    file = root / "copy"
    file.write_bytes(spool_file.read_bytes())
    whole = file.read_bytes()[: spool.waiting]
    cut = data.draw(st.integers(0, len(whole)))
    file.write_bytes(whole[:cut])
    assert list(read_segment(file)) == records[: sum(end <= cut for end in ends) - 1]
    if whole:
        at = data.draw(st.integers(0, len(whole) - 1))
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        assert list(read_segment(file)) == records[: sum(end <= at for end in ends) - 1]
    spool.close(empty=True)


def test_segments_follow_each_other_and_go_when_they_are_drained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 100)
    spool = Spool(tmp_path, "a", MOST)
    reader = spool.reader()
    records = [b"%03d" % at * 4 for at in range(100)]
    for record in records[:60]:
        spool.append(record)
    found = everything(reader)
    for record in records[60:]:
        spool.append(record)
    found += everything(reader)
    assert found == records
    assert len(list((tmp_path / "a").glob("*.spool"))) == 1
    spool.close(empty=True)
    assert not (tmp_path / "a").exists()


def test_nobody_takes_a_spool_that_is_being_made_for_a_dead_ones(tmp_path: Path) -> None:
    ended = threading.Event()

    def adopt() -> None:
        while not ended.is_set():
            for orphan in orphans(tmp_path, refuse):
                orphan.remove()

    adopters = [threading.Thread(target=adopt) for _ in range(2)]
    for one in adopters:
        one.start()
    try:
        for number in range(100):
            spool = Spool(tmp_path, f"{number:03d}", MOST)
            spool.append(b"a")
            assert (tmp_path / f"{number:03d}" / "00000000.spool").exists()
            spool.close(empty=True)
    finally:
        ended.set()
        for one in adopters:
            one.join()


def test_a_full_disk_keeps_the_record_and_stops_paid_calls_until_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 64)
    spool = Spool(tmp_path, "a", MOST)
    spool.append(b"first")
    real = os.posix_fallocate

    def none(_file: int, _at: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", none)
    for record in (b"second" * 9, b"third" * 9):
        spool.append(record)
        assert spool.full
        assert list(read_segment(tmp_path / "a" / "00000000.spool")) == [b"first"]
        assert len(list((tmp_path / "a").glob("*.spool"))) == 1
    monkeypatch.setattr(os, "posix_fallocate", real)
    spool.append(b"last")
    assert not spool.full
    assert everything(spool.reader()) == [b"first", b"second" * 9, b"third" * 9, b"last"]
    spool.close(empty=True)


def test_drained_segments_are_written_to_again_and_nothing_of_before_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 200)
    made = []
    real = os.posix_fallocate

    def counted(file: int, at: int, size: int) -> None:
        made.append(size)
        real(file, at, size)

    monkeypatch.setattr(os, "posix_fallocate", counted)
    spool = Spool(tmp_path, "a", MOST)
    reader = spool.reader()
    written = 0
    for turn in range(50):
        records = [b"%05d" % (written + at) * (1 + turn % 7) for at in range(5 + turn % 11)]
        for record in records:
            spool.append(record)
        written += len(records)
        assert everything(reader) == records
        left = {path.suffix for path in (tmp_path / "a").iterdir()}
        assert left <= {".spool", ".free", ""}
    assert made.count(200) > 0, "each new segment takes its room"
    assert len(made) < 12, "hundreds were filled"
    spool.append(b"the last one")
    spool.close(empty=False)
    (orphan,) = orphans(tmp_path, lambda path, error: pytest.fail(f"{path}: {error}"))
    *before, last = everything(orphan.reader)
    assert last == b"the last one"
    numbers = [int(record[:5]) for record in before]
    assert numbers == list(range(written - len(numbers), written)), "what the segment held before is not there"
    orphan.remove()
    assert not (tmp_path / "a").exists()


def test_a_spare_segment_that_is_gone_is_replaced_by_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 64)
    spool = Spool(tmp_path, "a", MOST)
    reader = spool.reader()
    for at in range(3):
        spool.append(b"%d" % at * 40)
    assert len(everything(reader)) == 3
    for path in (tmp_path / "a").glob("*.free"):
        path.unlink()
    records = [b"%d" % at * 40 for at in range(3, 9)]
    for record in records:
        spool.append(record)
    assert everything(reader) == records
    spool.close(empty=True)


def test_a_segment_that_cannot_be_removed_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 64)
    spool = Spool(tmp_path, "a", MOST)
    for at in range(4):
        spool.append(b"%d" % at * 40)
    reader = spool.reader()
    assert len(reader.next_batch(3)[0]) == 3
    first = tmp_path / "a" / "00000000.spool"
    first.unlink()
    first.mkdir()  # which nobody can unlink
    reader.advance()
    assert everything(reader) == [b"3" * 40]
    spool.close(empty=True)


def test_a_spool_that_nobody_may_look_at_is_told_and_others_are_taken_up(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        spool = Spool(tmp_path, name, MOST)
        spool.append(name.encode())
        spool.close(empty=False)
    (tmp_path / "b" / "lock").unlink()
    (tmp_path / "b" / "lock").mkdir()  # nobody can open it for writing, not even root
    told = []
    found = list(orphans(tmp_path, lambda path, error: told.append((path.name, error.errno))))
    assert [one.name for one in found] == ["a", "c"]
    assert told == [("b", errno.EISDIR)]
    for one in found:
        one.leave()


def test_a_disk_that_forgets_stops_paid_calls_until_another_segment_is_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, "a", MOST)
    spool.append(b"first")
    real = os.fsync

    def fails(_file: int) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "fsync", fails)
    for _ in range(2):
        spool.probe(spool.to_probe())
        assert spool.full
    monkeypatch.setattr(os, "fsync", real)
    assert spool.full, "what the old segment says now may be a lie"
    spool.probe(spool.to_probe())
    assert not spool.full
    spool.append(b"second")
    assert everything(spool.reader()) == [b"first", b"second"]
    spool.close(empty=True)


def test_a_record_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 64)
    spool = Spool(tmp_path, "a", MOST)
    records = [b"a", b"b" * 500, b"c", b"d" * 56, b"e" * 57]
    for record in records:
        spool.append(record)
    assert everything(spool.reader()) == records
    spool.close(empty=True)


def test_a_spool_at_its_bound_is_full_until_it_is_drained(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a", 100)
    while not spool.full:
        spool.append(b"x" * 20)
    assert spool.waiting >= 100
    spool.drained(spool.waiting)
    assert not spool.full
    spool.close(empty=True)


def test_a_failed_fsync_is_not_believed_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, "p", MOST, power=True)
    for at in range(3):
        spool.append(b"record %d" % at)
    real, failing = os.fsync, [True]

    def fsync(file: int) -> None:
        if failing and failing.pop():
            raise OSError(errno.EIO, "Input/output error")
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    spool.sync()
    assert not spool.full
    assert spool.synced == 3
    spool.append(b"record 3")
    spool.sync()
    # The records that may have been dropped stand in a second file, whole; whoever reads both takes each once.
    assert list(read_segment(tmp_path / "p" / "00000001.spool")) == [b"record %d" % at for at in range(4)]
    failing[:] = [True, True]
    spool.append(b"record 4")
    spool.sync()
    assert spool.full  # nothing is promised any more, nothing paid is taken
    assert spool.synced == 4
    spool.sync()
    assert not spool.full
    assert set(everything(spool.reader())) == {b"record %d" % at for at in range(5)}
    spool.close(empty=False)


def test_segments_that_end_before_they_are_synced_are_synced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 100)
    synced: set[str] = set()
    real = os.fsync

    def fsync(file: int) -> None:
        synced.add(Path(f"/proc/self/fd/{file}").readlink().name)
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    spool = Spool(tmp_path, "p", MOST, power=True)
    for at in range(50):
        spool.append(b"record %d" % at)
    spool.sync()
    assert {path.name for path in (tmp_path / "p").glob("*.spool")} <= synced
    assert "p" in synced  # and the directory that names them
    assert len(everything(spool.reader())) == 50
    spool.close(empty=True)
