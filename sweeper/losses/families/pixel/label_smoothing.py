"""Cross-entropy against labels that are not quite certain, and the same measured from its own minimum."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeper.domains import Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import SHARE
from sweeper.losses.primitives import IGNORE_INDEX, Dial, Pixels, dial, masked_mean, prepare


def label_smoothing_cross_entropy(
    logits: Tensor, target: Tensor, *, epsilon: Dial = 0.1, ignore_index: int = IGNORE_INDEX
) -> Tensor:
    """Return cross-entropy against smoothed labels, meaned over valid pixels: a scalar ≥ the entropy of such a label.

        L = ⟨(1 − ε) (−log pₙ) + ε/C Σ over classes of −log p(c)⟩

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        epsilon: ε in [0, 1], searched in [0, 0.3]. 0 is cross-entropy. Raising it calibrates and softens edges; recall
            of rare classes falls a little.

    Raises: LossError on shapes or dtypes other than these.
    Source: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture for computer vision", CVPR
    2016, arXiv:1512.00567.
    Fails: every background pixel is asked for ε/C of each rare class; at 97 % background that is more of it than there
    is. The loss of a perfect model is not 0.
    """
    pixels = prepare(logits, target, ignore_index)
    return masked_mean(_smoothed(pixels, epsilon), pixels.valid)


def kl_divergence(logits: Tensor, target: Tensor, *, epsilon: Dial = 0.1, ignore_index: int = IGNORE_INDEX) -> Tensor:
    """Return the divergence of the prediction from a smoothed label, meaned over valid pixels: a scalar ≥ 0.

        L = ⟨Σ over classes of q(c) (log q(c) − log p(c))⟩,    q = (1 − ε) onehot + ε/C

    It is label-smoothed cross-entropy less the entropy of q: the same gradient, on a scale that starts at 0 for p = q.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        epsilon: ε in [0, 1], searched in [0, 0.3]. 0 is cross-entropy. Raising it calibrates and softens edges; recall
            of rare classes falls a little.

    Raises: LossError on shapes or dtypes other than these.
    Source: Kullback, Leibler, "On information and sufficiency", Annals of Mathematical Statistics 22, 1951,
    doi:10.1214/aoms/1177729694.
    Fails: as label smoothing does. A model more certain than q costs more the surer it gets.
    """
    pixels = prepare(logits, target, ignore_index)
    classes = pixels.log_prob.shape[1]
    strength = torch.as_tensor(epsilon, dtype=pixels.log_prob.dtype, device=pixels.log_prob.device)
    other = strength / classes
    own = (1 - strength) + other
    entropy = -torch.xlogy(own, own) - (classes - 1) * torch.xlogy(other, other)
    return masked_mean(_smoothed(pixels, epsilon) - entropy, pixels.valid)


def _smoothed(pixels: Pixels, epsilon: Dial) -> Tensor:
    """Return the cross-entropy of each pixel against its smoothed label, (B, 1, H, W)."""
    strength = dial(epsilon, pixels.log_prob)
    return (1 - strength) * pixels.cross_entropy - strength * pixels.log_prob.mean(1, keepdim=True)


_EPSILON = Hyperparameter(
    symbol="ε",
    legal=SHARE,
    search=Uniform(0.0, 0.3),
    effect="softer edges and better calibration; recall of rare classes falls a little; 0 is cross-entropy",
)


LABEL_SMOOTHING_CROSS_ENTROPY = Family(
    function=label_smoothing_cross_entropy,
    title="Label-smoothed cross-entropy",
    level="pixel",
    overlap="per-pixel",
    tradeoff="symmetric",
    formula="mean over pixels of −(1 − ε) log p(true class) − ε/C Σ log p(c)",
    source="Szegedy et al. 2016, arXiv:1512.00567",
    hyperparameters={"epsilon": _EPSILON},
    aliases=("ls_ce", "label_smoothing"),
    exempt={"perfect": "the best answer is the smoothed label; certainty, though right, costs more"},
    errata=(
        "segmentation_models_pytorch's SoftCrossEntropyLoss divides by all pixels, ignored ones included, and its "
        "defaults raise a TypeError.",
    ),
    limits="Asks every background pixel for ε/C of each rare class: at 97 % background that is more of it than there "
    "is. A perfect model does not cost 0.",
)


KL_DIVERGENCE = Family(
    function=kl_divergence,
    title="Kullback–Leibler divergence",
    level="pixel",
    overlap="per-pixel",
    tradeoff="symmetric",
    formula="mean over pixels of Σ q (log q − log p), q = (1 − ε) onehot + ε/C",
    source="Kullback and Leibler 1951, doi:10.1214/aoms/1177729694",
    hyperparameters={"epsilon": _EPSILON},
    aliases=("kl", "kl_loss"),
    exempt={"perfect": "the best answer is the smoothed label; certainty, though right, costs more"},
    limits="Trains as label smoothing does, with the same fault on rare classes; only its scale starts at 0.",
)
