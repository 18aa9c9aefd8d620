"""From a study file to a `Study`, or to one message with everything that is wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sweeper import domains
from sweeper.data.settings import Folder, RasterLog
from sweeper.documents.plain import Malformed, check_plain
from sweeper.domains import Domain
from sweeper.errors import DomainError, Problem, StudyError, suggest
from sweeper.study.families import resolve_families
from sweeper.study.limits import LIMITS, check_limits
from sweeper.study.overlay import Raw, apply_overrides, merge, read_raw
from sweeper.study.schema import Confirm, Imbalance, Resources, Search, Study, Tracking
from sweeper.study.yaml_file import LIMITS as LIMITS_OF_A_FILE
from sweeper.study.yaml_file import KeyPath
from sweeper.training.trial import TUNABLE_TRAINING, ModelSettings, TrainingSettings

_SECTIONS: Mapping[str, tuple[type, ...]] = {
    "data": (RasterLog, Folder),
    "imbalance": (Imbalance,),
    "model": (ModelSettings,),
    "training": (TrainingSettings,),
    "search": (Search,),
    "confirm": (Confirm,),
    "resources": (Resources,),
    "tracking": (Tracking,),
}
_TOP_LEVEL = ("name", "extends", "families", *_SECTIONS)


def load_study(
    source: str | Path | Mapping[str, Any], *, overrides: Sequence[str] = (), data: Folder | None = None
) -> Study:
    """Read, complete and check a study.

    Args:
        source: Path of a study file, or its contents as plain data.
        overrides: `dotted.key=value`, applied last, values in YAML.
        data: Replaces the study's `data` section; its `patch`, `limit` and `seed` are kept.

    Raises: StudyError with every problem found, each as `file:line: key: what is wrong; what would be right`.
    """
    if isinstance(source, Mapping):
        try:
            check_plain(source, LIMITS_OF_A_FILE)
        except Malformed as error:
            raise StudyError([Problem("study", "(contents)", error.wrong, error.right)]) from None
        raw = Raw(_tuples(source))
        raw.data.setdefault("name", "study")
    else:
        raw = read_raw(Path(source))
    if data is not None:
        raw = _replace_data(raw, data)
    raw = apply_overrides(raw, overrides)
    return _Checker(raw).study()


class _Checker:
    """Collects every problem of one raw study before any of them is raised."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.problems: dict[Problem, None] = {}
        """In the order found, each once."""
        self._out_of_bounds: set[KeyPath] = set()
        """Keys that `limits` complained of, in better words than the schema's."""

    def report(self, path: KeyPath, wrong: str, right: str) -> None:
        key = ".".join(str(part) for part in path)
        self.problems[Problem(self.raw.place(path), key, wrong, right)] = None

    def _report_bounds(self, path: KeyPath, wrong: str, right: str) -> None:
        self._out_of_bounds.add(path)
        self.report(path, wrong, right)

    def study(self) -> Study:
        data = dict(self.raw.data)
        if "families" not in data:
            self.report(("families",), "is missing", "list at least one family, e.g. families: [dice, tversky]")
        self._check_top_level(data)
        check_limits(data, self._report_bounds)
        families = resolve_families(data.get("families"), self.report) if "families" in data else {}
        fixed, searched = self._split_training(data.get("training"))
        known = {key: data[key] for key in _SECTIONS if data.get(key) is not None and key != "training"}
        if isinstance(known.get("data"), Mapping) and "source" not in known["data"]:
            known["data"] = {"source": "folder" if "images" in known["data"] else "raster_log", **known["data"]}
        fields = {
            **known,
            "name": data.get("name"),
            "families": families,
            "training": fixed,
            "training_search": searched,
        }
        try:
            study = Study.model_validate(fields)
        except ValidationError as error:
            for detail in error.errors():
                self._translate(detail)
        else:
            self._check_together(study)
        if self.problems:
            raise StudyError(sorted(self.problems, key=_by_line))
        return study

    def _check_top_level(self, data: Mapping[Any, Any]) -> None:
        for key in data:
            if key == "extends":
                self.report((key,), "was not given in a study file", "write it into the file that extends another")
            elif key not in _TOP_LEVEL:
                self.report((key,), "unknown key", suggest(str(key), _TOP_LEVEL))
        for section in _SECTIONS:
            body = data.get(section)
            if body is not None and not isinstance(body, Mapping):
                self.report((section,), f"{body!r} is not a section", f"write {section}: {{key: value}}")

    def _split_training(self, raw: Any) -> tuple[dict[str, Any], dict[str, Domain]]:
        """Part the training section into its fixed values and the domains to be searched."""
        fixed: dict[str, Any] = {}
        searched: dict[str, Domain] = {}
        for key, value in raw.items() if isinstance(raw, Mapping) else ():
            if not isinstance(value, Mapping):
                fixed[key] = value
                continue
            path = ("training", key)
            if key not in TUNABLE_TRAINING:
                right = f"give one value; {', '.join(TUNABLE_TRAINING)} can be searched"
                self.report(path, "cannot be searched", right)
                continue
            try:
                domain = domains.parse_domain(value)
            except DomainError as error:
                wrong, _, right = str(error).partition("; ")
                self.report(path, wrong, right or "write {log_uniform: [low, high]}")
                continue
            _, least, most, words = LIMITS["training", key]
            if isinstance(domain, domains.Complement):
                self.report(path, "a training hyperparameter is no complement", "write {log_uniform: [low, high]}")
                continue
            for end in domains.ends(domain):
                if isinstance(end, bool) or not isinstance(end, int | float) or not least <= end <= most:
                    self.report(path, f"reaches {end!r}", f"it must be {words}")
            searched[key] = domain
            fixed[key] = _default_of(key, domain)
        return fixed, searched

    def _translate(self, detail: Any) -> None:
        """Turn one of pydantic's errors into a problem in the words of the study file."""
        loc = [part for part in detail["loc"] if not _is_union_tag(part)]
        if len(loc) >= 2 and loc[0] == "data" and loc[1] in ("raster_log", "folder"):
            del loc[1]
        path: KeyPath = tuple(loc)
        kind, context, value = detail["type"], detail.get("ctx") or {}, detail.get("input")
        if kind in ("extra_forbidden", "unexpected_keyword_argument"):
            names = [name for model in _SECTIONS.get(str(path[0]), ()) for name in _field_names(model)]
            self.report(path, "unknown key", suggest(str(path[-1]), names))
        elif kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
            self.report(path, "is missing", f"add `{path[-1]}:` to the {path[0]} section")
        elif kind == "union_tag_invalid":
            right = f"choose from {context['expected_tags']}"
            self.report((*path, "source"), f"{context.get('tag')!r} is no data source", right)
        elif kind == "literal_error":
            self.report(path, f"{value!r} is not on offer", f"choose from {context['expected']}")
        elif kind == "string_pattern_mismatch":
            self.report(path, f"{value!r} cannot be a folder name", "use letters, digits, `-`, `_` and `.`")
        elif kind in ("bool_type", "bool_parsing"):
            self.report(path, f"{_shown(value)} is neither true nor false", "write true or false")
        elif path not in self._out_of_bounds and (path != ("families",) or not self.problems):
            self.report(path, f"{_shown(value)}: {detail['msg'][:1].lower()}{detail['msg'][1:]}", "correct the value")

    def _check_together(self, study: Study) -> None:
        """Check what no single key shows."""
        levels = study.imbalance.levels
        for index, level in enumerate(levels):
            if levels.index(level) != index:
                self.report(("imbalance", "levels", index), f"{level} stands twice", "name each level once")
        if study.imbalance.reference is not None and study.imbalance.reference not in levels:
            shown = ", ".join(str(level) for level in levels)
            wrong = f"{study.imbalance.reference} is not one of the levels"
            self.report(("imbalance", "reference"), wrong, f"choose from {shown}")
        if study.search.seed in study.confirm_seeds:
            first, last = study.confirm_seeds[0], study.confirm_seeds[-1]
            self.report(
                ("search", "seed"),
                f"{study.search.seed} is one of the confirm seeds {first} to {last}",
                "confirm seeds must be fresh; choose another search.seed or confirm.first_seed",
            )
        widths = study.model.decoder_channels
        if widths is not None and len(widths) != study.model.depth:
            self.report(
                ("model", "decoder_channels"), f"has {len(widths)} widths", f"give one per stage: {study.model.depth}"
            )
        for index, width in enumerate(widths or ()):
            if not 1 <= width <= 65_536:
                self.report(("model", "decoder_channels", index), f"{width} is no width", "give 1 to 65536 channels")


def _replace_data(raw: Raw, folder: Folder) -> Raw:
    kept = raw.data.get("data")
    common = {key: kept[key] for key in ("patch", "limit", "seed") if isinstance(kept, Mapping) and key in kept}
    section = {**dataclasses.asdict(folder), **common}
    named = {(key,) for key in common}
    where = {path: at for path, at in raw.where.items() if path[:1] != ("data",) or path[1:2] in named}
    return Raw({**merge(raw.data, {}), "data": section}, {**where, ("data",): "--data"}, raw.source)


def _default_of(key: str, domain: Domain) -> Any:
    """Return what the default trial uses where a study searches: the usual value if it lies inside, else the middle."""
    usual = getattr(TrainingSettings(), key)
    match domain:
        case domains.LogUniform(low, high):
            return usual if low <= usual <= high else (low * high) ** 0.5
        case domains.Uniform(low, high) | domains.Int(low, high):
            return usual if low <= usual <= high else (low + high) / 2
        case domains.Choice(values):
            return usual if usual in values else values[0]
        case domains.Fixed(value):
            return value
    return usual


def _by_line(problem: Problem) -> tuple[str, int]:
    file, _, line = problem.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (problem.where, 0)


def _field_names(model: type) -> list[str]:
    if dataclasses.is_dataclass(model):
        return [field.name for field in dataclasses.fields(model)]
    return list(getattr(model, "model_fields", {}))


def _is_union_tag(part: object) -> bool:
    return isinstance(part, str) and (part in _TYPES or part.startswith(_WRAPPERS))


_WRAPPERS = ("literal[", "constrained-", "tuple[", "dict[")
_TYPES = ("int", "float", "str", "bool", "none")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_tuples(item) for item in value)
    return value
