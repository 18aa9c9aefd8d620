"""Killed at any byte, garbled at any byte, full at any byte: a log loses what was hit, says so, and goes on."""

import errno
import os
import random
import subprocess
import sys

import pytest

from sweeper.errors import RunFolderError, SweeperError
from sweeper.tracking import lines, log
from sweeper.tracking.lines import encode
from sweeper.tracking.log import ChecksummedLog

PAYLOADS = {"a1": '{"key":"a1","x":[1,2.5]}', "b22": "", "c-3": 'two words "é"', "d": "z" + "QUJD" * 6}
WHOLE = b"".join(encode(key, payload) for key, payload in PAYLOADS.items())


@pytest.fixture(autouse=True)
def _no_power_cuts(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # thousands of repairs, none of which meets one


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trials.log"


def check(path, damaged):
    """Whatever was done to the file: nothing wrong is read, what is lost is told, and the next write mends it."""
    path.write_bytes(damaged)
    opened = ChecksummedLog(path)
    kept = {key: opened.read(key) for key in opened.keys()}  # noqa: SIM118
    assert kept.items() <= PAYLOADS.items()
    assert path.read_bytes() == damaged, "reading repairs nothing"
    touched = set(damaged.split(b"\n")) - {b""} - set(WHOLE.split(b"\n"))
    assert bool(opened.dropped) >= bool(touched), "a line that is not as written is told"
    opened.append("next", "n")
    again = ChecksummedLog(path)
    assert {key: again.read(key) for key in again.keys()} == {**kept, "next": "n"}  # noqa: SIM118
    assert again.dropped == ()
    lost = PAYLOADS.keys() - kept.keys()
    for key in lost:
        again.append(key, PAYLOADS[key])
    assert sorted(ChecksummedLog(path).keys()) == sorted([*PAYLOADS, "next"])
    assert path.read_bytes().count(b"\n") == len(PAYLOADS) + 1
    return kept


def test_cut_at_every_byte(path):
    for cut in range(len(WHOLE) + 1):
        kept = check(path, WHOLE[:cut])
        # A last line that only lacks its newline is whole.
        at_the_end = WHOLE[cut : cut + 1] == b"\n"
        assert len(kept) == WHOLE[:cut].count(b"\n") + at_the_end


@pytest.mark.parametrize("byte", [b"\x00", b"\n", b" ", b"\xff", b"0", b"", b"\n\n", b"xy"])
def test_garbled_at_every_byte(path, byte):
    """Replaced by another byte, by none, or by two: at most the lines on both sides are lost."""
    for at in range(len(WHOLE)):
        kept = check(path, WHOLE[:at] + byte + WHOLE[at + 1 :])
        assert len(kept) >= len(PAYLOADS) - 2


def test_a_stretch_of_anything_anywhere(path):
    draw = random.Random(5)
    for _ in range(300):
        start = draw.randrange(len(WHOLE))
        end = draw.randrange(start, len(WHOLE)) + 1
        check(path, WHOLE[:start] + draw.randbytes(draw.randrange(60)) + WHOLE[end:])


def test_zeros_after_a_power_cut_are_a_torn_tail(path):
    assert check(path, WHOLE + bytes(5000)) == PAYLOADS


def test_the_disk_is_full_after_every_byte(path, monkeypatch):
    genuine, line = os.write, encode("new", "payload é")
    for room in range(len(line)):
        path.write_bytes(WHOLE)
        opened = ChecksummedLog(path)
        left = [room]

        def short(descriptor, data, left=left):
            if not left[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = genuine(descriptor, bytes(data)[: left[0]])
            left[0] -= written
            return written

        monkeypatch.setattr(os, "write", short)
        with pytest.raises(SweeperError, match=r"new could not be recorded .No space left.*free space on this disk"):
            opened.append("new", "payload é")
        monkeypatch.setattr(os, "write", genuine)
        assert "new" not in opened
        # Without its newline the line is whole: it counts from the next start on.
        whole = room == len(line) - 1
        assert ChecksummedLog(path).keys() == [*PAYLOADS, *(["new"] if whole else [])]
        for same in (opened, ChecksummedLog(path)):  # the same process, and the next one
            same.append("new", "payload é")
        assert path.read_bytes() == WHOLE + line, "once, and no trace of the first attempt"


def test_a_disk_that_takes_a_byte_at_a_time(path, monkeypatch):
    genuine = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: genuine(descriptor, bytes(data)[:1]))
    opened = ChecksummedLog(path)
    for key, payload in PAYLOADS.items():
        opened.append(key, payload)
    assert path.read_bytes() == WHOLE
    assert {key: opened.read(key) for key in PAYLOADS} == PAYLOADS


def test_a_write_that_was_not_forced_to_disk_is_forced_before_it_counts(path, monkeypatch):
    opened = ChecksummedLog(path)
    opened.append("a", "1")
    forced = []

    def fails(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(SweeperError, match=r"Input/output error.*mend this disk"):
        opened.append("b", "2")
    monkeypatch.setattr(os, "fsync", forced.append)
    opened.append("b", "2")
    assert forced
    assert path.read_bytes() == encode("a", "1") + encode("b", "2")


def fill(opened, kept):
    """Write until the disk is full; return what did not fit."""
    for number in range(100):
        key, payload = f"k{number}", str(number) * 1500
        try:
            opened.append(key, payload)
        except SweeperError as error:
            if "No space left on device" not in str(error):
                raise
            return key, payload
        kept[key] = payload
    raise AssertionError("the disk is not small")


def test_a_full_disk_for_real(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a small disk")
    try:
        opened, kept = ChecksummedLog(disk / "outbox" / "trials.log"), {}
        key, payload = fill(opened, kept)
        assert 5 < len(kept) < 60
        assert {key: opened.read(key) for key in kept} == kept
        with pytest.raises(SweeperError, match="free space on this disk and run the same command again"):
            ChecksummedLog(opened.path).append(key, payload)
        subprocess.run(["mount", "-o", "remount,size=256k", str(disk)], check=True)
        again = ChecksummedLog(opened.path)
        again.append(key, payload)
        assert {key: again.read(key) for key in again.keys()} == {**kept, key: payload}  # noqa: SIM118
        assert ChecksummedLog(opened.path).dropped == ()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_damaged_line_cannot_be_set_aside_on_a_full_disk_and_is_later(path, monkeypatch):
    damaged = WHOLE.replace(b"two words", b"two sword")
    path.write_bytes(damaged)
    opened = ChecksummedLog(path)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SweeperError, match="free space"):
        opened.append("new")
    monkeypatch.undo()
    assert path.read_bytes() == damaged
    assert [file.name for file in path.parent.iterdir()] == [path.name], "nothing half-written is left"
    opened.append("new")
    assert sorted(ChecksummedLog(path).keys()) == ["a1", "b22", "d", "new"]


def test_what_is_set_aside_is_bounded(path, monkeypatch):
    monkeypatch.setattr(log, "DAMAGED_KEPT", 100)
    for number in range(20):
        with path.open("ab") as file:
            file.write(b"%d is no line of ours, and long\n" % number)
        ChecksummedLog(path).append(f"k{number}")
    aside = path.with_name("trials.log.damaged").read_bytes()
    assert len(aside) == 100
    assert aside.endswith(b"19 is no line of ours, and long\n")
    assert ChecksummedLog(path).keys() == [f"k{number}" for number in range(20)]


@pytest.mark.parametrize("ended", [True, False])
def test_a_line_longer_than_any_of_ours_is_not_taken_into_memory(path, monkeypatch, ended):
    monkeypatch.setattr(lines, "LONGEST", 1000)
    monkeypatch.setattr(lines, "PIECE", 64)
    first, *_ = WHOLE.splitlines(keepends=True)
    path.write_bytes(first + encode("long", "x" * 2000)[: None if ended else -1] + (encode("e", "5") if ended else b""))
    opened = ChecksummedLog(path)
    assert opened.keys() == (["a1", "e"] if ended else ["a1"])
    assert len(opened.dropped) == 1
    with pytest.raises(SweeperError, match="at most 1000 are read back"):
        opened.append("own", "x" * 2000)
    opened.append("own", "x" * 900)
    assert ChecksummedLog(path).read("own") == "x" * 900


def test_a_line_damaged_after_it_was_found_is_not_passed_on(path):
    path.write_bytes(WHOLE)
    opened = ChecksummedLog(path)
    path.write_bytes(WHOLE.replace(b"two words", b"two sword"))
    assert opened.read("a1") == PAYLOADS["a1"]
    with pytest.raises(RunFolderError, match="the line of c-3 was damaged after it was read"):
        opened.read("c-3")
    path.unlink()
    with pytest.raises(RunFolderError, match="restore it from a copy"):
        opened.read("a1")


def test_a_reader_finds_its_lines_after_another_process_mended_the_file(path):
    path.write_bytes(b"no line of ours\n" + WHOLE)
    reader = ChecksummedLog(path)
    ChecksummedLog(path).append("new")
    assert {key: reader.read(key) for key in reader.keys()} == PAYLOADS  # noqa: SIM118


def test_a_file_removed_while_it_is_in_use_is_told(path):
    opened = ChecksummedLog(path)
    opened.append("a")
    path.unlink()
    with pytest.raises(RunFolderError, match=r"trials\.log: was removed while it is in use; restore it"):
        opened.append("b")


def test_two_writers_see_each_other(path):
    first, second = ChecksummedLog(path), ChecksummedLog(path)
    for number in range(6):
        (first, second)[number % 2].append(f"k{number}", str(number))
    second.append("k0", "another")
    first.append("k1", "another")
    assert path.read_bytes() == b"".join(encode(f"k{number}", str(number)) for number in range(6))
    assert {first.read(f"k{number}") for number in range(5)} == set("01234")


def test_two_processes_that_write_the_same_keys_write_each_once(path):
    code = (
        "import sys; from pathlib import Path; from sweeper.tracking.log import ChecksummedLog\n"
        "log = ChecksummedLog(Path(sys.argv[1]), durable=False)\n"
        "for number in range(400): log.append(f'k{number}', 'x' * number)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, path]) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    written = ChecksummedLog(path)
    assert written.dropped == ()
    assert path.read_bytes().count(b"\n") == len(written) == 400
    assert [written.read(f"k{number}") for number in range(400)] == ["x" * number for number in range(400)]


def test_a_folder_without_locks_is_written_all_the_same(path, monkeypatch):
    def without(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(log.fcntl, "flock", without)
    ChecksummedLog(path).append("a", "1")
    assert ChecksummedLog(path).read("a") == "1"
