"""A user's own loss by dotted path."""

from __future__ import annotations

import sys

import pytest

from sweeper.domains import outside, parse_domain
from sweeper.errors import LossError, UserError
from sweeper.losses.catalogue import family, loss

from .batches import IGNORED, random_batch

OWN = '''
"""Losses of a user."""

import torch
from sweeper.domains import Choice, Uniform
from sweeper.losses.family import Family, Hyperparameter

CONSTANT = 3


def squared_error(logits, target, *, scale=1.0, margin=0, mode="plain", flag=False, ignore_index=-100):
    """Scaled Brier score.

    More text.
    """
    valid = target != ignore_index
    onehot = torch.nn.functional.one_hot(target.where(valid, 0), logits.shape[1]).movedim(-1, 1)
    return scale * ((logits.softmax(1) - onehot) ** 2).sum(1)[valid].mean()


def by_frequency(logits, target, class_frequencies, *, ignore_index):
    return logits.sum() * class_frequencies.sum()


def any_keyword(logits, target, **keywords):
    return logits.sum()


def no_ignore(logits, target, *, scale=1.0):
    return logits.sum()


def no_default(logits, target, *, scale, ignore_index=-100):
    return logits.sum()


def no_target(logits, *, ignore_index=-100):
    return logits.sum()


def tversky(logits, target, *, ignore_index=-100):
    return logits.sum()


def make(**changes):
    row = dict(function=squared_error, title="Brier", level="pixel", overlap="per-pixel", tradeoff="symmetric",
               formula="(p - t)^2", source="Brier 1950",
               hyperparameters={"scale": Hyperparameter(symbol="k", legal=Uniform(0.5, 2.0), effect="none")})
    return Family(**(row | changes))


BRIER = make()
MISSPELT = make(hyperparameters={"sclae": Hyperparameter(symbol="k", legal=Uniform(0.5, 2.0), effect="none")})
BAD_DEFAULT = make(hyperparameters={"scale": Hyperparameter(symbol="k", legal=Uniform(2.0, 3.0), effect="none")})
BAD_SEARCH = make(hyperparameters={
    "scale": Hyperparameter(symbol="k", legal=Uniform(0.5, 2.0), search=Uniform(0.0, 2.0), effect="none")})
BAD_NEEDS = make(needs=("distance_maps",))


def acting(**beside):
    number = dict(symbol="k", legal=Uniform(0.5, 2.0), effect="none")
    mode = Hyperparameter(symbol="m", legal=Choice(("plain", "bold")), static=True, effect="none")
    return make(hyperparameters={"scale": Hyperparameter(**number, acts_with=beside), "mode": mode})


ACTING = acting(mode=("bold",))
ACTS_WITH_NOBODY = acting(margin=(1,))
ACTS_WITH_ITSELF = acting(scale=(1.0,))
ACTS_WITH_NOTHING = acting(mode=())
ACTS_WITH_NO_WORD = acting(mode=("bold", "blod"))
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Put a module `own_losses` on the path, as a user's study folder would."""
    (tmp_path / "own_losses.py").write_text(OWN)
    (tmp_path / "own_broken.py").write_text("raise ValueError('no good')")
    (tmp_path / "own_hungry.py").write_text("import a_package_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_losses"
    for name in ("own_losses", "own_broken", "own_hungry"):
        sys.modules.pop(name, None)


def test_a_function_joins_with_its_numbers_as_hyperparameters(own):
    row = family(f"{own}:squared_error")
    assert row.name == "squared_error"
    assert row.title == "Scaled Brier score."
    assert (row.overlap, row.tradeoff, row.source) == ("mixed", "symmetric", "user's own")
    assert row.defaults == {"scale": 1.0, "margin": 0}
    for dial in row.hyperparameters.values():
        assert dial.search is None
        assert not dial.static
        assert outside(parse_domain({"uniform": [-1e30, 1e30]}), dial.legal) is None


def test_it_runs_as_any_other(own):
    logits, target = random_batch()
    one = loss(f"{own}:squared_error", ignore_index=IGNORED)(logits, target)
    three = loss(f"{own}:squared_error", scale=3.0, ignore_index=IGNORED)(logits, target)
    assert three.item() == pytest.approx(3 * one.item())


def test_a_family_joins_as_it_is(own):
    row = family(f"{own}:BRIER")
    assert row.title == "Brier"
    assert row is sys.modules[own].BRIER
    assert family(f"{own}:ACTING").hyperparameters["scale"].acts_with == {"mode": ("bold",)}


def test_class_frequencies_are_asked_of_the_trainer(own):
    assert family(f"{own}:by_frequency").needs == ("class_frequencies",)
    assert family(f"{own}:by_frequency").hyperparameters == {}


def test_a_function_of_any_keyword_is_accepted(own):
    assert family(f"{own}:any_keyword").title == "any_keyword"


@pytest.mark.parametrize(
    ("path", "kind", "says"),
    [
        ("no_such_package.losses:mine", UserError, "there is no module 'no_such_package' for the loss"),
        ("own_losses.inner:mine", UserError, "there is no module 'own_losses.inner'"),
        (
            "own_losses:squared_eror",
            UserError,
            "module 'own_losses' has no attribute 'squared_eror'; did you mean 'squ",
        ),
        ("own_broken:mine", UserError, "cannot be imported: ValueError: no good"),
        ("own_hungry:mine", UserError, "module 'own_hungry' of the loss own_hungry:mine needs 'a_package_nobody_has'"),
        (":mine", UserError, "names no loss; write `package.module:attribute`"),
        ("own_losses:", UserError, "names no loss"),
        ("..relative:mine", UserError, "cannot be imported: TypeError"),
        ("own_losses:CONSTANT", LossError, "is a int; it must be a function"),
        ("own_losses:no_ignore", LossError, "own_losses:no_ignore must take the keyword ignore_index"),
        ("own_losses:no_default", LossError, "has the argument 'scale' without a default"),
        ("own_losses:no_target", LossError, "must take logits and target as its first two arguments"),
        ("own_losses:tversky", LossError, "has the name of a shipped family, 'tversky'; rename the function"),
        ("own_losses:MISSPELT", LossError, "hyperparameter 'sclae' must be a keyword of the function"),
        ("own_losses:BAD_DEFAULT", LossError, "the default of scale is not legal: 1 is outside 2 to 3"),
        ("own_losses:BAD_SEARCH", LossError, "what is searched of scale is not all legal: 0 is outside"),
        ("own_losses:ACTS_WITH_NOBODY", LossError, "scale acts with 'margin', which is no other hyperparameter"),
        ("own_losses:ACTS_WITH_ITSELF", LossError, "scale acts with 'scale', which is no other hyperparameter"),
        ("own_losses:ACTS_WITH_NOTHING", LossError, "scale acts with no value of mode; name those"),
        ("own_losses:ACTS_WITH_NO_WORD", LossError, "scale acts with a mode that is not legal: 'blod' is not one of"),
        ("own_losses:BAD_NEEDS", LossError, "needs 'distance_maps'; the trainer can pass class_frequencies"),
    ],
)
def test_paths_that_lead_to_no_loss_are_refused_in_one_line(own, path, kind, says):
    with pytest.raises(kind) as caught:
        family(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
