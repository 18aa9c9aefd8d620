"""Registering a study's best model under a name: `sweeper champion`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweeper.errors import RunFolderError, UserError
from sweeper.orchestration.folder import Lease, RunFolder
from sweeper.orchestration.kept_models import kept_model
from sweeper.orchestration.publish import read_identity, read_target
from sweeper.report.comparisons import Headline, Ranking
from sweeper.report.document import Document
from sweeper.report.output.writing import listed, number, percent
from sweeper.results.parquet import load
from sweeper.results.results import Results
from sweeper.tracking import uri as tracking_uri
from sweeper.tracking.uri import redact


@dataclass(frozen=True)
class Champion:
    """What was registered, and why."""

    family: str
    level: float
    why: str
    name: str
    version: str
    new: bool
    """False where the same model was registered before."""
    model: str
    """What `mlflow.pyfunc.load_model` takes."""
    tracking_uri: str
    """Password redacted."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_text(self) -> str:
        known = "" if self.new else ", which it was before"
        return (
            f"{self.why}\n{self.name}: version {self.version} is the champion{known}\n"
            f'load it: mlflow.pyfunc.load_model("{self.model}") with MLFLOW_TRACKING_URI={self.tracking_uri}'
        )


def crown(path: Path, name: str, *, level: float | None = None, uri: str | None = None) -> Champion:
    """Register the best model of a finished study in MLflow, under the alias `champion`.

    The best is the tuned family with the highest headline score at the level, which the report ranks first there; the
    verdict against every other is said with it. The model is that of the first confirm seed.

    Args:
        path: The run folder.
        name: Of the registered model.
        level: An imbalance level of the study; None is its reference level.
        uri: Another MLflow address than the run's own.

    Raises: RunFolderError or UserError when the study is not finished, has no scores or no model there; TrackingError
        when MLflow cannot be used.
    """
    folder = RunFolder(path.expanduser().absolute())
    results = _finished(folder)
    level = _level(results, level)
    document = Document(results)
    ranking = next((one for one in document.answer.rankings if one.level == level), None)
    if ranking is None:
        raise UserError(f"nothing is confirmed at {percent(level)} background, so there is no champion to name")
    family = ranking.leader.family
    model = kept_model(folder, results, family, level)
    if model is None:
        raise UserError(
            f"{folder.trials}: the model of {family} at {percent(level)} was not kept; "
            "set confirm.models to first and run the study anew"
        )
    target = read_target(folder, uri)
    tracking_uri.check(target.uri)
    why = reason(ranking, document.score)
    with Lease(folder):
        tracker = target.open()
        model_id = tracker.log_model(model, best=level == results.meta["reference"])
        tags = {"sweeper.study": target.info.name, "sweeper.family": family, "sweeper.level": f"{level:g}"}
        made = tracker.register_champion(name, model_id, why=why, tags=tags)
    return Champion(family, level, why, made.name, made.version, made.new, made.uri, redact(target.uri))


def reason(ranking: Ranking, score: Headline) -> str:
    """Say which family leads a ranking, by what, and how surely."""
    leader = ranking.leader
    parts = [
        f"{leader.family} has the highest {score.label} at {percent(ranking.level)} background on test, "
        f"{number(leader.score)}"
    ]
    groups = {
        "better than": ranking.trailing,
        "equivalent to": ranking.equivalent,
        "not enough evidence against": ranking.open,
    }
    parts += [f"{verdict} {listed(one.family for one in some)}" for verdict, some in groups.items() if some]
    if not ranking.standings[1:]:
        parts.append("no other family was confirmed")
    return "; ".join(parts) + "."


def _finished(folder: RunFolder) -> Results:
    """Return the results of a study that ended as it stands now."""
    study = read_identity(folder)["meta"]["study"]
    if not (folder.results / "trials.parquet").exists():
        raise RunFolderError(f"{folder.path}: the study is not finished; run it to its end with the same command")
    results = load(folder.results)
    if results.meta["trials"] is None or results.meta["study"] != study:
        raise RunFolderError(
            f"{folder.path}: the study was changed or continued and is not finished; run it to its end with the same "
            "command"
        )
    return results


def _level(results: Results, level: float | None) -> float:
    levels: list[float] = results.meta["levels"]
    if level is None:
        return float(results.meta["reference"])
    if level not in levels:
        raise UserError(
            f"--level: {level:g} is no level of the study; it has {', '.join(f'{one:g}' for one in levels)}"
        )
    return level
