import os
import random
import signal
import subprocess
import sys
import threading
import zlib

import pytest

from sweeper.errors import RunFolderError, SweeperError
from sweeper.results.margins import BINS
from sweeper.results.record import MarginCounts, Score
from sweeper.tracking import payload
from sweeper.tracking.journal import RECORDS_FILE, Journal
from sweeper.tracking.log import ChecksummedLog
from sweeper.tracking.payload import journal_bytes


@pytest.fixture
def full(make_study, tmp_path):
    """A journal of a study, its records and its file."""
    records, _ = make_study(images=1)
    records = records[:3]
    journal = Journal(tmp_path)
    for record in records:
        journal.append(record)
    return records, tmp_path / RECORDS_FILE


def test_what_is_recorded_is_read_back_exactly(make_study, tmp_path):
    records, _ = make_study()
    journal = Journal(tmp_path / "not" / "there")
    assert (journal.records(), journal.finished(), journal.dropped) == ([], set(), ())
    for record in records:
        journal.append(record)
    for same in (journal, Journal(tmp_path / "not" / "there")):
        assert same.records() == records
        assert same.finished() == {record.key for record in records}


def test_a_key_is_recorded_once(full, make_record, tmp_path):
    records, file = full
    before = file.read_bytes()
    Journal(tmp_path).append(records[0])
    Journal(tmp_path).append(make_record(records[1].key, objective=0.999))
    assert file.read_bytes() == before
    assert Journal(tmp_path).records() == records


def test_a_write_cut_at_any_byte_loses_that_record_only(make_record, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # hundreds of repairs, none of which meets a power cut
    records, file = [make_record("k0"), make_record("k1", history=(), scores=())], tmp_path / RECORDS_FILE
    for record in records:
        Journal(tmp_path).append(record)
    whole = file.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(start, len(whole)):
        file.write_bytes(whole[:cut])
        # The last byte is the newline: without it, the record itself is whole.
        kept = records if cut == len(whole) - 1 else records[:-1]
        journal = Journal(tmp_path)
        assert journal.recorded() == [record.key for record in kept]
        assert bool(journal.dropped) == (start < cut < len(whole) - 1)
        assert file.stat().st_size == cut, "reading repairs nothing"
        journal.append(make_record("next"))
        again = Journal(tmp_path)
        assert again.recorded() == [*(record.key for record in kept), "next"]
        assert again.dropped == ()
    assert again.records() == [*records, make_record("next")]


def test_a_damaged_line_is_reported_set_aside_and_its_trial_recorded_anew(full, make_record, tmp_path):
    records, file = full
    lines = file.read_bytes().splitlines(keepends=True)
    spoiled = lines[1][:-2] + bytes([lines[1][-2] ^ 1, lines[1][-1]])
    file.write_bytes(b"".join([lines[0], spoiled, b"\xff\xfe no line of ours\n", b"\n", lines[2]]))

    journal = Journal(tmp_path)
    assert journal.records() == [records[0], records[2]]
    assert [sentence.split(" (")[0].split("line ")[1] for sentence in journal.dropped] == ["2", "3", "4"]

    journal.append(records[1])
    again = Journal(tmp_path)
    assert again.dropped == ()
    assert again.records() == [records[0], records[2], records[1]]
    assert file.with_name(f"{RECORDS_FILE}.damaged").read_bytes() == spoiled + b"\xff\xfe no line of ours\n\n"


@pytest.mark.parametrize("at", range(8))
def test_one_flipped_bit_anywhere_never_passes_for_a_record(full, tmp_path, at):
    records, file = full
    whole = bytearray(file.read_bytes())
    place = at * (len(whole) - 1) // 7
    whole[place] ^= 1
    file.write_bytes(bytes(whole))
    journal = Journal(tmp_path)
    assert all(record in records for record in journal.records())
    if place != len(whole) - 1:  # the last newline carries nothing
        assert journal.dropped
        assert len(journal.records()) < len(records)


def test_killed_while_writing_keeps_every_record_that_was_acknowledged(tmp_path):
    code = (
        "import runpy, sys; from pathlib import Path; from sweeper.tracking.journal import Journal\n"
        "make = runpy.run_path(sys.argv[1])['make_record']; journal = Journal(Path(sys.argv[2]))\n"
        "for number in range(10**6):\n"
        "    journal.append(make(f'k{number}', reason='x' * 3000)); print(number, flush=True)\n"
    )
    synthetic = os.path.join(os.path.dirname(__file__), "..", "results", "synthetic_study.py")
    last = -1
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", code, synthetic, tmp_path], stdout=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout:
                last = int(line)
                if last and last % 40 == 0:
                    process.send_signal(signal.SIGKILL)
                    break
            last = max([last, *(int(line) for line in process.stdout if line.endswith("\n"))])
        keys = Journal(tmp_path).recorded()
        assert keys[: last + 1] == [f"k{number}" for number in range(last + 1)]
        assert len(keys) <= last + 2, "at most the one in the making"
        # The next process starts over: what is recorded is skipped, and the file goes on behind it.


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"history": ({"epoch": 1, "train_loss": float("nan")},)}, r"history\[0\].train_loss is nan"),
        ({"objective": float("inf")}, "objective is inf"),
        ({"hyperparameters": {"alpha": object()}}, "hyperparameters.alpha is a object"),
    ],
)
def test_a_record_that_is_not_plain_is_refused_by_name(make_record, tmp_path, changes, says):
    with pytest.raises(SweeperError, match=f"trial k of tversky cannot be recorded: {says}"):
        Journal(tmp_path).append(make_record("k", **changes))
    assert not (tmp_path / RECORDS_FILE).exists()


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak"])
def test_a_key_that_would_break_the_file_is_refused(make_record, tmp_path, key):
    with pytest.raises(SweeperError, match="a key is one word"):
        Journal(tmp_path).append(make_record(key))


def test_a_full_disk_is_told_and_the_journal_goes_on_when_there_is_room(tmp_path):
    code = (
        "import random, resource, runpy, signal, sys; from pathlib import Path\n"
        "from sweeper.errors import SweeperError; from sweeper.tracking.journal import Journal\n"
        "make = runpy.run_path(sys.argv[1])['make_record']; journal = Journal(Path(sys.argv[2]))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))\n"
        "journal.append(make('a'))\n"
        "try: journal.append(make('b', reason=random.Random(0).randbytes(4000).hex()))\n"
        "except SweeperError as error: print(error)\n"
        "journal.append(make('c')); print(journal.recorded(), Journal(Path(sys.argv[2])).recorded())\n"
    )
    synthetic = os.path.join(os.path.dirname(__file__), "..", "results", "synthetic_study.py")
    done = subprocess.run([sys.executable, "-c", code, synthetic, tmp_path], capture_output=True, text=True, check=True)
    told, keys = done.stdout.splitlines()
    assert "b could not be recorded" in told
    assert "free space" in told
    assert keys == "['a', 'c'] ['a', 'c']"


def test_a_folder_that_cannot_be_made_is_told(make_record, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"file/outbox/trials\.log: cannot be read .Not a directory."):
        Journal(tmp_path / "file" / "outbox").append(make_record())


def test_a_record_of_another_version_is_told(full, tmp_path):
    _, file = full
    body = b'k {"key":"k","color":"blue","scores":[],"history":[]}'
    with file.open("ab") as appended:
        appended.write(b"%08x %s\n" % (zlib.crc32(body), body))
    with pytest.raises(RunFolderError, match="trial k was recorded by another version of sweeper, or not by"):
        Journal(tmp_path).records()


def line_of(record):
    """A line as versions before compression wrote it."""
    body = f"{record.key} {record.to_json()}".encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def test_a_journal_of_before_there_was_compression_is_read_and_continued(make_study, tmp_path):
    records, _ = make_study()
    assert max(map(len, map(line_of, records))) > 20_000
    (tmp_path / RECORDS_FILE).write_bytes(b"".join(map(line_of, records[:-1])))
    before = Journal(tmp_path)
    assert before.records() == records[:-1]
    before.append(records[-1])
    again = Journal(tmp_path)
    assert (again.records(), again.dropped) == (records, ())


def test_long_records_are_kept_short(make_study, tmp_path):
    records, _ = make_study(images=20)
    journal = Journal(tmp_path)
    for record in records:
        journal.append(record)
    plain = sum(len(line_of(record)) for record in records)
    assert (tmp_path / RECORDS_FILE).stat().st_size < 0.65 * plain, "numbers drawn at random do not pack well"
    assert Journal(tmp_path).records() == records


def test_the_estimate_of_its_size_is_within_a_factor_of_two(make_record, tmp_path):
    """Of trials as training gives them: 20 scores per class and picture, most of them counts."""
    draw, pictures, classes = random.Random(3), 30, ("background", "curve_1", "curve_2")
    count = lambda: round(draw.random() * 4096) * 1.3371  # noqa: E731
    history = [{name: draw.random() for name in (*"abcdefgh", "seconds")} | {"epoch": epoch} for epoch in range(30)]
    rows = [("test", "argmax", None, "curve_1", "iou")] * 60
    rows += [
        ("test", point, f"scan-{picture:04}", klass, metric)
        for picture in range(pictures)
        for klass in classes
        for point in ("argmax", "shifted")
        for metric in ("tp", "fp", "fn", "tn", "nsd", "hd95", "cldice", "objects", "objects_missed", "smallest_missed")
    ]
    bins = lambda: tuple(count() if draw.random() < 0.5 else 0.0 for _ in range(BINS))  # noqa: E731
    scores = tuple(Score(*row, count()) for row in rows)
    margins = tuple(MarginCounts("test", f"scan-{n:04}", count(), count(), bins(), bins()) for n in range(pictures + 1))
    journal = Journal(tmp_path)
    journal.append(make_record("a", stage="confirm", history=history, scores=scores, margins=margins))
    size = (tmp_path / RECORDS_FILE).stat().st_size
    assert 0.5 < size / journal_bytes(search=0, confirm=1, epochs=30, classes=3, pictures=pictures) < 2
    journal.append(make_record("b", history=history, scores=scores[:30]))
    size = (tmp_path / RECORDS_FILE).stat().st_size - size
    assert 0.5 < size / journal_bytes(search=1, confirm=0, epochs=30, classes=3, pictures=pictures) < 2


def test_starting_again_and_delivering_again_adds_nothing(full, tmp_path):
    records, _ = full
    sizes = set()
    for _ in range(5):
        journal = Journal(tmp_path)
        for record in records:
            journal.append(record)
            journal.mark_delivered("t", record.key)
        sizes.add(tuple(path.stat().st_size for path in sorted(tmp_path.iterdir())))
    assert len(sizes) == 1
    assert journal.dropped == ()


def test_a_line_that_holds_another_trial_is_told(make_record, tmp_path):
    log = ChecksummedLog(tmp_path / RECORDS_FILE)
    log.append("a", make_record("b").to_json())
    with pytest.raises(RunFolderError, match="the line of trial a holds trial b"):
        Journal(tmp_path).records()


def test_a_small_line_that_would_unpack_to_anything_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(payload, "LARGEST", 10_000)
    log = ChecksummedLog(tmp_path / RECORDS_FILE)
    log.append("k", payload.pack("{" + " " * 20_000))
    with pytest.raises(RunFolderError, match="does not unpack to one record of at most 10000 bytes"):
        Journal(tmp_path).records()


def test_delivery_marks_are_kept_apart_by_target(full, tmp_path):
    journal = Journal(tmp_path)
    journal.mark_delivered("t1", "a")
    journal.mark_delivered("t1", "a")
    journal.mark_delivered("t2", "b")
    assert (journal.delivered("t1"), journal.delivered("t2"), journal.delivered("t3")) == ({"a"}, {"b"}, set())
    assert Journal(tmp_path).delivered("t1") == {"a"}
    # A mark cut short is no mark, and does not spoil the next one.
    marks = tmp_path / "delivered-t1.log"
    marks.write_bytes(marks.read_bytes() + b"0badc0de lon")
    journal = Journal(tmp_path)
    journal.mark_delivered("t1", "longer")
    assert Journal(tmp_path).delivered("t1") == {"a", "longer"}


def test_threads_may_record_and_read_at_once(make_record, tmp_path):
    journal = Journal(tmp_path)

    def write(name):
        for number in range(25):
            journal.append(make_record(f"{name}{number}"))
            journal.records()

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Journal(tmp_path).records()) == 75
    assert Journal(tmp_path).dropped == ()
