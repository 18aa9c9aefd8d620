"""The same losses in other libraries, set so that they compute the same number; only what is installed is used.

Left out, because it is another loss under the same name: kornia's Tversky (depends on α + β alone), its Lovász (wrong
beyond two classes) and its Dice (per image); smp's multiclass focal loss (a sigmoid per class).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

Run = Callable[[Tensor], Tensor]

_MONAI = {"softmax": True, "to_onehot_y": True, "batch": True, "smooth_nr": 0.0, "smooth_dr": 1e-12}


def peers(name: str, target: Tensor, classes: int) -> dict[str, Run]:
    """Return the loss `name` of every library that has it, by the library's name."""
    found: dict[str, Run] = {}
    for library, builder in (("smp", _smp), ("monai", _monai), ("kornia", _kornia), ("torch", _torch)):
        module = {"smp": "segmentation_models_pytorch"}.get(library, library)
        if importlib.util.find_spec(module) is None:
            continue
        run = builder(name, target, classes)
        if run is not None:
            found[library] = run
    return found


def _torch(name: str, target: Tensor, classes: int) -> Run | None:
    match name:
        case "cross_entropy":
            return lambda z: functional.cross_entropy(z, target)
        case "label_smoothing_cross_entropy":
            return lambda z: functional.cross_entropy(z, target, label_smoothing=0.1)
        case "weighted_cross_entropy":
            weights = torch.ones(classes, device=target.device)
            return lambda z: functional.cross_entropy(z, target, weight=weights)
    return None


def _smp(name: str, target: Tensor, classes: int) -> Run | None:
    from segmentation_models_pytorch import losses

    match name:
        case "dice":
            loss = losses.DiceLoss("multiclass", smooth=0.0)
        case "iou":
            loss = losses.JaccardLoss("multiclass", smooth=0.0)
        case "tversky":
            loss = losses.TverskyLoss("multiclass", alpha=0.3, beta=0.7, smooth=0.0, classes=list(range(1, classes)))
        case "lovasz_softmax":
            loss = losses.LovaszLoss("multiclass")
        case _:
            return None
    return lambda z: loss(z, target)


def _monai(name: str, target: Tensor, classes: int) -> Run | None:
    from monai import losses

    foreground = {"include_background": False}
    match name:
        case "dice":
            loss = losses.DiceLoss(**_MONAI)
        case "iou":
            loss = losses.DiceLoss(jaccard=True, **_MONAI)
        case "generalized_dice":
            loss = losses.GeneralizedDiceLoss(**_MONAI)
        case "tversky":
            loss = losses.TverskyLoss(alpha=0.3, beta=0.7, **foreground, **_MONAI)
        case "mcc":
            loss = losses.MCCLoss(softmax=True, to_onehot_y=True, batch=True)
        case "focal":
            loss = losses.FocalLoss(use_softmax=True, to_onehot_y=True)
        case "dice_ce":
            loss = losses.DiceCELoss(**_MONAI)
        case "generalized_wasserstein_dice":
            matrix = 1.0 - torch.eye(classes)
            loss = losses.GeneralizedWassersteinDiceLoss(matrix.numpy(), smooth_nr=0.0, smooth_dr=1e-12)
            return lambda z: loss(z, target)
        case "boundary":
            loss = losses.BoundaryLoss(softmax=True, to_onehot_y=True, **foreground)
        case "hausdorff_dt":
            loss = losses.HausdorffDTLoss(softmax=True, to_onehot_y=True, **foreground)
        case "cldice":
            loss = losses.SoftclDiceLoss(iter_=3, smooth=1.0)
            return partial(_of_foreground, loss, target, classes)
        case "ssim":
            loss = losses.SSIMLoss(2, win_size=11)
            return partial(_of_foreground, loss, target, classes)
        case _:
            return None
    return lambda z: loss(z, target.unsqueeze(1))


def _kornia(name: str, target: Tensor, classes: int) -> Run | None:
    from kornia import losses

    match name:
        case "focal":
            return lambda z: losses.focal_loss(z, target, alpha=None, gamma=2.0, reduction="mean")
        case "hausdorff_er":
            loss = losses.HausdorffERLoss(alpha=2.0, k=10)
            return lambda z: loss(z.softmax(1), target.unsqueeze(1))
    return None


def _of_foreground(loss: Run, target: Tensor, classes: int, z: Tensor) -> Tensor:
    truth = functional.one_hot(target, classes).movedim(-1, 1).to(z)
    value: Tensor = loss(truth[:, 1:], z.softmax(1)[:, 1:])  # type: ignore[call-arg]
    return value
