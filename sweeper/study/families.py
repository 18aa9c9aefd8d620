"""The `families` section: which losses, with which domains. Checked against the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sweeper import domains
from sweeper.data.settings import IGNORE
from sweeper.domains import Choice, Complement, Domain, Int, LogUniform, Uniform
from sweeper.errors import DomainError, UnknownFamily, UserError, suggest
from sweeper.losses.catalogue import family
from sweeper.losses.family import Family, Hyperparameter, acting_words

Report = Callable[[tuple[str | int, ...], str, str], None]
"""Called with (key path, what is wrong, what would be right) for every problem."""


MOST_FAMILIES = 500
"""Each is tried before a study starts. The catalogue is far below."""


def resolve_families(raw: Any, report: Report) -> dict[str, dict[str, Domain]]:
    """Return, by canonical family name, every hyperparameter's domain: the family's own where the study is silent."""
    if isinstance(raw, list | tuple):
        entries: list[tuple[tuple[str | int, ...], Any, Any]] = [
            (("families", index), name, {}) for index, name in enumerate(raw)
        ]
    elif isinstance(raw, Mapping):
        entries = [(("families", name), name, body) for name, body in raw.items()]
    else:
        report(("families",), f"{raw!r} is not a list of names or a map", "for example [dice, tversky]")
        return {}
    if len(entries) > MOST_FAMILIES:
        report(("families",), f"lists {len(entries)} families", f"compare at most {MOST_FAMILIES} at once")
        return {}
    if not entries:
        report(("families",), "is empty", "list at least one family, for example [dice, tversky]")
    resolved: dict[str, dict[str, Domain]] = {}
    for path, name, body in entries:
        if not isinstance(name, str):
            report(path, f"{name!r} is not a name", "name a loss family")
            continue
        try:
            known = family(name)
        except UnknownFamily as error:
            report(path, f"there is no loss family {name!r}", error.hint)
            continue
        except UserError as error:
            report(path, str(error), "give `module:function` of a loss that can be imported")
            continue
        canonical = name if ":" in name else known.name
        if canonical in resolved:
            report(path, f"{name!r} is {canonical} once more", "name each family once")
            continue
        if body is None:
            body = {}
        if not isinstance(body, Mapping):
            report(path, f"{body!r} is not a map of hyperparameters", "write {} or {hyperparameter: domain}")
            continue
        resolved[canonical] = _resolve_family(known, body, path, report)
    return resolved


def _resolve_family(
    known: Family, body: Mapping[Any, Any], path: tuple[str | int, ...], report: Report
) -> dict[str, Domain]:
    told: list[tuple[str | int, ...]] = []

    def tell(where: tuple[str | int, ...], wrong: str, right: str) -> None:
        told.append(where)
        report(where, wrong, right)

    domains_of = _resolve_domains(known, body, path, tell)
    if not told:  # what is known to be wrong would only be said once more
        _try_out(known, domains_of, path, report)
    return domains_of


def _resolve_domains(
    known: Family, body: Mapping[Any, Any], path: tuple[str | int, ...], report: Report
) -> dict[str, Domain]:
    given: dict[str, Domain] = {}
    wrong_keys: set[str] = set()
    for key, spec in body.items():
        dial = known.hyperparameters.get(key)
        if dial is None:
            names = known.hyperparameters
            right = suggest(str(key), names) if names else f"{known.name} has none: write {known.name}: {{}}"
            report((*path, key), f"{known.name} has no hyperparameter {key!r}", right)
            continue
        try:
            given[key] = domains.as_real(domains.parse_domain(spec), dial.legal)
        except DomainError as error:
            wrong, _, right = str(error).partition("; ")
            report((*path, key), wrong, right or f"for example {key}: {_example(dial)}")
            wrong_keys.add(key)
            continue
        if given[key] == domains.Fixed(None) and known.defaults[key] is None:
            continue
        problem = domains.outside(given[key], dial.legal)
        if problem:
            wrong_keys.add(key)
            report((*path, key), f"{problem}", f"{key} of {known.name} may be {domains.legal_words(dial.legal)}")
    merged = {**known.domains, **given}
    for key in known.hyperparameters:
        inert = None if wrong_keys.intersection(_partners(known, key)) else _inert(known, key, merged)
        if inert is not None and key in given:
            report((*path, key), *inert)
        elif inert is not None:
            merged[key] = domains.Fixed(known.defaults[key])  # to search it would be to train the same trial again
    for key, domain in merged.items():
        if isinstance(domain, Complement) and domain.of not in wrong_keys:
            _check_complement(known, key, domain, merged, (*path, key), report)
    return merged


def _inert(known: Family, key: str, merged: Mapping[str, Domain]) -> tuple[str, str] | None:
    """Say what is wrong, and what would be right, with a hyperparameter that does nothing in any reachable setting."""
    dial = known.hyperparameters[key]
    for partner, values in dial.acts_with.items():
        if all(domains.outside(domains.Fixed(value), _reach(merged[partner])) for value in values):
            wrong = f"does nothing: {known.name} uses it only with {acting_words({partner: values})}"
            return wrong, f"set {acting_words({partner: values}, ' to ')}, or leave {key} out"
    ramp = f"{dial.ramps}_ramp"
    if key == f"{dial.ramps}_start" and domains.ends(merged[ramp]) == (0,):
        return f"does nothing: {ramp} is 0, which is no ramp", f"set {ramp} above 0, or leave {key} out"
    return None


def _partners(known: Family, key: str) -> tuple[str, ...]:
    """Return the other hyperparameters that decide whether one does anything."""
    dial = known.hyperparameters[key]
    return (*dial.acts_with, *(() if dial.ramps is None else (f"{dial.ramps}_ramp",)))


def _reach(domain: Domain) -> Domain:
    return Choice((domain.value,)) if isinstance(domain, domains.Fixed) else domain


def _try_out(known: Family, domains_of: Mapping[str, Domain], path: tuple[str | int, ...], report: Report) -> None:
    """Call the loss on a few pixels at the ends of its domains: what it refuses is refused before hours of work."""
    start = {key: _first(known, key, domain) for key, domain in domains_of.items()}
    settings = [start]
    settings += [{**start, key: end} for key, domain in domains_of.items() for end in domains.ends(domain)]
    for values in settings:
        try:
            _call(known, domains.resolve_complements(domains_of, values))
        except UserError as error:
            wrong, _, right = str(error).partition("; ")
            report(path, wrong, right or "change one of its hyperparameters")
            return
        except Exception as error:
            report(path, f"the loss raises {type(error).__name__}: {error}", "mend it, or change its hyperparameters")
            return


def _call(known: Family, values: Mapping[str, domains.Value]) -> None:
    """Call the loss as the trainer does, at both ends of training, with untrained networks for trained ones."""
    import torch

    from sweeper.losses.needs import ARTEFACTS, MAPS
    from sweeper.losses.networks import untrained_companion
    from sweeper.losses.primitives import prepare
    from sweeper.losses.ramp import arguments
    from sweeper.losses.target_maps import target_map

    needs = known.needs_at(values)
    classes, channels, features = 2, 3, 4
    logits, target = torch.zeros(2, classes, 32, 32), torch.zeros(2, 32, 32, dtype=torch.int64)
    target[:, 8:12] = 1
    given: dict[str, Any] = {
        "class_frequencies": torch.tensor([0.875, 0.125]),
        "images": torch.zeros(2, channels, 32, 32),
        "features": torch.zeros(2, features, 32, 32),
        "classifier": lambda each: each[..., :classes],
        "step": 0,
    }
    pixels = prepare(logits, target, IGNORE)
    needed = {
        name: target_map(name, None, pixels) if name in MAPS else given[name] for name in needs if name not in ARTEFACTS
    }
    if known.companion is not None:
        with torch.random.fork_rng(devices=[]):
            needed["companion"] = untrained_companion(known, values, classes=classes, channels=channels)
    for progress in (0.0, 1.0):
        known.function(logits, target, ignore_index=IGNORE, **arguments(known, values, progress), **needed)


def _first(known: Family, key: str, domain: Domain) -> domains.Value:
    ends = domains.ends(domain)
    return ends[0] if ends else known.defaults[key]


def _check_complement(
    known: Family,
    key: str,
    domain: Complement,
    merged: Mapping[str, Domain],
    path: tuple[str | int, ...],
    report: Report,
) -> None:
    partner = merged.get(domain.of)
    if partner is None or domain.of == key:
        others = [name for name in known.hyperparameters if name != key]
        right = suggest(domain.of, others) if others else f"{known.name} has no other hyperparameter"
        report(path, f"is the complement of {domain.of!r}", right)
    elif isinstance(partner, Complement):
        report(path, f"{key} and {domain.of} are complements of each other", f"give {domain.of} a domain of its own")
    else:
        legal = known.hyperparameters[key].legal
        for value in domains.ends(partner):
            if isinstance(value, bool) or not isinstance(value, int | float):
                report(path, f"is the complement of {domain.of}, which may be {value!r}", "complement needs numbers")
                return
            problem = domains.outside(domains.Fixed(round(1.0 - value, 12)), legal)
            if problem:
                words = domains.legal_words(legal)
                report(path, f"is 1 − {domain.of} and so {problem}", f"narrow {domain.of}: {key} may be {words}")


def _example(dial: Hyperparameter) -> object:
    legal = dial.search or dial.legal
    match legal:
        case Uniform() | LogUniform() | Int() | Choice():
            return domains.domain_spec(legal)
    return "a value"
