import pytest

from sweeper.training.schedule import rate_factor


def test_it_rises_linearly_then_falls_along_half_a_cosine():
    # 12 steps, a third of them warm-up: 1/4 2/4 3/4 1, then (1 + cos(π k/8)) / 2 for k = 0..7
    factors = [rate_factor(step, 12, 1 / 3) for step in range(12)]
    assert factors[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert factors[8] == pytest.approx(0.5)
    assert factors[11] == pytest.approx(0.0380602337)  # (1 + cos 157.5°) / 2
    assert factors[4:] == sorted(factors[4:], reverse=True)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.0), (1, 1.0), (10, 0.0), (10, 1.0)])
def test_every_step_moves_at_the_extremes(steps, warmup):
    factors = [rate_factor(step, steps, warmup) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    assert max(factors) == 1
