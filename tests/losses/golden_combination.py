"""What combination losses cost on the small pictures of `golden`."""

from __future__ import annotations

ROWS: list[tuple[str, dict[str, object], dict[str, float]]] = [
    ("combo", {"alpha": 0.5, "beta": 0.5}, {"B4": 0.210647333, "T4": 0.397258483, "T4i": 0.400406849}),
    ("combo", {"alpha": 0.5, "beta": 0.7}, {"B4": 0.227976013, "T4": 0.415806916, "T4i": 0.442165614}),
    ("exp_log", {}, {"B4": 0.737943787, "T4": 1.002931036, "T4i": 1.000307889}),
    ("exp_log", {"gamma": 1.0}, {"B4": 0.328771002, "T4": 0.771060611, "T4i": 0.745979044}),
    ("unified_focal", {}, {"B4": 0.313189923, "T4": 0.461820463, "T4i": 0.475608607}),
    ("unified_focal", {"lam": 1.0}, {"B4": 0.124772125}),
    ("unified_focal", {"lam": 0.0}, {"B4": 0.501607721}),
    ("asymmetric_unified_focal", {}, {"B4": 0.271954207, "T4": 0.451792008, "T4i": 0.476666195}),
    ("asymmetric_unified_focal", {"lam": 1.0}, {"B4": 0.166558762}),
    ("asymmetric_unified_focal", {"lam": 0.0}, {"B4": 0.377349651}),
    ("dice_ce", {}, {"B4": 0.590064081, "T4": 1.104134275, "T4i": 1.128499174}),
    ("dice_focal", {}, {"B4": 0.337749656, "T4": 0.639145731, "T4i": 0.651545623}),
    ("dice_topk", {"k": 0.5}, {"B4": 0.822242394, "T4": 1.289618611, "T4i": 1.315037770}),
    # Sums of what the parts cost by themselves.
    ("region_boundary", {"a": 0.1}, {"B4": 0.240025253, "G5": 0.175120876 + 0.1 * 0.066627417}),
    ("region_boundary", {"a": 0.5, "mix": "convex"}, {"B4": (0.252525253 - 0.125) / 2}),
    (
        "region_boundary",
        {"a": 0.25, "region": "generalized_dice", "boundary": "hausdorff_dt"},
        {"B4": 0.25 + 0.25 * 0.275, "T4": 0.520782396 + 0.25 * 0.135625},
    ),
    (
        "region_boundary",
        {"a": 0.25, "region": "dice_ce", "boundary": "boundary_f1", "mix": "convex"},
        {"G5": 0.75 * (0.175120876 + 0.208013397) + 0.25 * 0.111111111},
    ),
    (
        "region_boundary",
        {"a": 2.0, "region": "tversky", "boundary": "region_wise"},
        {"B4": 0.308510638 - 2 * 0.35, "T4": 0.560989699 - 2 * 0.1},
    ),
    (
        "region_boundary",
        {"a": 1.0, "region": "focal_tversky", "boundary": "boundary_dou"},
        {"B4": 0.413954500 + 0.124510246, "T4": 0.648175570 + 0.270919948},
    ),
    (
        "region_boundary",
        {"a": 0.5, "region": "cross_entropy", "boundary": "cldice"},
        {"C5": 0.156869732 + 0.5 * 0.156431054},
    ),
    ("basnet_hybrid", {"window": 3}, {"G5": 0.747495319, "C5": 0.156869732 + 0.277337593 + 0.274782155}),
]
