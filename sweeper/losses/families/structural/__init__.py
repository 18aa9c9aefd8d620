"""Losses that judge structure: windows, skeletons, components, features, critics."""

from __future__ import annotations

from sweeper.losses.families.structural.adversarial import ADVERSARIAL, ADVERSARIAL_LSGAN
from sweeper.losses.families.structural.adversarial_critic import ADVERSARIAL_HINGE, ADVERSARIAL_WGAN
from sweeper.losses.families.structural.blob import BLOB
from sweeper.losses.families.structural.cldice import CLDICE
from sweeper.losses.families.structural.perceptual import PERCEPTUAL
from sweeper.losses.families.structural.pixel_triplet import PIXEL_TRIPLET
from sweeper.losses.families.structural.skeleton_recall import SKELETON_RECALL
from sweeper.losses.families.structural.ssim import SSIM
from sweeper.losses.families.structural.ssl import SSL
from sweeper.losses.families.structural.topology import TOPOLOGY_AWARE_FOCAL
from sweeper.losses.family import Family

ROWS: tuple[Family, ...] = (
    SSL,
    SSIM,
    PERCEPTUAL,
    ADVERSARIAL,
    ADVERSARIAL_WGAN,
    ADVERSARIAL_LSGAN,
    ADVERSARIAL_HINGE,
    TOPOLOGY_AWARE_FOCAL,
    PIXEL_TRIPLET,
    CLDICE,
    SKELETON_RECALL,
    BLOB,
)
