"""The "methods" paragraphs of a paper, generated from what a study says of itself and from what its trials did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from sweeper.report import tables
from sweeper.report.inference.statistics import REPS
from sweeper.report.output.escaping import visible
from sweeper.report.output.writing import digits, listed, percent

if TYPE_CHECKING:
    from sweeper.report.document import Document

SAMPLERS = {"tpe": "the tree-structured Parzen estimator", "random": "random search", "qmc": "a quasi-random sequence"}
ARCHITECTURES = {"unet": "U-Net", "unetplusplus": "U-Net++", "fpn": "FPN", "deeplabv3plus": "DeepLabv3+"}
SPLITS = {"train": "training", "val": "validation", "test": "testing"}
TOLERANCE = 0.001
"""How far the background share on test may be from its level before methods say so."""
ALL_NAMES = 80
"""More names than any study has families: methods name them all."""


def methods(document: Document) -> list[str]:
    """Return the paragraphs, ready to be pasted: data, training, search and confirmation, statistics, software."""
    return [
        " ".join(part)
        for part in (
            _data(document),
            _training(document),
            _search(document),
            _statistics(document),
            _software(document),
        )
    ]


def _data(document: Document) -> Iterator[str]:
    meta, study = document.results.meta, document.results.meta["study"]
    data = meta["data"]
    families = document.families
    yield (
        f"We compared {counted(len(families), 'loss family', 'loss families')} for semantic segmentation under class "
        f"imbalance ({listed(families, most=ALL_NAMES)})."
    )
    parts = []
    for name, about in (data.get("splits") or {}).items():
        size = f"{counted(about['pictures'], 'picture')} and {counted(about['patches'], 'patch', 'patches')}"
        parts.append(f"{size} for {SPLITS.get(name, name)}")
    cut = f", cut into patches of {data['patch']} × {data['patch']} pixels" if data.get("patch") else ""
    amount = f" ({listed(parts)})" if parts else ""
    yield f"The data set is {data['name']} (fingerprint {data['fingerprint']}){cut}{amount}."
    background = next((one["name"] for one in data["classes"] if one["index"] == data["background"]), None)
    if background is not None and document.minority:
        plural = "is" if len(document.minority) == 1 else "are"
        yield f"Background is the class {background}; of interest {plural} {listed(document.minority, most=ALL_NAMES)}."
    natural = ((data.get("splits") or {}).get("train") or {}).get("natural_level")
    if natural is not None:
        yield f"In the training patches as they are, {percent(round(natural, 4))} of the pixels are background."
    levels = [percent(level) for level in meta["levels"]]
    reference = f", the reference being {percent(meta['reference'])}" if len(levels) > 1 else ""
    reached = tables.levels_reached(document.results)
    yield (
        f"Imbalance was varied by weighting patches, in training, validation and testing, so that the weighted share "
        f"of background pixels is {listed(levels, most=ALL_NAMES)}{reference}; no pixel was altered.{_ways(document)}"
    )
    off = reached[(reached["measured"] - reached["level"]).abs() > TOLERANCE]
    if len(off):
        pairs = zip(off["measured"].tolist(), off["level"].tolist(), strict=True)
        said = [f"{percent(measured)} instead of {percent(level)}" for measured, level in pairs]
        yield f"On the test split it measures {listed(said)}."
    if study.get("imbalance", {}).get("reference") is not None and len(reached):
        least = reached.sort_values("ess").iloc[0]
        if least["ess"] == least["ess"]:
            yield (
                f"The effective number of test patches under these weights is {least['ess']:.0f} at least "
                f"(at {percent(least['level'])})."
            )


def _ways(document: Document) -> str:
    """Say by which weights each split reached its levels."""
    trials = document.results.trials
    ways = {shown: sorted(set(trials[f"weighting_{name}"].drop_null().to_pylist())) for name, shown in SPLITS.items()}
    known = {shown: " and ".join(found) for shown, found in ways.items() if found}
    if not known:
        return ""
    if len(set(known.values())) == 1:
        return f" Weights are those of {next(iter(known.values()))}."
    return f" Weights: {'; '.join(f'{shown}, {found}' for shown, found in known.items())}."


def _training(document: Document) -> Iterator[str]:
    study = document.results.meta["study"]
    model, training = study.get("model") or {}, study.get("training") or {}
    if model.get("arch"):
        name = ARCHITECTURES.get(model["arch"], str(model["arch"]))
        encoder = f" with a {model['encoder']} encoder" if model.get("encoder") else ""
        weights = f"initialized from {model['weights']}" if model.get("weights") else "trained from scratch"
        yield f"All trials trained a {name}{encoder}, {weights}."
    if training.get("epochs"):
        steps = training.get("steps_per_epoch")
        length = counted(training["epochs"], "epoch") + (f" of {counted(steps, 'step')}" if steps else "")
        batch = f" with batches of {training['batch_size']} patches" if training.get("batch_size") else ""
        yield f"Training lasted {length}{batch}{_optimizer(training)}."
    augment = training.get("augment")
    if augment:
        yield f"Patches were augmented by {listed(list(augment))}."
    tuned = [name for name, value in training.items() if isinstance(value, dict)]
    same = "data, initial weights, batch order, schedule and budget"
    beside = f" and what the search chose for {listed(tuned)}" if tuned else ""
    yield f"For a given seed, families share {same}; only the loss{beside} differs."


def _optimizer(training: Mapping[str, Any]) -> str:
    if not training.get("optimizer"):
        return ""
    name = {"adamw": "AdamW"}.get(training["optimizer"], str(training["optimizer"]))
    rate = training.get("lr")
    said = [f"learning rate {rate:g}" if isinstance(rate, int | float) else "the learning rate tuned per family"]
    if isinstance(training.get("weight_decay"), int | float):
        said.append(f"weight decay {training['weight_decay']:g}")
    if isinstance(training.get("warmup"), int | float):
        said.append(f"linear warm-up over {percent(training['warmup'])} of the steps, then cosine decay to zero")
    return f" by {name} ({', '.join(said)})"


def _search(document: Document) -> Iterator[str]:
    meta = document.results.meta
    search, confirm = meta["study"].get("search") or {}, meta["study"].get("confirm") or {}
    where = "at every level" if search.get("levels") == "all" else f"at {percent(meta['reference'])} background"
    sampler = SAMPLERS.get(str(search.get("sampler")), str(search.get("sampler")))
    stopping = (
        "trials that fell behind those of their own family and level were stopped early (successive halving)"
        if search.get("stopping") == "asha"
        else "no trial was stopped early"
    )
    yield (
        f"Hyperparameters of each family were searched {where} by {sampler} (seed {search.get('seed')}) with at most "
        f"{counted(search.get('trials', 0), 'trial')}, the first being the family's default; {stopping}."
    )
    table = document.results.trials
    searched = table.filter(pc.equal(table["stage"], "search"))
    if searched.num_rows:
        found = {name: int(pc.sum(pc.equal(searched["status"], name)).as_py() or 0) for name in ("stopped", "failed")}
        was = "was" if found["stopped"] == 1 else "were"
        rest = [f"{found['stopped']} {was} stopped early"] if found["stopped"] else []
        rest += [f"{found['failed']} failed"] if found["failed"] else []
        ran = f"{counted(searched.num_rows, 'search trial')} {'was' if searched.num_rows == 1 else 'were'} run"
        yield f"In all, {ran}{f', of which {listed(rest)}' if rest else ''}."
    yield f"{meta.get('selection') or 'How settings were selected is not recorded.'}"
    seeds = int(confirm.get("seeds") or 0)
    confirmed = table.filter(pc.equal(table["stage"], "confirm"))
    if not confirmed.num_rows:
        yield "No setting has been confirmed on the test split yet."
        return
    both = "settings of every family were" if confirm.get("include_default") else "setting of every family was"
    default = " and the default" if confirm.get("include_default") else ""
    yield (
        f"The chosen{default} {both} then trained anew at every level with "
        f"{counted(seeds, 'fresh seed')} and scored once on the test split."
    )
    failed = int(pc.sum(pc.equal(confirmed["status"], "failed")).as_py() or 0)
    if failed:
        left = f"{failed} failed and {'is' if failed == 1 else 'are'} left out"
        yield f"Of these {counted(confirmed.num_rows, 'trial')}, {left}."
    missing = tables.missing(document.results)
    if len(missing):
        yield f"{counted(len(missing), 'family and level lacks', 'pairs of family and level lack')} planned seeds."
    yield (
        "Every model was scored at two operating points: the most probable class, and the same after adding to the "
        "background logit the offset that was best on validation."
    )


def _statistics(document: Document) -> Iterator[str]:
    yield (
        "Scores are ratios of pixel counts pooled over the test pictures under the level weights "
        f"({document.score.label} unless said otherwise), averaged over seeds; a class that no test picture shows has "
        "none."
    )
    seeds = {len(cell.seeds) for cell in document.evidence.counts.values()}
    if seeds == {1}:
        yield (
            f"Intervals are 95 % percentile intervals of a bootstrap ({REPS:,} resamples) of the test pictures; with "
            "one seed they do not cover the luck of training."
        )
    else:
        yield (
            "Intervals are 95 % percentile intervals of a crossed bootstrap "
            f"({REPS:,} resamples; seed {document.seed}) of seeds "
            "and test pictures, the part due to seeds widened by Student's t for their number."
        )
    yield (
        "Differences are paired over seeds and pictures. Two families are called equivalent where the interval of "
        f"their difference lies within ±{document.rope:g}; else one is called better where that interval excludes zero "
        "and the Wilcoxon signed-rank test over pictures, Holm-corrected over all pairs of the level, rejects at 5 % "
        "in the same direction; otherwise the evidence is called insufficient."
    )
    if seeds == {1}:
        yield "With a single seed no verdict is given."


def _software(document: Document) -> Iterator[str]:
    meta = document.results.meta
    versions = meta.get("versions") or {}
    names = {"torch": "PyTorch", "ray": "Ray Tune", "optuna": "Optuna", "segmentation-models-pytorch": "SMP"}
    used = [f"{shown} {versions[name]}" for name, shown in names.items() if versions.get(name)]
    version = f" {versions['sweeper']}" if versions.get("sweeper") else ""
    yield f"The study was run with sweeper{version}{f' ({listed(used)})' if used else ''}."
    trials = document.results.trials
    kinds = zip(trials["device"].to_pylist(), trials["precision"].to_pylist(), strict=True)
    devices = sorted({f"{device} ({precision})" for device, precision in kinds if device})
    hours = (pc.sum(trials["seconds"]).as_py() or 0.0) / 3600
    if devices:
        mixed = ", which differ: compare with care" if len(devices) > 1 else ""
        yield f"Trials ran on {listed(devices)}{mixed}, {digits(hours, 1 if hours >= 1 else 2)} hours in all."
    if document.unfinished:
        yield "The study had not ended when these numbers were written."


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return `1 seed`, `3 seeds`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def to_text(paragraphs: Sequence[str]) -> str:
    """Return the paragraphs as plain text, an empty line between them."""
    return visible("\n\n".join(paragraphs)).replace("\u00a0", " ") + "\n"
