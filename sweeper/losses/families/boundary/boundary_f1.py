"""Boundary F1: precision and recall of edge pixels, with a tolerance in pixels."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import max_pool2d

from sweeper.domains import Choice, LogUniform, Uniform
from sweeper.losses.family import Family, Hyperparameter
from sweeper.losses.options import CLASSES
from sweeper.losses.primitives import (
    FLOOR,
    IGNORE_INDEX,
    Classes,
    Dial,
    Pixels,
    check_static,
    class_mean,
    dial,
    kept_classes,
    prepare,
)
from sweeper.losses.target_maps import target_map


def boundary_f1(
    logits: Tensor,
    target: Tensor,
    *,
    beta_f: Dial = 1.0,
    theta: int = 5,
    classes: Classes = "foreground",
    edge_band: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
) -> Tensor:
    """Return one minus the F score of the predicted edges, with a tolerance: a scalar in [0, 1], 0 for a perfect mask.

        L = 1 − mean over classes of (1 + β²) P R / (β² P + R),    P = Σ b t⁺ / Σ b,  R = Σ e b⁺ / Σ e

    b = maxpool₃(1 − p) − (1 − p) is the predicted edge and e that of the target, likewise; b⁺ and t⁺ are b and e spread
    by maxpool_θ. Sums are pooled over the batch. The edge's own window, θ₀ in the paper, is 3 pixels and not offered:
    a wider one would make every edge thicker than the structures it is to find.

    Args:
        logits: (B, C, H, W), any real numbers.
        target: (B, H, W) int64, class indices or `ignore_index`.
        beta_f: β > 0, searched in [0.25, 4] on a logarithmic scale. Raising it raises recall of edges and lowers their
            precision; 1 is F1.
        theta: θ, 3, 5, 7 or 9 pixels, static. Edges up to (θ − 1) / 2 pixels off count as found. Raising it forgives
            false alarms and misses near an edge alike.
        classes: `foreground` for all but class 0, or `all`. Classes without an edge are skipped.
        edge_band: (B, C, H, W), the target map of that name; computed from the target if left out.

    Raises: LossError on shapes, dtypes or options other than these.
    Source: Bokhovkin, Burnaev, "Boundary loss for remote sensing imagery semantic segmentation", ISNN 2019,
    arXiv:1905.07852.
    Fails: the inside of an object is not looked at, and far from every edge there is no gradient: beside a region loss.
    """
    pixels = prepare(logits, target, ignore_index)
    return boundary_f1_of(pixels, beta_f=beta_f, theta=theta, classes=classes, edge_band=edge_band)


def boundary_f1_of(
    pixels: Pixels,
    *,
    beta_f: Dial = 1.0,
    theta: int = 5,
    classes: Classes = "foreground",
    edge_band: Tensor | None = None,
) -> Tensor:
    """Return `boundary_f1` of a prepared batch."""
    check_static(BOUNDARY_F1, theta=theta)
    band = target_map("edge_band", edge_band, pixels)
    true_edge = pixels.onehot * (band == 0)
    reach = (theta - 1) // 2
    outside = 1 - pixels.valid * pixels.prob
    edge = max_pool2d(outside, 3, 1, 1) - outside
    found = (edge * (band <= reach)).sum((0, 2, 3))
    recovered = (true_edge * max_pool2d(edge, theta, 1, reach)).sum((0, 2, 3))
    precision = found / edge.sum((0, 2, 3)).clamp_min(FLOOR)
    recall = recovered / true_edge.sum((0, 2, 3)).clamp_min(FLOOR)
    squared = dial(beta_f, edge) ** 2
    score = (1 + squared) * precision * recall / (squared * precision + recall).clamp_min(FLOOR)
    return class_mean(1 - score, kept_classes(true_edge.sum((0, 2, 3)), classes, "skip"))


BOUNDARY_F1 = Family(
    function=boundary_f1,
    title="Boundary F1",
    level="boundary",
    overlap="boundary-aware",
    tradeoff="tunable",
    formula="1 − mean over foreground classes of (1 + β²) P R / (β² P + R), P and R of edge pixels within (θ − 1) / 2",
    source="Bokhovkin and Burnaev 2019, arXiv:1905.07852",
    hyperparameters={
        "beta_f": Hyperparameter(
            symbol="β",
            legal=Uniform(1e-3, 1e3),
            search=LogUniform(0.25, 4.0),
            effect="recall of edges rises, their precision falls; 1 is F1",
        ),
        "theta": Hyperparameter(
            symbol="θ",
            legal=Choice((3, 5, 7, 9)),
            static=True,
            effect="false alarms and misses near an edge are forgiven alike, up to (θ − 1) / 2 pixels off",
        ),
        "classes": CLASSES,
    },
    aliases=("bf1", "boundary_f1_loss"),
    needs=("edge_band",),
    exempt={
        "padding": "next to ignored pixels there is an edge, at the image's border there is none",
        "pixel order": "edges look at neighbouring pixels",
    },
    limits="The inside of an object is not looked at, and far from every edge there is no gradient: train it beside a "
    "region loss.",
)
