"""The table of loss families. A new loss is a function and its row beside it, and one line in its level's `ROWS`."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from sweeper.errors import LossError, UnknownFamily, UserError
from sweeper.losses.custom import load_family
from sweeper.losses.families import boundary, combination, pixel, region, structural
from sweeper.losses.family import Family
from sweeper.losses.module import Loss
from sweeper.losses.primitives import IGNORE_INDEX

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {row.name: row for row in (*pixel.ROWS, *region.ROWS, *boundary.ROWS, *combination.ROWS, *structural.ROWS)}
)

ALIASES: Mapping[str, str] = MappingProxyType({alias: name for name, row in FAMILIES.items() for alias in row.aliases})

_CONTRASTIVE = (
    "contrastive coding (InfoNCE) compares the features of two views of a picture and looks at no segmentation target, "
    "so that it pre-trains an encoder but is no loss of (logits, target); pixel_triplet is the family nearest to it"
)

_DICE_SEMIMETRIC = "the Dice semimetric loss is jaccard_metric with a = 0.5"

OUTSIDE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("contrastive", "contrastive_coding", "infonce", "info_nce"), _CONTRASTIVE),
        **dict.fromkeys(("dml", "dice_semimetric"), _DICE_SEMIMETRIC),
        "poly1_focal": "the focal form of Poly-1 is poly1_cross_entropy with gamma = 2",
        "unet3plus": "the loss of UNet 3+ adds focal loss, SSIM at several scales and IoU; basnet_hybrid, with "
        "cross-entropy and SSIM at one scale, is the family nearest to it",
    }
)
"""Names found in surveys that are no family here, each with what to do: no loss by the contract, or one setting of a
family, which an alias would silently turn into its default."""


class OutsideContract(UnknownFamily):
    """A name of `OUTSIDE`; the message says why it is no family."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hint = OUTSIDE[name]
        UserError.__init__(self, f"there is no loss family {name!r}: {self.hint}")


def family(name: str) -> Family:
    """Return a family by its name, by an alias, or a user's own by dotted path `package.module:attribute`.

    Raises: UnknownFamily, naming the nearest name or alias, or saying why there can be none; UserError or LossError for
        a path that leads to no loss.
    """
    if ":" in name:
        return _users_own(name)
    if name in OUTSIDE:
        raise OutsideContract(name)
    if name in FAMILIES:
        return FAMILIES[name]
    if name in ALIASES:
        return FAMILIES[ALIASES[name]]
    names = [*FAMILIES, *ALIASES]
    # With nothing near, the list of what there is stays readable without the aliases.
    raise UnknownFamily(name, names if get_close_matches(name, names) else FAMILIES)


def loss(name: str, *, ignore_index: int = IGNORE_INDEX, **settings: Any) -> Loss:
    """Return a family at one setting as a torch module: `forward(logits, target)` gives a scalar. See `module.Loss`.

    >>> loss("tversky", alpha=0.2, beta=0.8)
    Loss(tversky, alpha=0.2, beta=0.8, smooth=0.0, ignore_index=-100)

    Raises: UnknownFamily; LossError for a hyperparameter the family does not have or a value that is not legal.
    """
    return Loss(family(name), ignore_index=ignore_index, **settings)


def _users_own(path: str) -> Family:
    own = load_family(path)
    if own.name in FAMILIES or own.name in ALIASES:
        raise LossError(f"{path} has the name of a shipped family, {own.name!r}; rename the function")
    return own
