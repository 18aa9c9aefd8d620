"""What the losses of a study need that takes work before the first trial: target maps, and networks trained once."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sweeper.data.patches import Prepared
from sweeper.data.prepare import Progress
from sweeper.data.target_maps import with_maps
from sweeper.domains import Domain, Value, ends, resolve_complements
from sweeper.files import write_text
from sweeper.losses.catalogue import family
from sweeper.losses.family import Family
from sweeper.losses.needs import ARTEFACTS, EVERY, MAPS
from sweeper.results.meta import trained_words
from sweeper.study.schema import Study

Report = dict[str, float | int | str]
"""How an artefact was trained and how well."""

MOST_SETTINGS = 4096
"""Settings of one family that are asked what they need; of a larger space everything any setting may need is taken."""


def reachable_needs(study: Study) -> tuple[str, ...]:
    """Return what any setting that the study can reach needs, in the order of `losses.needs.EVERY`."""
    found = {need for name, domains in study.families.items() for need in _needs(family(name), domains)}
    return tuple(name for name in EVERY if name in found)


def with_needs(
    data: Prepared, needs: Sequence[str], folder: Path, *, verify: bool = True, progress: Progress | None = None
) -> Prepared:
    """Return the data with the target maps and artefacts among `needs`, from `folder`, its own, or made and kept there.

    Args:
        verify: Whether maps that are there already are read through and checked; once for all who share them is enough.
        progress: Called with how much is done, how much there is, and what it is.

    Raises: DataError when they cannot be kept; LossError when the masks cannot teach an artefact.
    """
    data = with_maps(data, [name for name in needs if name in MAPS], folder, verify=verify, progress=progress)
    if artefacts := _artefacts(needs):
        from sweeper.training.artefacts import with_artefacts

        data = with_artefacts(data, artefacts, folder, progress=progress)
    return data


def artefact_reports(needs: Sequence[str], folder: Path) -> dict[str, Report]:
    """Return how well each artefact among `needs` was trained, by name; without those that are not in `folder`."""
    artefacts = _artefacts(needs)
    if not artefacts:
        return {}
    from sweeper.training.artefacts import reports

    return reports(folder, artefacts)


def keep_reports(file: Path, fingerprint: str, reports: Mapping[str, Report]) -> None:
    """Note the reports of the artefacts of a data set in `file`, beside those noted before."""
    known = _kept(file)
    if reports:
        write_text(file, json.dumps({**known, fingerprint: {**known.get(fingerprint, {}), **reports}}, indent=1))


def kept_reports(file: Path, fingerprint: str, needs: Sequence[str]) -> dict[str, Report]:
    """Return the reports of the artefacts among `needs` that were noted in `file` for a data set."""
    known = _kept(file).get(fingerprint, {})
    return {name: known[name] for name in _artefacts(needs) if name in known}


def report_line(name: str, report: Mapping[str, float | int | str]) -> str:
    """Return one line for people on how well an artefact was trained."""
    return f"{name}: {trained_words(report)}"


def _kept(file: Path) -> dict[str, dict[str, Report]]:
    """Return what is noted in `file`, by data set; what is damaged counts as never noted."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        return {data: {name: one for name, one in noted.items() if _is_report(one)} for data, noted in known.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _is_report(noted: object) -> bool:
    try:
        return isinstance(noted, Mapping) and bool(trained_words(noted))
    except (KeyError, TypeError, ValueError):
        return False


def _artefacts(needs: Sequence[str]) -> list[str]:
    return [name for name in needs if name in ARTEFACTS]


def _needs(known: Family, domains: Mapping[str, Domain]) -> set[str]:
    if known.narrow is None or math.prod(len(ends(domain)) or 1 for domain in domains.values()) > MOST_SETTINGS:
        return {*known.needs}
    return {need for values in _corners(known, domains) for need in known.needs_at(values)}


def _corners(known: Family, domains: Mapping[str, Domain]) -> Iterator[dict[str, Value]]:
    """Yield every combination of choices and ends of ranges: a need hangs on a word, or on a number being 0."""
    free = {name: ends(domain) for name, domain in domains.items() if ends(domain)}
    for corner in itertools.product(*free.values()):
        yield resolve_complements(domains, {**known.defaults, **dict(zip(free, corner, strict=True))})
