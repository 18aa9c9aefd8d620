"""The command line as it is, but for two waits that suit studies of days and not of seconds.

Trials are checkpointed after every epoch, so that a study of seconds has checkpoints to lose, and a finished study
waits a few seconds for MLflow instead of minutes: `sweeper sync` follows anyway.
"""

from __future__ import annotations

import functools
import signal
import sys

FLUSH_SECONDS = 10.0

if __name__ == "__main__":
    try:
        from sweeper.cli import main
        from sweeper.orchestration import run
    except KeyboardInterrupt:  # the command line itself imports less before it can be interrupted
        sys.exit(128 + signal.SIGINT)
    assert run.FLUSH_SECONDS > FLUSH_SECONDS
    run.FLUSH_SECONDS = FLUSH_SECONDS
    run.Job = functools.partial(run.Job, checkpoint_seconds=0.0)
    main()
