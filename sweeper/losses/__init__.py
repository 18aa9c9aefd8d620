"""Loss families, each a function by its own name: `from sweeper.losses import tversky`.

`catalogue` is the table of them, `family` says what one is, `module` makes a torch module of one, and `conformance`
tries what every one must do. Torch is loaded with the first function that is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeper.losses.families.boundary.active_boundary import active_boundary as active_boundary
    from sweeper.losses.families.boundary.active_contour import active_contour as active_contour
    from sweeper.losses.families.boundary.boundary import boundary as boundary
    from sweeper.losses.families.boundary.boundary_aware import boundary_aware as boundary_aware
    from sweeper.losses.families.boundary.boundary_dou import boundary_dou as boundary_dou
    from sweeper.losses.families.boundary.boundary_f1 import boundary_f1 as boundary_f1
    from sweeper.losses.families.boundary.conditional_boundary import conditional_boundary as conditional_boundary
    from sweeper.losses.families.boundary.hausdorff import hausdorff_dt as hausdorff_dt
    from sweeper.losses.families.boundary.hausdorff import hausdorff_er as hausdorff_er
    from sweeper.losses.families.boundary.hausdorff_cv import hausdorff_cv as hausdorff_cv
    from sweeper.losses.families.boundary.inverseform import inverseform as inverseform
    from sweeper.losses.families.boundary.region_wise import region_wise as region_wise
    from sweeper.losses.families.boundary.shape_aware import shape_aware as shape_aware
    from sweeper.losses.families.combination.basnet_hybrid import basnet_hybrid as basnet_hybrid
    from sweeper.losses.families.combination.combo import combo as combo
    from sweeper.losses.families.combination.dice_ce import dice_ce as dice_ce
    from sweeper.losses.families.combination.dice_focal import dice_focal as dice_focal
    from sweeper.losses.families.combination.dice_topk import dice_topk as dice_topk
    from sweeper.losses.families.combination.exp_log import exp_log as exp_log
    from sweeper.losses.families.combination.region_boundary import region_boundary as region_boundary
    from sweeper.losses.families.combination.unified_focal import asymmetric_unified_focal as asymmetric_unified_focal
    from sweeper.losses.families.combination.unified_focal import unified_focal as unified_focal
    from sweeper.losses.families.pixel.balanced import balanced_cross_entropy as balanced_cross_entropy
    from sweeper.losses.families.pixel.cross_entropy import cross_entropy as cross_entropy
    from sweeper.losses.families.pixel.cross_entropy import weighted_cross_entropy as weighted_cross_entropy
    from sweeper.losses.families.pixel.distance_map import distance_map_cross_entropy as distance_map_cross_entropy
    from sweeper.losses.families.pixel.focal import focal as focal
    from sweeper.losses.families.pixel.hierarchical import hierarchical_cross_entropy as hierarchical_cross_entropy
    from sweeper.losses.families.pixel.label_smoothing import kl_divergence as kl_divergence
    from sweeper.losses.families.pixel.label_smoothing import (
        label_smoothing_cross_entropy as label_smoothing_cross_entropy,
    )
    from sweeper.losses.families.pixel.logit_adjusted import (
        logit_adjusted_cross_entropy as logit_adjusted_cross_entropy,
    )
    from sweeper.losses.families.pixel.noise_robust import generalized_cross_entropy as generalized_cross_entropy
    from sweeper.losses.families.pixel.noise_robust import phuber_cross_entropy as phuber_cross_entropy
    from sweeper.losses.families.pixel.poly1 import poly1_cross_entropy as poly1_cross_entropy
    from sweeper.losses.families.pixel.probability_error import mae as mae
    from sweeper.losses.families.pixel.probability_error import mse as mse
    from sweeper.losses.families.pixel.recall import recall_cross_entropy as recall_cross_entropy
    from sweeper.losses.families.pixel.topk import topk_cross_entropy as topk_cross_entropy
    from sweeper.losses.families.region.asymmetric_similarity import asymmetric_similarity as asymmetric_similarity
    from sweeper.losses.families.region.dice import dice as dice
    from sweeper.losses.families.region.dice import generalized_dice as generalized_dice
    from sweeper.losses.families.region.iou import iou as iou
    from sweeper.losses.families.region.jaccard_metric import jaccard_metric as jaccard_metric
    from sweeper.losses.families.region.log_cosh_dice import log_cosh_dice as log_cosh_dice
    from sweeper.losses.families.region.lovasz import lovasz_softmax as lovasz_softmax
    from sweeper.losses.families.region.mcc import mcc as mcc
    from sweeper.losses.families.region.noise_robust_dice import noise_robust_dice as noise_robust_dice
    from sweeper.losses.families.region.rmi import rmi as rmi
    from sweeper.losses.families.region.robust_t import robust_t as robust_t
    from sweeper.losses.families.region.sensitivity_specificity import (
        sensitivity_specificity as sensitivity_specificity,
    )
    from sweeper.losses.families.region.size_prior import size_prior as size_prior
    from sweeper.losses.families.region.tversky import focal_tversky as focal_tversky
    from sweeper.losses.families.region.tversky import tversky as tversky
    from sweeper.losses.families.region.wasserstein import generalized_wasserstein_dice as generalized_wasserstein_dice
    from sweeper.losses.families.structural.adversarial import adversarial as adversarial
    from sweeper.losses.families.structural.adversarial import adversarial_lsgan as adversarial_lsgan
    from sweeper.losses.families.structural.adversarial_critic import adversarial_hinge as adversarial_hinge
    from sweeper.losses.families.structural.adversarial_critic import adversarial_wgan as adversarial_wgan
    from sweeper.losses.families.structural.blob import blob as blob
    from sweeper.losses.families.structural.cldice import cldice as cldice
    from sweeper.losses.families.structural.perceptual import perceptual as perceptual
    from sweeper.losses.families.structural.pixel_triplet import pixel_triplet as pixel_triplet
    from sweeper.losses.families.structural.skeleton_recall import skeleton_recall as skeleton_recall
    from sweeper.losses.families.structural.ssim import ssim as ssim
    from sweeper.losses.families.structural.ssl import ssl as ssl
    from sweeper.losses.families.structural.topology import topology_aware_focal as topology_aware_focal


def __getattr__(name: str) -> Any:
    # Asked also for the modules of this package, before they are loaded, and for names that Python itself looks up.
    if not name.startswith("_") and name != "catalogue":
        from sweeper.losses.catalogue import FAMILIES

        if name in FAMILIES:
            return FAMILIES[name].function
    raise AttributeError(f"module 'sweeper.losses' has no attribute {name!r}")


def __dir__() -> list[str]:
    from sweeper.losses.catalogue import FAMILIES

    return sorted({*globals(), *FAMILIES})
