"""Distributed hyperparameter sweeps over segmentation loss families, and the comparison report they earn.

>>> import sweeper
>>> study = sweeper.load_study("search_spaces/demo.yaml")
>>> outcome = sweeper.run(study)          # search, confirm, MLflow, report
>>> sweeper.loss("tversky", alpha=0.3, beta=0.7)   # a torch module for one's own training

Nothing heavy (torch, Ray, MLflow) is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeper.api import (
        build_anatomy,
        build_comparison,
        build_report,
        families,
        load_results,
        load_study,
        loss,
        plan,
        run,
        verify_report,
    )

__all__ = [
    "build_anatomy",
    "build_comparison",
    "build_report",
    "families",
    "load_results",
    "load_study",
    "loss",
    "plan",
    "run",
    "verify_report",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sweeper' has no attribute {name!r}")
    from sweeper import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted(__all__)
