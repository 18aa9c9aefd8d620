"""The small study that everything befalls, and one start of the command that runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sweeper.tracking.log import ChecksummedLog
from tests.faults.processes import Marked

ROOT = Path(__file__).parents[2]

NAME = "faulty"

YAML = """
name: faulty
families: {cross_entropy: {}, tversky: {beta: {uniform: [0.2, 0.9]}, alpha: {complement: beta}}}
data: {patch: 32, limit: 16, scans: 10}
imbalance: {levels: [0.97]}
model: {depth: 3, decoder_channels: [8, 8, 8]}
training: {epochs: 3, steps_per_epoch: 16, batch_size: 4, lr: 0.003}
search: {trials: 3}
confirm: {seeds: 2}
resources: {gpu: 0, concurrent: 2}
"""


class Place:
    """Where one study lives: its `--out` folder, and folders for what processes leave elsewhere."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.run = out / NAME
        self.processes = Marked()
        # Short: Ray's sockets lie below it, and their paths may have 107 bytes.
        self.temporary = Path(tempfile.mkdtemp(prefix="swf-"))

    def remove(self) -> None:
        """End what still runs and remove the temporary folders; the study's own stays."""
        self.processes.kill()
        shutil.rmtree(self.temporary, ignore_errors=True)

    @property
    def said(self) -> list[str]:
        """What each start said, in order."""
        return [path.read_text(errors="replace") for path in sorted(self.temporary.glob("said-*.txt"))]

    @property
    def journal(self) -> Path:
        return self.run / "outbox" / "trials.log"

    def recorded(self) -> set[str]:
        """Return the keys of the trials in the journal."""
        return set(ChecksummedLog(self.journal).keys())

    @property
    def environment(self) -> dict[str, str]:
        ray, scratch = self.temporary / "ray", self.temporary / "tmp"
        ray.mkdir(exist_ok=True)
        scratch.mkdir(exist_ok=True)
        return {
            **os.environ,
            **self.processes.environment,
            "RAY_TMPDIR": str(ray),
            "TMPDIR": str(scratch),
            "OMP_NUM_THREADS": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }


class Start:
    """The command of the study, started once; the same every time."""

    def __init__(self, place: Place, study: Path, tracking_uri: str, experiment: str) -> None:
        command = [sys.executable, "-m", "tests.faults.launcher", "run", str(study), "--out", str(place.out)]
        command += ["--tracking-uri", tracking_uri, "--set", f"tracking.experiment={json.dumps(experiment)}"]
        self.said = place.temporary / "said.txt"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=ROOT,
                env=place.environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs. Negative: the signal it died of."""
        return self.process.poll()

    @property
    def output(self) -> str:
        return self.said.read_text(encoding="utf-8", errors="replace")


def sync(place: Place) -> str:
    """Send to MLflow what the study could not; return what the command said, empty when it did its work.

    The database of a server that was just restarted may still be busy: a second attempt is part of the bargain.
    """
    command = [sys.executable, "-m", "sweeper.cli", "sync", str(place.run)]
    for _ in range(2):
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=place.environment, timeout=300, check=False
        )
        if done.returncode == 0:
            return ""
    return done.stderr.strip()[-2000:]
