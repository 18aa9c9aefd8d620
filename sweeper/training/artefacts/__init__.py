"""Networks trained once on the training masks of a data set, before any trial, and shared by all of them.

They learn from masks alone, without labels of their own: one puts a moved boundary back, one reproduces masks through a
bottleneck. Validation and test masks are never looked at; a part of the training masks is held out to say how well it
went.
"""

from __future__ import annotations

from sweeper.training.artefacts.build import STEPS, Artefact, build
from sweeper.training.artefacts.store import VERSIONS, reports, with_artefacts

__all__ = ["STEPS", "VERSIONS", "Artefact", "build", "reports", "with_artefacts"]
