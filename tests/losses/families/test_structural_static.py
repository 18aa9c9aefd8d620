"""Arguments that choose a form or a size: what the family does not allow is refused in direct calls as well."""

from __future__ import annotations

import pytest

from sweeper.domains import Choice, Int, legal_words
from sweeper.errors import LossError
from sweeper.losses.families.structural import ROWS

from ..batches import IGNORED, random_batch

STATIC = [(row, name) for row in ROWS for name, dial in row.hyperparameters.items() if dial.static]


def not_legal(legal):
    if isinstance(legal, Int):
        return [legal.low - 1, legal.high + 1, legal.low + 0.5, float(legal.high), "no", None]
    own = legal.values
    return ["no", None, *([max(own) + 1, min(own) - 1, 4.5] if isinstance(own[0], int) else [])]


@pytest.mark.parametrize(
    ("row", "name", "value"),
    [(row, name, value) for row, name in STATIC for value in not_legal(row.hyperparameters[name].legal)],
    ids=lambda each: getattr(each, "name", str(each)),
)
def test_what_is_not_legal_is_refused(row, name, value):
    legal = row.hyperparameters[name].legal
    with pytest.raises(LossError) as caught:
        row.function(*random_batch(side=12), ignore_index=IGNORED, **{name: value})
    problem, allowed = str(caught.value).split("; ")
    assert problem == f"{name} is {value!r}"
    words = isinstance(legal, Choice) and isinstance(legal.values[0], str)
    assert allowed == (f"choose from {', '.join(sorted(legal.values))}" if words else f"it may be {legal_words(legal)}")
