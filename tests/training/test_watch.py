import pytest
import torch

from sweeper.errors import TrialFailure
from sweeper.training.watch import FiniteWatch, check_divergence


def parameter(gradient: float) -> torch.Tensor:
    tensor = torch.zeros(2, requires_grad=True)
    tensor.grad = torch.tensor([0.5, gradient])
    return tensor


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_the_first_bad_step_is_named(bad):
    watch = FiniteWatch(3, torch.device("cpu"))
    watch.note(1, torch.tensor(0.4), [parameter(1.0), torch.zeros(1)])
    with pytest.raises(TrialFailure, match="the loss is not finite at epoch 3, step 2"):
        watch.note(2, torch.tensor(bad), [parameter(bad)])
    watch = FiniteWatch(3, torch.device("cpu"))
    with pytest.raises(TrialFailure, match="the gradient is not finite at epoch 3, step 7"):
        watch.note(7, torch.tensor(0.4), [parameter(1.0), parameter(bad)])


def test_read_once_an_epoch_it_still_names_the_first_bad_step():
    watch = FiniteWatch(1, torch.device("cpu"))
    watch._eager = False  # as on a GPU
    for step, loss in enumerate([0.5, float("nan"), 0.5, float("nan")], start=1):
        watch.note(step, torch.tensor(loss), [parameter(1.0)])
    with pytest.raises(TrialFailure, match="step 2"):
        watch.check()


def test_large_gradients_are_finite():
    FiniteWatch(1, torch.device("cpu")).note(1, torch.tensor(1e30), [parameter(1e15)])


@pytest.mark.parametrize(
    ("first", "loss", "fails"),
    [(0.5, 4.9, False), (0.5, 5.1, True), (-0.5, 3.9, False), (-0.5, 4.1, True), (-0.5, -5, False), (0.0, 99.0, False)],
)
def test_growth_is_measured_in_units_of_the_first_loss(first, loss, fails):
    if fails:
        with pytest.raises(TrialFailure, match=r"mean at epoch 4 is .* at epoch 1 it was"):
            check_divergence([first, 9.0, 9.0, loss], 10.0)
    else:
        check_divergence([first, 9.0, 9.0, loss], 10.0)


def test_epochs_before_the_one_to_compare_with_are_not_looked_at():
    check_divergence([0.1, 5.0], 10.0, since=2)
    check_divergence([0.1, 5.0, 9.0], 10.0, since=2)
    check_divergence([0.1, 5.0, 99.0], 10.0, since=None)
    check_divergence([0.1, 99.0], 10.0, since=3)
    with pytest.raises(TrialFailure, match=r"mean at epoch 3 is 51, at epoch 2 it was 5 \(limit: 10"):
        check_divergence([0.1, 5.0, 51.0], 10.0, since=2)


def test_of_two_losses_the_earlier_bad_step_is_named_and_at_the_same_step_the_one_noted_first():
    watch = FiniteWatch(1, torch.device("cpu"))
    watch._eager = False
    for step, (rival, own) in enumerate([(0.5, 0.5), (0.5, float("nan")), (float("nan"), float("nan"))], start=1):
        watch.note(step, torch.tensor(rival), [parameter(1.0)], of="the rival")
        watch.note(step, torch.tensor(own), [parameter(1.0)])
    with pytest.raises(TrialFailure, match="the loss is not finite at epoch 1, step 2"):
        watch.check()
    watch = FiniteWatch(1, torch.device("cpu"))
    watch._eager = False
    watch.note(4, torch.tensor(0.5), [parameter(float("nan"))], of="the rival")
    watch.note(4, torch.tensor(float("nan")), [parameter(1.0)])
    with pytest.raises(TrialFailure, match="the gradient of the rival is not finite at epoch 1, step 4"):
        watch.check()
