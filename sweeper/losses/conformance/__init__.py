"""What every loss must do, shipped or a user's own: the demands, the batches they are tried on, and who upholds them.

>>> from sweeper.losses.catalogue import family
>>> from sweeper.losses.conformance import run_suite
>>> [result for result in run_suite(family("tversky")) if result.status == "failed"]
[]
"""

from __future__ import annotations

from sweeper.losses.conformance.demands import DEMANDS, Demand
from sweeper.losses.conformance.subject import Subject
from sweeper.losses.conformance.suite import Result, run_demand, run_suite

__all__ = ["DEMANDS", "Demand", "Result", "Subject", "run_demand", "run_suite"]
