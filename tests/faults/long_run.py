"""The long run: studies are disturbed until enough faults were injected. `python -m tests.faults.long_run`.

Every study's verdict is on disk as soon as it is known; the same command goes on where the last one was stopped. A
study that did not survive keeps its folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sweeper.orchestration.meta import versions
from tests.faults import ledger
from tests.faults.playing import World
from tests.faults.schedule import KINDS, NEEDS_DISK, Injection, draw
from tests.faults.small_disk import SmallDisk, can_mount
from tests.faults.study import YAML, Place
from tests.faults.verdict import Ended, compare, remains


def main(words: Sequence[str] | None = None) -> int:
    """Return 0 when every study survived, 1 when one did not."""
    options = _options().parse_args(words)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that nothing is left running
    folder = options.folder / str(options.seed)
    journal = folder / "verdicts.jsonl"
    entries = ledger.read(journal, options.seed)
    with tempfile.TemporaryDirectory(prefix="swf-") as scratch:
        reason = can_mount(Path(scratch) / "disk")
        kinds = [kind for kind in KINDS if reason is None or kind not in NEEDS_DISK]
        if reason is not None:
            _say(f"no disk will be filled: {reason}")
        world = World.make(Path(scratch) / "world", YAML)
        try:
            wanted = _undisturbed(world, Path(scratch) / "undisturbed")
            if options.study is not None:
                schedule = draw(options.seed, options.study, kinds=kinds, trials=len(wanted.keys))
                entry = _study(world, options.seed, options.study, schedule, wanted, folder)
                return 0 if entry.survived else 1
            while (injected := sum(len(one.strikes) for one in entries)) < options.injections:
                number = max((one.study for one in entries), default=0) + 1
                _say(f"study {number}: {injected} of {options.injections} injected so far")
                schedule = draw(options.seed, number, kinds=kinds, trials=len(wanted.keys))
                entries.append(_study(world, options.seed, number, schedule, wanted, folder))
                ledger.append(journal, entries[-1])
        finally:
            world.close()
    _publish(options.seed, entries, options.report)
    return 0 if all(one.survived for one in entries) else 1


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="decides what befalls every study")
    parser.add_argument("--injections", type=int, default=200, help="stop after the study that reaches this many")
    parser.add_argument("--study", type=int, help="play this one alone, and record nothing")
    parser.add_argument("--folder", type=Path, default=Path("runs/faults"), help="for verdicts and failed studies")
    parser.add_argument("--report", type=Path, default=Path("reports/faults"), help="for faults.md and faults.json")
    return parser


def _undisturbed(world: World, out: Path) -> Ended:
    place = Place(out)
    try:
        story = world.play(place, "undisturbed")
        problems = [*story.problems, *remains(place)]
        if problems:
            raise SystemExit("the study fails without being disturbed: " + "\n".join(problems))
        _say(f"undisturbed: {story.seconds:g} s")
        return Ended.of(place, world.server.database, "undisturbed")
    finally:
        place.remove()


def _study(
    world: World, seed: int, number: int, schedule: Sequence[Injection], wanted: Ended, folder: Path
) -> ledger.Entry:
    """Play one study; keep its folder where it did not survive."""
    experiment = f"{seed}-{number}-{datetime.now(UTC):%H%M%S}"
    with tempfile.TemporaryDirectory(prefix="swf-") as scratch:
        out = Path(scratch) / "out"
        place = Place(out)
        disk = SmallDisk(out) if any(one.kind in NEEDS_DISK for one in schedule) else None
        try:
            story = world.play(place, experiment, schedule, disk)
            verdict, left = None, []
            if story.ended:
                verdict = compare(Ended.of(place, world.server.database, experiment), wanted)
                left = remains(place)
            date = datetime.now(UTC).isoformat(timespec="seconds")
            entry = ledger.Entry.of(seed, number, date, story, verdict, left)
            for strike in story.strikes:
                _say(f"  start {strike.start}, {strike.seconds:5.1f} s: {strike.kind} {strike.what}")
            _say(f"  exit codes {', '.join(map(str, story.codes))}; {story.seconds:g} s; " + _verdict(entry))
            if not entry.survived:
                kept = folder / f"study-{number}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(out, kept / "out", symlinks=True)
                for said in place.temporary.glob("said-*.txt"):
                    shutil.copy(said, kept)
                _say(f"  kept in {kept}; again: make faults SEED={seed} STUDY={number}")
            return entry
        finally:
            if disk is not None:
                disk.unmount()
            place.remove()
            world.server.forget(experiment)


def _verdict(entry: ledger.Entry) -> str:
    if entry.survived:
        return "survived"
    return "\n    ".join(["NOT survived:", *entry.problems])


def _publish(seed: int, entries: Sequence[ledger.Entry], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    found = ledger.facts(seed, entries, versions())
    (folder / "faults.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "faults.md").write_text(ledger.markdown(found), encoding="utf-8")
    _say(f"{folder / 'faults.md'}: {found['survived']} of {found['studies']} studies survived")


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
