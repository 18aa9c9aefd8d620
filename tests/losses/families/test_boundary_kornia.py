"""The erosion form of the Hausdorff loss against kornia's, whose kernel is float32 and whose class set is all."""

from __future__ import annotations

import pytest
from kornia.losses import HausdorffERLoss

from sweeper.losses.families.boundary.hausdorff import hausdorff_er

from ..batches import random_batch
from ..golden import PICTURES


@pytest.mark.parametrize("erosions", [1, 3, 10])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_it_is_kornias(erosions, alpha):
    oracle = HausdorffERLoss(alpha=alpha, k=erosions)
    for logits, target in (PICTURES["M5"], PICTURES["G5"], random_batch(3, seed=1, side=16, ignored=0.0)):
        theirs = oracle(logits.softmax(1), target.unsqueeze(1))
        ours = hausdorff_er(logits, target, erosions=erosions, alpha=alpha, classes="all")
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-6, abs=1e-9)
