"""What boundary losses cost on the small pictures of `golden`."""

from __future__ import annotations

ROWS: list[tuple[str, dict[str, object], dict[str, float]]] = [
    ("boundary", {}, {"B4": -0.125, "T4": 0.184727182, "G5": 0.066627417, "C5": 0.082}),
    ("hausdorff_dt", {"alpha": 2.0}, {"B4": 0.275, "T4": 0.135625, "G5": 0.1108, "C5": 0.0925}),
    ("hausdorff_dt", {"alpha": 2.0, "one_sided": True}, {"B4": 0.12, "G5": 0.0552}),
    ("hausdorff_er", {"alpha": 2.0, "erosions": 10}, {"M5": 0.305341615, "G5": 0.0, "C5": 0.0, "B4": 0.0}),
    ("hausdorff_er", {"alpha": 2.0, "erosions": 2}, {"M5": 0.305341615}),
    ("hausdorff_er", {"alpha": 2.0, "erosions": 1}, {"M5": 0.145341615}),
    # B4: every disk is the whole picture, of which t has 1/2 and q 1/4: 1/4 of r² on the errors .01 and .36 of t.
    # M5: nothing is predicted and no disk is over half full: 1/2 of r² on nine errors of .95².
    ("hausdorff_cv", {"alpha": 2.0, "largest_radius": 3}, {"B4": 0.208125, "M5": 1.46205}),
    ("hausdorff_cv", {"alpha": 2.0}, {"B4": 18.939375, "M5": 133.04655}),
    ("boundary_aware", {"levels": 3}, {"G5": 0.148335203, "C5": 0.086485440}),
    ("boundary_aware", {"levels": 1}, {"G5": 0.208013397}),
    # Of the five pixels that differ most the last ties with three more, which are boundary too.
    ("active_boundary", {"theta": 20.0, "ratio": 0.2, "label_smoothing": 0.0}, {"C5": 0.057667645}),
    # The network's part has no value of its own to expect. B4: b = (.5, .2, .1, 0) against a boundary at the
    # second, each (b + ε) / (1 + 2 ε) with ε = 1e-6.
    ("inverseform", {"beta": 0.0, "gamma": 0.0}, {"B4": 0.337538829, "T4": 0.619234620, "G5": 0.208013397}),
    ("inverseform", {"beta": 1.0, "gamma": 0.0}, {"B4": 0.337538829 + 0.601986124}),
    (
        "conditional_boundary",
        {"lambda_a2c": 0.0, "lambda_centre": 0.0, "lambda_pn": 0.0},
        {"B4": 0.337538829, "T4": 0.619234620, "T4i": 0.655370952, "G5": 0.208013397, "C5": 0.156869732},
    ),
    ("conditional_boundary", {"kernel": 3}, {"B4": 1.655993143}),
    ("boundary_dou", {}, {"B4": 0.124510246, "T4": 0.270919948, "G5": 0.068817773, "C5": 0.076903847}),
    ("region_wise", {}, {"B4": -0.35, "T4": -0.1, "G5": -0.426842712}),
    ("shape_aware", {"weight": 1.0}, {"B4": 0.566611512, "G5": 0.218614715, "C5": 0.177075562}),
    ("active_contour", {"lam": 1.0}, {"G5": 0.505724414}),
    ("boundary_f1", {"theta": 5}, {"G5": 0.111111111, "C5": 0.081081081}),
]
