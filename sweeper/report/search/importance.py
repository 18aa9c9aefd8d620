"""Which hyperparameters decide whether a setting is among the best: PED-ANOVA, beside what shuffled scores give.

Optuna's PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv:2304.10255) compares where the best trials of a search lie
along a hyperparameter with where all of them do. Its values add up to something for scores without any meaning too,
most of all after few trials, so each stands beside what it is when the same scores are dealt out to the trials at
random: only what is seldom reached that way is called clear of noise. A search that follows its own lucky scores makes
them look a little less random than that: of 100 dials without effect, searched by TPE on pure noise, 9, 7 and 4 came
out clear after 24, 40 and 64 trials, where 5 were to be expected.
"""

from __future__ import annotations

import json
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from sweeper.domains import Choice, Domain, Int, LogUniform, Uniform, parse_domain
from sweeper.report.search.searched import described, searched

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study

    from sweeper.results.results import Results

LEAST = 20
"""Trials below which nothing is said: their best quarter would be fewer than `BEST`."""
BEST = 5
"""Trials at least among the best, as Optuna's documentation of the evaluator advises."""
QUANTILE = 0.1
"""Share of the trials that counts as the best, where that is `BEST` or more."""
MOST = 200
"""Trials of a family that are used; of more, as many spread evenly over the search."""
SHUFFLES = 99
CHANCE = 0.05

COLUMNS = ["family", "hyperparameter", "trials", "importance", "share", "shuffled", "chance", "clear"]


def importance(results: Results, *, seed: int = 0) -> pd.DataFrame:
    """Return how much every searched hyperparameter decides about being among the best trials of its family.

    Columns: family, hyperparameter, trials (used), importance (PED-ANOVA's, 0 or more), share (of the family's sum),
    shuffled (its 95th percentile under shuffled scores), chance (share of shuffles that reach it), clear (whether that
    is at most `CHANCE`). A family with fewer than `LEAST` trials has NaN and is not clear.

    Trials of all levels are used, ranked within their level. Stopped trials were judged worse while they ran and rank
    below those that ended; failed ones are left out.
    """
    table = results.trials
    wanted = pc.and_(pc.equal(table["stage"], "search"), pc.is_valid(table["objective"]))
    columns = ["family", "level", "number", "status", "objective", "hyperparameters"]
    trials = table.filter(wanted).select(columns).to_pandas().sort_values(["family", "level", "number"], kind="stable")
    rows: list[tuple[Any, ...]] = []
    for index, family in enumerate(results.meta["families"]):
        own = trials[trials["family"] == family]
        names = searched(results, family)
        if not names or own.empty:
            continue
        settings = [json.loads(text) for text in own["hyperparameters"]]
        complete = [all(name in setting for name in names) for setting in settings]
        own = own[complete]
        settings = [setting for setting, whole in zip(settings, complete, strict=True) if whole]
        if len(own) < LEAST:
            rows += [(family, name, len(own), *[float("nan")] * 4, False) for name in names]
            continue
        kept = np.unique(np.linspace(0, len(own) - 1, min(len(own), MOST)).round().astype(int))
        about = described(results, family)
        domains = {name: parse_domain(about[name]["domain"]) for name in names}
        ranks = _ranks(own.iloc[kept])
        found, null = _against_shuffles(
            [settings[one] for one in kept], domains, ranks, own["level"].to_numpy()[kept], seed + index
        )
        total = sum(found.values())
        for name in names:
            reached = float(np.mean([*(null[name] >= found[name] - 1e-12), True]))
            rows.append(
                (
                    family,
                    name,
                    len(kept),
                    found[name],
                    found[name] / total if total > 0 else float("nan"),
                    float(np.quantile(null[name], 1 - CHANCE)),
                    reached,
                    reached <= CHANCE,
                )
            )
    return pd.DataFrame(rows, columns=COLUMNS).astype({"clear": bool})


def _ranks(trials: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the place of every trial within its level, in (0, 1], the best 1; stopped ones below those that ended."""
    ended = trials["objective"] + 2.0 * (trials["status"] == "completed")
    return ended.groupby(trials["level"]).rank(pct=True, method="first").to_numpy(np.float64)


def _against_shuffles(
    settings: list[dict[str, Any]],
    domains: dict[str, Domain],
    ranks: np.ndarray[Any, np.dtype[np.float64]],
    levels: np.ndarray[Any, np.dtype[np.float64]],
    seed: int,
) -> tuple[dict[str, float], dict[str, np.ndarray[Any, np.dtype[np.float64]]]]:
    """Return the importance of every hyperparameter, and (SHUFFLES,) of it with ranks shuffled within levels."""
    # Imported here: a report without a search, or read by a program that has no Optuna, needs none of it.
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.trial import create_trial

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        space = {name: _distribution(domain) for name, domain in domains.items()}
        study = optuna.create_study(direction="maximize")
        study.add_trials(
            create_trial(params={name: setting[name] for name in space}, distributions=space, value=float(rank))
            for setting, rank in zip(settings, ranks, strict=True)
        )
        quantile = max(QUANTILE, math.ceil(BEST) / len(settings))
        evaluator = PedAnovaImportanceEvaluator(target_quantile=quantile)
        found = _evaluated(evaluator, study, list(space), ranks)
        rng = np.random.default_rng(seed)
        groups = [np.flatnonzero(levels == level) for level in np.unique(levels)]
        null: dict[str, list[float]] = {name: [] for name in space}
        for _ in range(SHUFFLES):
            shuffled = ranks.copy()
            for group in groups:
                shuffled[group] = rng.permutation(ranks[group])
            for name, value in _evaluated(evaluator, study, list(space), shuffled).items():
                null[name].append(value)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return found, {name: np.array(values) for name, values in null.items()}


def _evaluated(
    evaluator: Any, study: Study, names: list[str], ranks: np.ndarray[Any, np.dtype[np.float64]]
) -> dict[str, float]:
    with warnings.catch_warnings():
        # It says that it looks for low values, which is why the ranks are turned round.
        warnings.simplefilter("ignore")
        values: dict[str, float] = evaluator.evaluate(study, names, target=lambda trial: -ranks[trial.number])
    return values


def _distribution(domain: Domain) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match domain:
        case Uniform(low, high):
            return FloatDistribution(low, high)
        case LogUniform(low, high):
            return FloatDistribution(low, high, log=True)
        case Int(low, high):
            return IntDistribution(low, high)
        case Choice(values):
            return CategoricalDistribution(values)
    raise TypeError(f"{domain} leaves nothing to search")
