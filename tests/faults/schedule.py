"""What befalls a study, and when: drawn from a recorded seed. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

KINDS: dict[str, str] = {
    "worker killed": "SIGKILL on a process that trains",
    "worker killed, its checkpoint corrupt": "bytes of its last checkpoint flipped or cut off before it dies",
    "worker stopped": "SIGSTOP on a process that trains, SIGCONT a while later",
    "raylet killed": "SIGKILL on Ray's process of this machine, as when a node is lost",
    "driver killed": "SIGKILL at a random moment",
    "driver killed while writing": "SIGKILL at the sight of a temporary file or of a growing journal",
    "driver interrupted": "SIGINT to the process group, as Ctrl-C in a terminal",
    "driver interrupted twice": "SIGINT twice",
    "driver terminated": "SIGTERM, as clusters send it",
    "MLflow restarted": "SIGKILL on the server, started again a while later",
    "MLflow away": "connections refused for a while",
    "MLflow slow": "every answer late for a while",
    "MLflow answers errors": "500, 503, 429 or a strange page to half of all requests for a while",
    "MLflow's answers lost": "half of all requests carried out, but the answer cut off, late or an error, for a while",
    "disk full": "the file system of the run folder filled to the last byte, freed when the study has stopped",
    "checkpoint corrupt": "driver killed; bytes of a checkpoint flipped or cut off",
    "outbox torn": "driver killed; the journal cut off within its last line",
    "outbox garbled": "driver killed; bytes of the journal or of the delivery marks flipped",
    "outcome lost": "driver stopped until a worker leaves an outcome, then killed; the outcome deleted or cut off",
    "state garbled": "driver killed; a file of the run folder that is neither journal nor checkpoint cut off",
    "stale files": "driver killed; temporary files left as by a writer that died",
}
"""Every kind of injection -> what it does."""

NEEDS_TRIAL = frozenset(
    {"worker killed", "worker killed, its checkpoint corrupt", "worker stopped", "checkpoint corrupt", "outcome lost"}
)
"""Kinds that hit a running trial; after the last one is recorded there is none."""

NEEDS_DISK = frozenset({"disk full"})
"""Kinds that need a small file system of their own, which only root can mount."""

MOST_WORKER_KILLS = 3
"""A trial is started again three times; the fourth death of its worker is an outcome, and rightly so."""

LONGEST_DELAY = 3.0
"""Seconds: a few trials of the small study long."""

START_SECONDS = 20.0
"""About how long a start prepares before its first trial is recorded."""


@dataclass(frozen=True)
class Injection:
    """One fault. It strikes `delay` seconds after `trials` trials are recorded, or as soon as there is what it hits."""

    kind: str
    trials: int
    delay: float
    dice: int
    """Decides which of several things is hit, how and for how long."""
    late: float = START_SECONDS
    """Seconds after a start at which it strikes where that many trials were recorded before: also while it prepares."""


def draw(seed: int, study: int, *, kinds: Sequence[str], trials: int) -> tuple[Injection, ...]:
    """Return the three to six injections of one study in the order in which they strike.

    Args:
        seed: Of the whole run.
        study: Number of the study within it.
        kinds: What may be drawn.
        trials: How many trials the study has.
    """
    rng = random.Random(f"{seed}/{study}")
    found: list[Injection] = []
    for _ in range(rng.randint(3, 6)):
        kills = sum(one.kind.startswith("worker killed") for one in found)
        possible = [kind for kind in kinds if kills < MOST_WORKER_KILLS or not kind.startswith("worker killed")]
        kind = rng.choice(possible)
        recorded = rng.randint(0, trials - (kind in NEEDS_TRIAL))
        delay, late = round(rng.uniform(0.0, LONGEST_DELAY), 3), round(rng.uniform(0.0, START_SECONDS), 3)
        found.append(Injection(kind, recorded, delay, rng.getrandbits(32), late))
    return tuple(sorted(found, key=lambda one: (one.trials, one.delay)))
