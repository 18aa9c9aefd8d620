"""Target maps given to boundary losses: the same as computed, checked, and without a say where pixels are ignored."""

from __future__ import annotations

import pytest

from sweeper.errors import LossError
from sweeper.losses.catalogue import FAMILIES
from sweeper.losses.primitives import prepare
from sweeper.losses.target_maps import target_map

from ..batches import IGNORED
from .boundary_batches import CASES, blocky, leaning

SETTINGS = [
    ("boundary", {}),
    ("boundary", {"inner": "full", "normalize": "max"}),
    ("hausdorff_dt", {}),
    ("hausdorff_cv", {}),
    ("boundary_aware", {}),
    ("active_boundary", {"ratio": 0.2}),
    ("boundary_dou", {"alpha_min": -1.0}),
    ("region_wise", {}),
    ("region_wise", {"map": "boundary"}),
    ("shape_aware", {}),
    ("boundary_f1", {}),
]
every_family = pytest.mark.parametrize(("name", "values"), SETTINGS, ids=str)


@pytest.fixture(params=CASES, ids=str)
def batch(request):
    return leaning(blocky(*request.param), 2.0)


def maps_of(name, values, batch):
    """The one map of a setting, computed from the target of each image."""
    (kind,) = FAMILIES[name].needs_at(values)
    return kind, target_map(kind, None, prepare(*batch, IGNORED))


def at(name, values, batch, **maps):
    return FAMILIES[name].function(*batch, ignore_index=IGNORED, **values, **maps)


@every_family
def test_given_or_computed_is_the_same(name, values, batch):
    kind, given = maps_of(name, values, batch)
    value = at(name, values, batch)
    assert at(name, values, batch, **{kind: given}) == value
    assert at(name, values, batch, **{kind: given.float()}) == value


@every_family
def test_the_map_given_is_the_one_that_counts(name, values, batch):
    kind, given = maps_of(name, values, batch)
    other = given.flip(-1)
    assert at(name, values, batch, **{kind: other}) != at(name, values, batch)


@every_family
def test_what_a_map_says_of_ignored_pixels_does_not_matter(name, values, batch):
    kind, given = maps_of(name, values, batch)
    ignored = (batch[1] == IGNORED).unsqueeze(1)
    ignored = ignored.unsqueeze(2) if given.ndim == 5 else ignored
    for nonsense in (77.0, 0.0, -1.0):
        assert at(name, values, batch, **{kind: given.masked_fill(ignored, nonsense)}) == at(name, values, batch)


@every_family
def test_maps_that_do_not_fit_are_refused(name, values, batch):
    kind, given = maps_of(name, values, batch)
    for other in (given[:1], given[..., :-1]):
        with pytest.raises(LossError, match=kind):
            at(name, values, batch, **{kind: other})


@pytest.mark.parametrize(
    ("name", "values", "allowed"),
    [
        ("boundary_aware", {"levels": 0}, "levels is 0; choose from 1 to 8"),
        ("hausdorff_dt", {"one_sided": "no"}, "one_sided is 'no'; choose from False, True"),
        ("hausdorff_er", {"erosions": 0}, "erosions is 0; choose from 1 to 15"),
        ("hausdorff_cv", {"largest_radius": 4}, "largest_radius is 4; choose from 3, 6, 9, 12, 15, 18"),
        ("conditional_boundary", {"kernel": 4}, "kernel is 4; choose from 3, 5, 7"),
        ("conditional_boundary", {"width": -1}, "width is -1; choose from 0 to 20"),
        ("boundary_f1", {"theta": 4}, "theta is 4; choose from 3, 5, 7, 9"),
        ("boundary_f1", {"classes": "some"}, "classes is 'some'; choose from all, foreground"),
    ],
    ids=str,
)
def test_sizes_and_words_that_the_formula_does_not_know_are_refused(name, values, allowed):
    with pytest.raises(LossError, match=allowed):
        at(name, values, blocky(2, 0))
