"""What structural losses cost on the small pictures of `golden`."""

from __future__ import annotations

ROWS: list[tuple[str, dict[str, object], dict[str, float]]] = [
    ("ssl", {"lam": 0.0}, {"G5": 0.341596944, "C5": 0.505782271}),
    ("ssl", {}, {"G5": (0.208013397 + 0.341596944) / 2, "C5": (0.156869732 + 0.505782271) / 2}),
    ("ssim", {"window": 3}, {"G5": 0.243838151, "C5": 0.277337593}),
    ("perceptual", {"lam": 0.0}, {"B4": 0.337538829, "T4": 0.619234620, "T4i": 0.655370952, "C5": 0.156869732}),
    # What a rival says has no value of its own to expect.
    ("adversarial", {"lam": 0.0, "conditional": False}, {"B4": 0.337538829, "T4i": 0.655370952}),
    ("adversarial_wgan", {"lam": 0.0, "conditional": False}, {"B4": 0.337538829, "T4i": 0.655370952}),
    ("adversarial_lsgan", {"lam": 0.0, "conditional": False}, {"B4": 0.337538829, "T4i": 0.655370952}),
    ("adversarial_hinge", {"lam": 0.0, "conditional": False}, {"B4": 0.337538829, "T4i": 0.655370952}),
    # C5 has two peaks of .9 that join at .2, the others one of their highest probability: points (.9, 0) and (.9, .2)
    # against one (1, 0) are .1² + .7²/2 from it. M5's peak of .05 is nearer to the diagonal. T4 has two classes.
    (
        "topology_aware_focal",
        {"lam": 1.0},
        {"B4": 0.095224404, "T4": 0.154246076 + (0.25 + 0.36) / 2, "C5": 0.309662231, "M5": 1.474645485},
    ),
    ("topology_aware_focal", {"lam": 0.0, "gamma": 2.0, "alpha": 0.25}, {"B4": 0.022553519, "T4": 0.052790625}),
    ("pixel_triplet", {"lam": 0.0}, {"B4": 0.252525253, "T4": 0.484899655, "T4i": 0.473128221, "G5": 0.175120876}),
    ("pixel_triplet", {"lam": 1.0}, {"B4": 1.765871119}),
    ("cldice", {"a": 0.0}, {"B4": 0.277777778, "T4": 0.565011820, "G5": 0.219251337, "C5": 0.265700483}),
    ("cldice", {"a": 1.0}, {"C5": 0.156431054}),
    ("cldice", {"a": 1.0, "smooth": 0.0}, {"C5": 0.190519052}),
    ("cldice", {}, {"C5": (0.265700483 + 0.156431054) / 2}),
    ("skeleton_recall", {}, {"C5": 0.167528678 + 0.156869732 + 0.24}),
    ("skeleton_recall", {"lam": 0.0}, {"B4": 0.590064081, "T4": 1.104134275, "T4i": 1.128499174}),
    # One object per class and image: 2 + 1 times the base.
    ("blob", {}, {"B4": 0.833333333, "T4": 1.695035461, "T4i": 1.562410329, "G5": 0.657754011}),
    ("blob", {"base": "iou"}, {"B4": 1.304347826, "T4": 2.166023166}),
    ("blob", {"base": "tversky"}, {"B4": 0.925531915, "T4": 1.682969098}),
    ("blob", {"base": "cross_entropy"}, {"B4": 1.012616486, "T4": 1.857703861}),
]
