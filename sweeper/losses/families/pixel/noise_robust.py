"""Cross-entropy that does not run after wrong labels: its gradient capped, or faded out where p is small."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.domains import LogUniform, Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.primitives import IGNORE_INDEX, Dial, dial, masked_mean, prepare
from sweeper.losses.ramp import ramp

_Q = Uniform(1e-6, 1.0)
"""A power of 0 is cross-entropy in the limit alone."""


def phuber_cross_entropy(
    logits: Tensor, target: Tensor, *, tau: Dial = 10.0, ignore_index: int = IGNORE_INDEX
) -> Tensor:
    """Return cross-entropy made a straight line where p ≤ 1/τ, meaned over pixels: a scalar in [0, 1 + log τ].

        L = ⟨ψ(pₙ)⟩,    ψ(p) = −log p for p > 1/τ, else 1 + log τ − τ p

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        tau: τ ≥ 1, searched in [2, 100] on a logarithmic scale; the largest slope in p. Raising it, towards
            cross-entropy, lets badly missed pixels pull: recall of rare classes rises, and so does the harm of wrong
            labels, to precision.

    Raises: LossError on shapes or dtypes other than these.
    Source: Menon, Rawat, Reddi, Kumar, "Can gradient clipping mitigate label noise?", ICLR 2020,
    https://openreview.net/forum?id=rklB76EKPr.
    Fails: a rare class that is missed outright looks like a wrong label, and its pixels are given up.
    """
    pixels = prepare(logits, target, ignore_index)
    cap = torch.as_tensor(tau, dtype=pixels.log_prob.dtype, device=pixels.log_prob.device)
    line = 1 + cap.log() - cap * pixels.true_log_prob.exp()
    terms = torch.where(pixels.true_log_prob > -cap.log(), pixels.cross_entropy, line)
    return masked_mean(terms, pixels.valid)


def generalized_cross_entropy(
    logits: Tensor, target: Tensor, *, q: Dial = 0.7, ignore_index: int = IGNORE_INDEX
) -> Tensor:
    """Return a loss between cross-entropy and mean absolute error, meaned over pixels: a scalar in [0, 1/q].

        L = ⟨(1 − pₙ^q) / q⟩

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        q: q in (0, 1], searched in [0.05, 1]. q → 0 is cross-entropy, 1 half the mean absolute error. Raising it fades
            pixels that are badly wrong: robust to wrong labels, but recall of rare classes falls.

    Raises: LossError on shapes or dtypes other than these.
    Source: Zhang, Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels",
    NeurIPS 2018, arXiv:1805.07836.
    Fails: at q = 1 from random weights rare classes, badly wrong at first, are never learnt; start at a small q.
    """
    pixels = prepare(logits, target, ignore_index)
    power = dial(q, pixels.log_prob)
    return masked_mean(-torch.expm1(power * pixels.true_log_prob) / power, pixels.valid)


PHUBER_CROSS_ENTROPY = Family(
    function=phuber_cross_entropy,
    title="Partially Huberised cross-entropy",
    level="pixel",
    overlap="per-pixel",
    tradeoff="symmetric",
    formula="mean over pixels of −log p where p > 1/τ, else 1 + log τ − τ p, p = p(true class)",
    source="Menon et al. 2020, ICLR, openreview rklB76EKPr",
    hyperparameters={
        "tau": Hyperparameter(
            symbol="τ",
            legal=Uniform(1.0, 1e6),
            search=LogUniform(2.0, 100.0),
            effect="badly missed pixels pull harder: recall of rare classes rises, precision falls where labels are "
            "wrong; towards infinity it is cross-entropy",
        ),
    },
    aliases=("phuber", "phuber_ce"),
    limits="A rare class that is missed outright looks like a wrong label, and its pixels are given up.",
)


GENERALIZED_CROSS_ENTROPY = Family(
    function=generalized_cross_entropy,
    title="Generalised cross-entropy",
    level="pixel",
    overlap="per-pixel",
    tradeoff="symmetric",
    formula="mean over pixels of (1 − p^q)/q, p = p(true class)",
    source="Zhang and Sabuncu 2018, arXiv:1805.07836",
    hyperparameters={
        "q": Hyperparameter(
            symbol="q",
            legal=_Q,
            search=Uniform(0.05, 1.0),
            effect="badly wrong pixels fade: robust to wrong labels, recall of rare classes falls; towards 0 it is "
            "cross-entropy",
        ),
        **ramp("q", symbol="q", legal=_Q, start=0.05, share=0.0),
    },
    aliases=("gce", "l_q", "lq_loss"),
    limits="At q = 1 from random weights rare classes, badly wrong at first, are never learnt.",
)
