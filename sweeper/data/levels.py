"""Imbalance levels by weighting patches: no pixel is copied or altered, only how often a patch counts.

With v_i valid pixels in patch i, b_i of them background, and a weight w_i for each patch, the background fraction is
Σ w_i b_i / Σ w_i v_i. Two ways to set it to a level:

mixture   one weight for patches that hold minority pixels, one for those that hold none: a pure change of prevalence.
tilt      w_i ∝ exp(λ f_i), f_i = 1 − b_i / v_i: of all weights that reach the level, those of maximum entropy, so the
          least distortion. Used only where the mixture cannot reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sweeper.errors import LevelError

Method = Literal["mixture", "tilt"]


@dataclass(frozen=True, eq=False)
class LevelWeights:
    """What makes N patches show one background fraction."""

    weights: NDArray[np.float64]
    """(N,), at least 0, mean 1."""
    method: Method
    measured: float
    """Background fraction of the valid pixels under the weights."""
    effective: float
    """(Σ w)² / Σ w², between 1 and N: how many equally weighted patches are as informative."""
    aimed: float
    """The level asked for."""


def level_weights(
    counts: NDArray[np.int64], *, background: int, minority: tuple[int, ...], level: float, split: str | None = None
) -> LevelWeights:
    """Return the weights under which the background fraction of the patches equals `level`.

    Args:
        counts: (N, C), pixels of each class in each patch; ignored pixels are in no class.
        background: Index of the class whose fraction is the level.
        minority: Indices of the classes the task is about; they define the two groups of the mixture.
        level: Strictly between the two ends of `reachable`.
        split: Name of the split, for the message.

    Raises: LevelError when no weighting can reach the level.
    """
    pool = _Pool.of(counts, background, minority)
    low, high = pool.reach(split)
    if math.isclose(level, pool.natural, rel_tol=0, abs_tol=1e-12):
        return pool.weighted(np.ones(len(counts)), "mixture", level)
    if not low < level < high:
        raise LevelError(
            f"{_named(split)}: level {level:g} cannot be reached by weighting patches; levels strictly between "
            f"{_inward(low, up=True)} and {_inward(high, up=False)} can: choose one of them, or change the data or "
            f"the patch size"
        )
    weights = pool.mixture(level)
    if weights is not None:
        return pool.weighted(weights, "mixture", level)
    return pool.weighted(pool.tilt(level), "tilt", level)


def reachable(
    counts: NDArray[np.int64], *, background: int, minority: tuple[int, ...], split: str | None = None
) -> tuple[float, float]:
    """Return (low, high): every level strictly between them can be reached, by mixture or by tilt.

    Raises: LevelError when the patches hold no minority pixel at all.
    """
    return _Pool.of(counts, background, minority).reach(split)


def mixture_reach(
    counts: NDArray[np.int64], *, background: int, minority: tuple[int, ...], split: str | None = None
) -> tuple[float, float]:
    """Return (low, high) of the levels that the mixture alone reaches; equal where every patch holds minority pixels.

    The end at which patches with minority pixels would get weight 0 is not itself reachable.
    Raises: LevelError when the patches hold no minority pixel at all.
    """
    pool = _Pool.of(counts, background, minority)
    pool.reach(split)
    return pool.mixture_ends()


@dataclass(frozen=True, eq=False)
class _Pool:
    """The patches of one split, reduced to what weighting needs."""

    valid: NDArray[np.float64]
    background: NDArray[np.float64]
    holds_minority: NDArray[np.bool_]

    @classmethod
    def of(cls, counts: NDArray[np.int64], background: int, minority: tuple[int, ...]) -> _Pool:
        return cls(
            valid=counts.sum(axis=1).astype(np.float64),
            background=counts[:, background].astype(np.float64),
            holds_minority=counts[:, list(minority)].sum(axis=1) > 0,
        )

    @property
    def natural(self) -> float:
        return float(self.background.sum() / self.valid.sum())

    @property
    def foreground_fraction(self) -> NDArray[np.float64]:
        """(N,), f_i; 0 for a patch without a valid pixel, which then weighs nothing in any level."""
        return (self.valid - self.background) / np.maximum(self.valid, 1)

    def reach(self, split: str | None) -> tuple[float, float]:
        if not self.holds_minority.any():
            raise LevelError(
                f"{_named(split)}: no patch holds a pixel of a minority class, so no level means anything; put "
                f"pictures that show the minority classes into this split, or name other `minority` classes"
            )
        fraction = self.foreground_fraction[self.valid > 0]
        return float(1 - fraction.max()), float(1 - fraction.min())

    def mixture_ends(self) -> tuple[float, float]:
        with_minority = self._fraction_of(self.holds_minority)
        if not self.valid[~self.holds_minority].sum():
            return with_minority, with_minority
        without = self._fraction_of(~self.holds_minority)
        return min(with_minority, without), max(with_minority, without)

    def mixture(self, level: float) -> NDArray[np.float64] | None:
        """Return the two-valued weights of a level, or None where the mixture cannot reach it.

        With weight a for patches with minority pixels and c for those without, the level L asks for
        a (B_a − L V_a) + c (B_c − L V_c) = 0, where B and V are background and valid pixels of the two groups.
        """
        surplus = self.background - level * self.valid
        with_minority = float(surplus[self.holds_minority].sum())
        without = float(surplus[~self.holds_minority].sum())
        if without == 0 or with_minority * without > 0:
            return None
        return np.where(self.holds_minority, abs(without), abs(with_minority))

    def tilt(self, level: float) -> NDArray[np.float64]:
        """Return exp(λ f_i), scaled to at most 1, with λ solved for a level strictly inside `reach`."""
        from scipy.optimize import brentq  # training runs without scipy unless a level needs a tilt

        fraction = self.foreground_fraction

        def weights(strength: float) -> NDArray[np.float64]:
            exponent = strength * fraction
            scaled: NDArray[np.float64] = np.exp(exponent - exponent.max())
            return scaled

        def excess(strength: float) -> float:
            # Summing the difference, not subtracting two sums, keeps its sign right next to the ends of the reach.
            at = weights(strength)
            return float((at * (self.background - level * self.valid)).sum() / (at * self.valid).sum())

        # The background fraction falls as λ grows; its derivative is minus a variance. So one bracket end is λ = 0, the
        # other is doubled until it is beyond. It ends: once exp underflows, only the most extreme patches are left.
        sign = 1.0 if excess(0.0) > 0 else -1.0
        far = sign
        while sign * excess(far) > 0:
            far *= 2
        return weights(brentq(excess, *sorted((0.0, far)), xtol=1e-14, rtol=8.9e-16, maxiter=500))

    def weighted(self, weights: NDArray[np.float64], method: Method, aimed: float) -> LevelWeights:
        weights = weights / weights.mean()
        return LevelWeights(
            weights=weights,
            method=method,
            measured=float((weights * self.background).sum() / (weights * self.valid).sum()),
            effective=float(weights.sum() ** 2 / (weights**2).sum()),
            aimed=aimed,
        )

    def _fraction_of(self, group: NDArray[np.bool_]) -> float:
        return float(self.background[group].sum() / self.valid[group].sum())


def _named(split: str | None) -> str:
    return split if split else "these patches"


def _inward(end: float, *, up: bool) -> str:
    """Write an end of the reach with four decimals, rounded so that the number printed is not outside it."""
    return f"{(math.ceil if up else math.floor)(end * 1e4) / 1e4:.4f}"
