"""Losses that look at a region's edge: distances to it, its contour, its neighbourhood."""

from __future__ import annotations

from sweeper.losses.families.boundary.active_boundary import ACTIVE_BOUNDARY
from sweeper.losses.families.boundary.active_contour import ACTIVE_CONTOUR
from sweeper.losses.families.boundary.boundary import BOUNDARY
from sweeper.losses.families.boundary.boundary_aware import BOUNDARY_AWARE
from sweeper.losses.families.boundary.boundary_dou import BOUNDARY_DOU
from sweeper.losses.families.boundary.boundary_f1 import BOUNDARY_F1
from sweeper.losses.families.boundary.conditional_boundary import CONDITIONAL_BOUNDARY
from sweeper.losses.families.boundary.hausdorff import HAUSDORFF_DT, HAUSDORFF_ER
from sweeper.losses.families.boundary.hausdorff_cv import HAUSDORFF_CV
from sweeper.losses.families.boundary.inverseform import INVERSEFORM
from sweeper.losses.families.boundary.region_wise import REGION_WISE
from sweeper.losses.families.boundary.shape_aware import SHAPE_AWARE
from sweeper.losses.family import Family

ROWS: tuple[Family, ...] = (
    BOUNDARY,
    HAUSDORFF_DT,
    HAUSDORFF_ER,
    HAUSDORFF_CV,
    BOUNDARY_AWARE,
    ACTIVE_BOUNDARY,
    INVERSEFORM,
    CONDITIONAL_BOUNDARY,
    BOUNDARY_DOU,
    REGION_WISE,
    SHAPE_AWARE,
    ACTIVE_CONTOUR,
    BOUNDARY_F1,
)
