"""A smooth curve through scattered scores, and how sure it is: Gaussian-process regression in a few lines.

Scores y at points x of the unit cube are y = f(x) + noise. f has a Matérn covariance of smoothness 5/2 with a length of
its own per axis, so that an axis that does not matter gets a long one. Where trials were stopped early, the share of
training they lack is one more axis, along which the score may also rise linearly; the curve is that of trials that ran
to the end. Lengths, signal and noise are those of greatest posterior density, averaged with what else the trials allow:
few trials do not tell a short length from a long one, and a band that takes the best guess for the truth is too narrow.

Source: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, equations 2.23-2.24, 2.30, 5.9 and 4.17;
linear trend: section 2.7; integration over the hyperparameters: section 5.2, here by sampling importance weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.stats import norm, qmc
from scipy.stats import t as student

Array = NDArray[np.float64]

LENGTH = (math.log(0.5), 1.0)
"""Center and spread of the normal prior of a log length, in units of the domain: 0.07 to 3.5 with 95 %."""
SIGNAL = (0.0, 1.0)
"""Of the log variance of f; scores are scaled to variance 1."""
NOISE = (math.log(0.1), 1.5)
"""Of the log variance of the noise: from 0.5 % to nearly 200 % of the scores' variance with 95 %."""
TREND = 4.0
"""Variance of the slope along the missing share of training, in scaled scores per whole axis."""
LEVEL = 1.0
"""Variance of the overall level of f, in scaled scores: the mean of the trials is not taken for known."""
BOUNDS = {"length": (-3.5, 3.0), "signal": (-6.0, 4.0), "noise": (-9.0, 2.0)}
DRAWS = 16
"""Hyperparameters drawn around the best ones for the average."""
JITTER = 1e-9


@dataclass(frozen=True)
class Posterior:
    """What is known about G mean scores, or differences of them: each (G,)."""

    mean: Array
    sd: Array
    freedom: int
    """Of Student's t, which widens the bands of few trials: those that ran to the end, less one."""

    @property
    def reach(self) -> float:
        """Standard deviations that a 95 % band goes to either side."""
        return float(student.ppf(0.975, self.freedom))

    @property
    def low(self) -> Array:
        return self.mean - self.reach * self.sd

    @property
    def high(self) -> Array:
        return self.mean + self.reach * self.sd

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether each is above 0 at the 5 % level, (G,)."""
        return np.asarray(self.mean > float(student.ppf(0.95, self.freedom)) * self.sd)


@dataclass(frozen=True)
class Kernel:
    """Covariance of scaled scores, at logarithms of its hyperparameters."""

    theta: Array
    """(D + 2,): log length per axis, log signal variance, log noise variance."""
    trended: bool = False
    """Whether the last axis also has a linear trend through 0."""

    def between(self, first: Array, second: Array) -> Array:
        """Return the covariance (..., N, M) of f at points (..., N, D) and (..., M, D)."""
        squared = np.zeros(())
        for axis, log in enumerate(self.theta[:-2]):
            squared = squared + ((first[..., :, None, axis] - second[..., None, :, axis]) * math.exp(-log)) ** 2
        found = LEVEL + math.exp(self.theta[-2]) * _matern(np.sqrt(squared))
        return found + TREND * first[..., :, None, -1] * second[..., None, :, -1] if self.trended else found


@dataclass(frozen=True)
class Smoother:
    """A fit, ready to be asked for mean scores anywhere in the unit cube."""

    points: Array
    kernels: tuple[Kernel, ...]
    """The best hyperparameters first, then those drawn."""
    weights: Array
    """(K,): of every kernel, their sum 1."""
    center: float
    scale: float
    freedom: int
    """See `Posterior`."""
    factors: tuple[tuple[Array, Array], ...]
    """Per kernel: the lower Cholesky factor (N, N) of the scores' covariance, and its inverse times them (N,)."""

    @property
    def signal(self) -> float:
        """Standard deviation of f over all points, on the scale of the scores: what is known before any trial."""
        return self.scale * math.exp(0.5 * float(self.kernels[0].theta[-2]))

    @property
    def noise(self) -> float:
        """Standard deviation of a single trial around f."""
        return self.scale * math.exp(0.5 * float(self.kernels[0].theta[-1]))

    def __call__(self, places: Array) -> Posterior:
        """Return the mean score at places (G, D), of trials that ran to the end."""
        return self.average(places[:, None, :])

    def average(self, places: Array, shares: Array | None = None) -> Posterior:
        """Return a weighted sum of the mean scores of M points, for each of G groups of them.

        The uncertainty is that of the sum, so that what its points share counts once.

        Args:
            places: (G, M, D).
            shares: (M,) weights, the same for every group; by default 1 / M each, which is the average.
        """
        groups, size, _ = places.shape
        share = np.full(size, 1 / size) if shares is None else shares
        if self.kernels[0].trended:
            places = np.concatenate([places, np.zeros((groups, size, 1))], axis=2)
        mean, square = np.zeros(groups), np.zeros(groups)
        for weight, kernel, (lower, solved) in zip(self.weights, self.kernels, self.factors, strict=True):
            across = np.tensordot(kernel.between(places, self.points[None]), share, ([1], [0]))
            halves = solve_triangular(lower, across.T, lower=True)
            prior = np.einsum("gij,i,j->g", kernel.between(places, places), share, share)
            one = across @ solved
            mean += weight * one
            # Of a mixture: the mean of the variances and the variance of the means.
            square += weight * (np.clip(prior - (halves**2).sum(axis=0), 0, None) + one**2)
        base = self.center * float(share.sum())
        sd = self.scale * np.sqrt(np.clip(square - mean**2, 0, None))
        return Posterior(base + self.scale * mean, sd, self.freedom)


def fit(points: Array, scores: Array, *, lacking: Array | None = None, seed: int = 0) -> Smoother:
    """Fit the smoother to scores (N,) at points (N, D) of the unit cube.

    Args:
        lacking: (N,) share of training that a trial did not get, on a scale where 0 is none and 1 the most; None or all
            0 where every trial ran to the end.
        seed: Of the hyperparameters drawn for the average.
    """
    trended = lacking is not None and bool(np.any(lacking > 0))
    ended = np.ones(len(scores), bool) if lacking is None else lacking == 0
    if trended and lacking is not None:
        points = np.column_stack([points, lacking])
    spread = float(scores.std())
    scale = spread if spread > 0 else 1.0
    center = float(scores[ended].mean()) if ended.any() else float(scores.mean())
    scaled = (scores - center) / scale
    theta, curvature = _best(points, scaled, trended)
    thetas, weights = _drawn(points, scaled, trended, theta, curvature, seed)
    kernels = tuple(Kernel(one, trended) for one in thetas)
    factors = tuple(_factor(kernel, points, scaled) for kernel in kernels)
    freedom = max(int(ended.sum()) - 1, 1)
    return Smoother(points, kernels, weights, center, scale, freedom, factors)


def log_evidence(theta: Array, points: Array, scaled: Array, trended: bool) -> tuple[float, Array]:
    """Return the log marginal likelihood of scaled scores, equation 2.30, and its gradient in `theta`."""
    size = len(scaled)
    differences = [(points[:, axis, None] - points[None, :, axis]) ** 2 for axis in range(points.shape[1])]
    parts = [square * math.exp(-2 * log) for square, log in zip(differences, theta[:-2], strict=True)]
    distance = np.sqrt(sum(parts, np.zeros((size, size))))
    signal, noise = math.exp(theta[-2]), math.exp(theta[-1])
    smooth = signal * _matern(distance)
    covariance = smooth + LEVEL + (noise + JITTER) * np.eye(size)
    if trended:
        covariance = covariance + TREND * np.outer(points[:, -1], points[:, -1])
    factor = cho_factor(covariance, lower=True)
    solved = cho_solve(factor, scaled)
    inverse = cho_solve(factor, np.eye(size))
    value = -0.5 * scaled @ solved - np.log(np.diag(factor[0])).sum() - 0.5 * size * math.log(2 * math.pi)
    # Half the trace of (a aᵀ − K⁻¹) ∂K/∂θ, equation 5.9.
    outer = np.outer(solved, solved) - inverse
    root = math.sqrt(5.0) * distance
    slope = signal * (5.0 / 3.0) * (1 + root) * np.exp(-root)
    weighted = outer * slope
    gradient = [0.5 * np.vdot(weighted, part) for part in parts]
    gradient += [0.5 * np.vdot(outer, smooth), 0.5 * noise * np.trace(outer)]
    return float(value), np.array(gradient)


def _matern(distance: Array) -> Array:
    root = math.sqrt(5.0) * distance
    return (1 + root + root**2 / 3) * np.exp(-root)


def _priors(axes: int) -> tuple[Array, Array]:
    means, spreads = zip(*[LENGTH] * axes, SIGNAL, NOISE, strict=True)
    return np.array(means), np.array(spreads)


def _limits(axes: int) -> list[tuple[float, float]]:
    return [*[BOUNDS["length"]] * axes, BOUNDS["signal"], BOUNDS["noise"]]


def _loss(theta: Array, points: Array, scaled: Array, trended: bool) -> tuple[float, Array]:
    mean, spread = _priors(points.shape[1])
    value, gradient = log_evidence(theta, points, scaled, trended)
    away = (theta - mean) / spread
    return -(value - 0.5 * float(away @ away)), -(gradient - away / spread)


def _best(points: Array, scaled: Array, trended: bool) -> tuple[Array, Array]:
    """Return the hyperparameters of greatest posterior density, and the curvature of its logarithm there."""
    axes = points.shape[1]
    limits = _limits(axes)
    starts = [np.array([*[math.log(length)] * axes, 0.0, math.log(noise)]) for length, noise in ((0.3, 0.05), (1, 0.5))]
    runs = [
        minimize(
            _loss, start, (points, scaled, trended), jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 60}
        )
        for start in starts
    ]
    theta = min(runs, key=lambda run: float(run.fun)).x
    step = 1e-4
    rows = []
    for axis in range(len(theta)):
        ends = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[axis] += sign * step
            ends.append(_loss(moved, points, scaled, trended)[1])
        rows.append((ends[0] - ends[1]) / (2 * step))
    curvature = np.array(rows)
    return theta, 0.5 * (curvature + curvature.T)


def _drawn(
    points: Array, scaled: Array, trended: bool, theta: Array, curvature: Array, seed: int
) -> tuple[list[Array], Array]:
    """Draw hyperparameters from a Gaussian at the best ones and weigh them by their posterior density."""
    values, vectors = np.linalg.eigh(curvature)
    # The prior alone gives a curvature of 1 / spread²: less is an artefact of a density that is not Gaussian.
    spreads = 1 / np.sqrt(np.clip(values, 1 / max(LENGTH[1], SIGNAL[1], NOISE[1]) ** 2, None))
    normal = norm.ppf(qmc.Sobol(len(theta), scramble=True, rng=seed).random(DRAWS))
    low, high = np.array(_limits(points.shape[1])).T
    drawn = np.clip(theta + (normal * spreads) @ vectors.T, low, high)
    logs = np.array([-_loss(one, points, scaled, trended)[0] for one in drawn]) + 0.5 * (normal**2).sum(axis=1)
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    kept = np.flatnonzero(weights > 0.2 / DRAWS)
    return [drawn[index] for index in kept], weights[kept] / weights[kept].sum()


def _factor(kernel: Kernel, points: Array, scaled: Array) -> tuple[Array, Array]:
    covariance = kernel.between(points, points) + (math.exp(kernel.theta[-1]) + JITTER) * np.eye(len(points))
    lower = cholesky(covariance, lower=True)
    return lower, cho_solve((lower, True), scaled)
