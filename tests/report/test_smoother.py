from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from sweeper.report.search.smoother import JITTER, LEVEL, TREND, Kernel, _factor, fit, log_evidence

GRID = np.linspace(0, 1, 33)


def scattered(size: int, axes: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = rng.uniform(size=(size, axes))
    return points, np.sin(4 * points[:, 0]) + (points[:, -1] - 0.4) ** 2 + rng.normal(0, 0.2, size)


def oracle(theta: np.ndarray) -> GaussianProcessRegressor:
    kernel = (
        ConstantKernel(np.exp(theta[-2])) * Matern(np.exp(theta[:-2]), nu=2.5)
        + WhiteKernel(np.exp(theta[-1]))
        + ConstantKernel(LEVEL)
    )
    return GaussianProcessRegressor(kernel, optimizer=None, alpha=JITTER)


@pytest.mark.parametrize("axes", [1, 2, 4])
def test_the_evidence_is_scikit_learns(axes):
    points, scores = scattered(25, axes)
    theta = np.log([*np.linspace(0.2, 0.9, axes), 1.3, 0.05])
    reference = oracle(theta).fit(points, scores)
    value, gradient = log_evidence(theta, points, scores, False)
    assert value == pytest.approx(reference.log_marginal_likelihood_value_)
    _, theirs = reference.log_marginal_likelihood(reference.kernel_.theta, eval_gradient=True)
    # Theirs are in the order signal, lengths, noise, level.
    assert gradient == pytest.approx(np.concatenate([theirs[1:-2], theirs[:1], theirs[-2:-1]]))


@pytest.mark.parametrize("trended", [False, True])
def test_the_gradient_is_that_of_the_evidence(trended):
    points, scores = scattered(12, 3)
    theta = np.log([0.3, 0.8, 0.5, 0.7, 0.1])

    def value(at):
        return log_evidence(at, points, scores, trended)[0]

    def slope(at):
        return log_evidence(at, points, scores, trended)[1]

    assert check_grad(value, slope, theta, epsilon=1e-6) < 1e-3


@pytest.mark.parametrize("axes", [1, 3])
def test_a_posterior_is_the_average_of_scikit_learns_over_the_kernels(axes):
    points, scores = scattered(20, axes)
    found = fit(points, scores)
    places = np.random.default_rng(1).uniform(size=(9, axes))
    scaled = (scores - found.center) / found.scale
    means, variances = [], []
    for kernel in found.kernels:
        reference = oracle(kernel.theta).fit(points, scaled)
        mean, sd = reference.predict(places, return_std=True)
        means.append(mean)
        # Theirs is of a new trial, ours of the mean score.
        variances.append(sd**2 - np.exp(kernel.theta[-1]))
    mean = found.weights @ np.array(means)
    variance = found.weights @ (np.array(variances) + np.array(means) ** 2) - mean**2
    got = found(places)
    assert got.mean == pytest.approx(found.center + found.scale * mean)
    assert got.sd == pytest.approx(found.scale * np.sqrt(variance), rel=1e-4)
    assert len(found.kernels) > 3
    assert found.weights.sum() == pytest.approx(1)


def test_the_best_hyperparameters_are_scikit_learns_where_the_prior_hardly_counts():
    points, scores = scattered(150, 1)
    scaled = (scores - scores.mean()) / scores.std()
    start = np.log([0.5, 1.0, 0.1])
    free = oracle(start)
    free.kernel.k2.constant_value_bounds = "fixed"
    free.optimizer = "fmin_l_bfgs_b"
    reference = free.fit(points, scaled)
    found = fit(points, scores)
    weights = found.weights[:, None] * np.array([kernel.theta for kernel in found.kernels])
    lengths, _, noise = np.exp(weights.sum(axis=0))
    assert noise == pytest.approx(reference.kernel_.k1.k2.noise_level, rel=0.1)
    assert lengths == pytest.approx(reference.kernel_.k1.k1.k2.length_scale, rel=0.5)
    ours, theirs = found(GRID[:, None]).mean, reference.predict(GRID[:, None])
    assert ours == pytest.approx(scores.mean() + scores.std() * theirs, abs=0.02)


def test_an_average_is_that_of_its_points_with_what_they_share():
    points, scores = scattered(15, 2)
    found = fit(points, scores)
    places = np.random.default_rng(2).uniform(size=(1, 4, 2))
    single = found(places[0])
    together = found.average(places)
    assert together.mean[0] == pytest.approx(single.mean.mean())
    assert single.sd.max() > together.sd[0] > 0.5 * single.sd.max() / 2
    twice = found.average(np.repeat(places[:, :1], 2, axis=1), np.array([1.0, -1.0]))
    assert (twice.mean[0], twice.sd[0]) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-6))


def test_the_band_is_wide_where_there_are_no_trials_and_narrow_where_there_are():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 0.4, size=(30, 1))
    found = fit(points, 0.5 + 0.1 * np.sin(5 * points[:, 0]) + rng.normal(0, 0.01, 30))
    sd = found(np.array([[0.2], [0.95]])).sd
    assert sd[1] > 4 * sd[0]
    assert sd[0] < 0.01


def test_constant_scores_are_a_flat_curve():
    points, _ = scattered(8, 1)
    found = fit(points, np.full(8, 0.25))(GRID[:, None])
    assert found.mean == pytest.approx(np.full(33, 0.25), abs=1e-6)


def test_trials_stopped_early_inform_the_curve_of_those_that_ended():
    """A trial stopped after a ninth of its training scores 0.3 less, and the search stops what lies to the left."""
    rng = np.random.default_rng(3)
    points = rng.uniform(size=(40, 1))
    stopped = points[:, 0] < 0.5
    lacking = np.where(stopped, 1.0, 0.0)
    lacking[np.flatnonzero(points[:, 0] > 0.75)[::3]] = 1.0
    scores = 0.4 + 0.4 * points[:, 0] - 0.3 * lacking + rng.normal(0, 0.01, 40)
    truth = 0.4 + 0.4 * GRID
    modelled = fit(points, scores, lacking=lacking)(GRID[:, None])
    alone = fit(points[lacking == 0], scores[lacking == 0])(GRID[:, None])
    left = GRID < 0.4
    assert np.abs(modelled.mean - truth)[left].max() < 0.08
    assert np.abs(modelled.mean - truth)[left].mean() < 0.5 * np.abs(alone.mean - truth)[left].mean()
    assert modelled.sd[left].max() < alone.sd[left].max()
    assert (np.abs(modelled.mean - truth) <= modelled.reach * modelled.sd).mean() > 0.9


def test_a_trend_is_part_of_the_covariance_of_what_is_missing():
    kernel = Kernel(np.log([0.5, 0.5, 1.0, 0.1]), trended=True)
    plain = Kernel(kernel.theta, trended=False)
    points = np.array([[0.1, 0.0], [0.4, 0.5], [0.9, 1.0]])
    extra = kernel.between(points, points) - plain.between(points, points)
    assert extra == pytest.approx(TREND * np.outer(points[:, 1], points[:, 1]))
    lower, solved = _factor(kernel, points, np.array([1.0, 2.0, 3.0]))
    assert lower @ lower.T @ solved == pytest.approx([1.0, 2.0, 3.0])


def parabola(rng):
    best = rng.uniform(0, 1)
    return lambda at: -2 * (at - best) ** 2


def step(rng):
    slope, middle = rng.uniform(2, 12), rng.uniform(0.2, 0.8)
    return lambda at: 1 / (1 + np.exp(-slope * (at - middle)))


def bump(rng):
    middle = rng.uniform(0.1, 0.9)
    return lambda at: np.exp(-0.5 * ((at - middle) / 0.12) ** 2)


@pytest.mark.parametrize("shape", [parabola, step, bump])
@pytest.mark.parametrize("trials", [6, 16])
def test_the_band_covers_a_known_curve(shape, trials):
    """Over 40 studies, the share of the curve that lies within the 95 % band; noise 10 to 60 % of its spread."""
    inside = []
    for study in range(40):
        rng = np.random.default_rng([study, trials])
        truth = shape(rng)
        points = rng.uniform(size=trials)
        noise = rng.choice([0.1, 0.3, 0.6]) * truth(GRID).std()
        found = fit(points[:, None], truth(points) + rng.normal(0, noise, trials))(GRID[:, None])
        inside.append(np.mean((found.low <= truth(GRID)) & (truth(GRID) <= found.high)))
    assert 0.88 < np.mean(inside) < 0.995


def test_equal_seeds_give_equal_curves_and_the_seed_is_used():
    points, scores = scattered(10, 1)
    first, again, other = (fit(points, scores, seed=seed)(GRID[:, None]).mean for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
