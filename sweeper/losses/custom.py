"""A user's own loss, named in a study by dotted path: `package.module:attribute`."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType

from torch import Tensor

from sweeper.domains import Fixed, Uniform, outside
from sweeper.errors import LossError, UserError, suggest
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.needs import ARTEFACTS, EVERY

REAL = Uniform(-sys.float_info.max, sys.float_info.max)
"""Every number: what a function's default says of its legal values is nothing."""

TRAINER_ARGUMENTS = tuple(name for name in EVERY if name not in ARTEFACTS)
"""Keywords that the trainer fills in where a function has them."""


def load_family(path: str) -> Family:
    """Import `package.module:attribute` and return it as a family.

    A `Family` is taken as it is. A function `f(logits, target, *, ignore_index, ...)` becomes one: each keyword whose
    default is a number is a dynamic hyperparameter, not searched unless the study gives it a domain, and each of
    `TRAINER_ARGUMENTS`, target maps and `features` among them, is filled in by the trainer. A bare function
    says nothing of its place on the two axes, so it is put at mixed, symmetric, with the source "user's own".

    Raises: UserError when there is no such module or attribute; LossError when it is no loss by the contract.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise UserError(f"{path!r} names no loss; write `package.module:attribute`")
    module = _import(module_name, path)
    if not hasattr(module, attribute):
        public = [name for name, value in vars(module).items() if not name.startswith("_") and callable(value)]
        hint = suggest(attribute, public) if public else "it defines no function"
        raise UserError(f"module {module_name!r} has no attribute {attribute!r}; {hint}")
    found = getattr(module, attribute)
    if isinstance(found, Family):
        check_family(found)
        return found
    if not inspect.isroutine(found):
        raise LossError(
            f"{path} is a {type(found).__name__}; it must be a function of (logits, target, *, ignore_index, ...) or a "
            "sweeper.losses.family.Family"
        )
    return _family_of(found, path)


def check_family(family: Family) -> None:
    """Raise LossError unless the signature of a family's function and its hyperparameters tell the same story."""
    name = family.name
    parameters = _parameters(family.function, name)
    for key, hyperparameter in family.hyperparameters.items():
        _check_place(family, key, hyperparameter, parameters)
        default = family.defaults[key]
        if default is not None and (problem := outside(Fixed(default), hyperparameter.legal)):
            raise LossError(f"{name}: the default of {key} is not legal: {problem}")
        if hyperparameter.search is not None and (problem := outside(hyperparameter.search, hyperparameter.legal)):
            raise LossError(f"{name}: what is searched of {key} is not all legal: {problem}")
        _check_acting(family, key, hyperparameter)
    for key in family.needs:
        if key not in EVERY:
            raise LossError(f"{name} needs {key!r}; the trainer can pass {', '.join(TRAINER_ARGUMENTS)}")
        if key in ARTEFACTS and family.companion is None:
            raise LossError(f"{name} needs {key!r}, which only a companion can be built from, and has none")
        if key not in ARTEFACTS and key not in parameters:
            raise LossError(f"{name} needs {key!r}, which is no keyword of its function")
    if family.companion is not None and "companion" not in parameters:
        raise LossError(f"{name} brings a companion along, which is no keyword of its function")


def _check_place(
    family: Family, key: str, hyperparameter: Hyperparameter, parameters: Mapping[str, inspect.Parameter]
) -> None:
    """Raise LossError unless a hyperparameter is a keyword of the function, or the ramp of one."""
    ramped = hyperparameter.ramps
    if ramped is None:
        if key not in parameters or parameters[key].default is inspect.Parameter.empty:
            raise LossError(f"{family.name}: hyperparameter {key!r} must be a keyword of the function, with a default")
    elif key in parameters:
        raise LossError(f"{family.name}: {key!r} is of a ramp, and so must not be a keyword of the function")
    elif ramped not in family.hyperparameters or f"{ramped}_start" not in family.hyperparameters:
        raise LossError(f"{family.name}: {key!r} ramps {ramped!r}; make both by `sweeper.losses.ramp.ramp`")


def _check_acting(family: Family, key: str, hyperparameter: Hyperparameter) -> None:
    """Raise LossError unless what a hyperparameter acts with are legal values of others of its family."""
    for partner, values in hyperparameter.acts_with.items():
        if partner == key or partner not in family.hyperparameters:
            raise LossError(f"{family.name}: {key} acts with {partner!r}, which is no other hyperparameter")
        if not values:
            raise LossError(f"{family.name}: {key} acts with no value of {partner}; name those it acts with")
        legal = family.hyperparameters[partner].legal
        for value in values:
            if problem := outside(Fixed(value), legal):
                raise LossError(f"{family.name}: {key} acts with a {partner} that is not legal: {problem}")


def _import(module_name: str, path: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise UserError(
                f"there is no module {missing!r} for the loss {path}; install it, or put its folder on PYTHONPATH"
            ) from None
        raise UserError(
            f"module {module_name!r} of the loss {path} needs {missing!r}, which is not installed"
        ) from None
    except (Exception, SystemExit) as error:
        # The user's own code runs here, so anything can come out of it.
        raise UserError(
            f"module {module_name!r} of the loss {path} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _family_of(function: Callable[..., Tensor], path: str) -> Family:
    parameters = _parameters(function, path)
    keywords = {name: parameter.default for name, parameter in list(parameters.items())[2:] if name != "ignore_index"}
    needs = tuple(name for name in keywords if name in TRAINER_ARGUMENTS)
    for name, default in keywords.items():
        if default is inspect.Parameter.empty and name not in needs:
            raise LossError(f"{path} has the argument {name!r} without a default; the default is its untuned setting")
    title, _, _ = (inspect.getdoc(function) or function.__name__).partition("\n")
    return Family(
        function=function,
        title=title,
        level="combination",
        overlap="mixed",
        tradeoff="symmetric",
        formula=f"see {path}",
        source="user's own",
        hyperparameters={
            name: Hyperparameter(symbol=name, legal=REAL, effect="user's own: not described")
            for name, default in keywords.items()
            if isinstance(default, int | float) and not isinstance(default, bool)
        },
        needs=needs,
        limits="A bare function says nothing of its place on the two axes or of its failure modes; wrap it in a "
        "sweeper.losses.family.Family to say them.",
    )


def _parameters(function: Callable[..., Tensor], name: str) -> dict[str, inspect.Parameter]:
    """Return the named parameters of a loss function, logits and target first."""
    try:
        every = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise LossError(f"{name} has no signature that can be read; wrap it in a Python function") from None
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = {key: parameter for key, parameter in every.items() if parameter.kind not in variadic}
    positional = [
        key
        for key, parameter in named.items()
        if parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) < 2:
        raise LossError(f"{name} must take logits and target as its first two arguments")
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in every.values())
    if "ignore_index" not in named and not takes_any:
        raise LossError(f"{name} must take the keyword ignore_index: pixels so labelled count for nothing")
    return named
