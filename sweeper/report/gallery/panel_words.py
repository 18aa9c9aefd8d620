"""What the report says about its pictures, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweeper.report.document import Document
from sweeper.report.gallery.cases import Disagreement, MissedObject
from sweeper.report.gallery.panels import PanelGrid, Rule, older_layout
from sweeper.report.output.writing import digits, percent


def absence(document: Document) -> str:
    """Say why there are no pictures, and how to get them."""
    if document.panels is not None:
        return "No rule chose a patch: no test patch shows a minority class."
    if older_layout(document.pictures):
        return (
            "The pictures in this run's folder are of an earlier version of sweeper, which kept a few patches chosen "
            "in advance; no rule can choose among them, and they are not shown. A new run keeps what is needed."
        )
    if document.pictures is None:
        return (
            "Predictions are kept in the run folder, beside the results: this report was built from the results alone. "
            "`sweeper report` on the run folder shows them."
        )
    return "No predictions were kept: no confirm trial has finished, or no test patch shows a minority class."


def crowd(document: Document, families: Sequence[str], most: int) -> str:
    """Say which families are shown where not all are; `most` is how many before the baseline."""
    hidden = len(document.order) - len(families)
    if not hidden:
        return ""
    also = " and the baseline" if len(families) > most else ""
    return (
        f"Shown are the {most} families of highest {document.score.label} at the hardest level{also}; the rules look "
        f"at all {len(document.order)}, and the table below has their numbers."
    )


def intro(kept: PanelGrid) -> str:
    """Say what the pictures are of, and what they were chosen from."""
    patches, available = len(kept.patches), int(kept.patches.available)
    pool = f"the {patches:,} test patches that show a minority class"
    if patches < available:
        pool = (
            f"{patches:,} of the {available:,} test patches that show a minority class, an even share of every picture"
        )
    levels = " and ".join(percent(level) for level in kept.levels)
    same = ", the same patches at both" if len(kept.levels) > 1 else ""
    return (
        f"Chosen by rule from {pool}, by what all families predict at {percent(kept.level)} background. Shown at "
        f"{levels}{same}: each family in its tuned setting, seed {kept.seed}, argmax. Pixels are counted as they are, "
        "not under level weights. Single patches show kinds of error; they do not rank families."
    )


def omitted(kept: PanelGrid) -> Iterator[str]:
    """Say which rules chose nothing."""
    kinds = {type(rule) for case in kept.cases for rule in case.rules}
    if Disagreement not in kinds:
        alone = len(kept.families) == 1
        yield "One family has nothing to disagree with." if alone else "No two families differ in any of these patches."
    if MissedObject not in kinds:
        yield "No family missed an object: of each, at least one pixel was predicted as its class."


def title(one: Rule) -> str:
    """Name a rule."""
    if isinstance(one, Disagreement):
        return "Largest disagreement between families"
    return "Smallest object missed" if isinstance(one, MissedObject) else "Median case"


def reason(document: Document, kept: PanelGrid, one: Rule) -> str:
    """Say why a patch is shown, with the number that decided."""
    if isinstance(one, Disagreement):
        return (
            "Of all patches the one with most pixels in which two families predict different classes: "
            f"{one.pixels:,.0f} on average over all pairs of families."
        )
    if isinstance(one, MissedObject):
        name = class_name(document, one.klass)
        size = f"1 pixel of {name}, not" if one.pixels == 1 else f"{one.pixels:,} pixels of {name}, none of them"
        who = f"{one.families} of {len(kept.families)} families" if len(kept.families) > 1 else "the family"
        if one.alike > 1:
            first = f"The smallest of the {one.alike:,} objects that {who} missed"
        else:
            first = f"The one object that {who} missed{', more than any other' if len(kept.families) > 1 else ''}"
        return (
            f"{first}, ringed: {size} predicted as such. An object is a connected region of one minority class in the "
            "whole picture."
        )
    return (
        f"The middle of all {len(kept.patches):,} patches, ordered by the mean over families of their minority IoU: "
        f"{digits(one.iou)} here."
    )


def class_name(document: Document, index: int) -> str:
    """Return the name of a class by its index in the masks."""
    return next(str(one["name"]) for one in document.results.meta["data"]["classes"] if one["index"] == index)


def best_and_worst(kept: PanelGrid, families: Sequence[str]) -> str:
    """Say how far the families are off in each log."""
    parts = []
    for track in kept.tracks:
        means = {}
        for family in families:
            own = [value for (one, _), value in track.errors.items() if one == family]
            if own:
                means[family] = sum(own) / len(own)
        if not means:
            continue
        best, worst = min(means, key=lambda one: means[one]), max(means, key=lambda one: means[one])
        off = f"{best} is off by {100 * means[best]:.1f}\u00a0% of the track width"
        if worst != best:
            off += f", {worst} by {100 * means[worst]:.1f}\u00a0%"
        parts.append(f"{track.stem} ({track.rule}): {off}.")
    return " ".join(parts)
