"""The four adversarial losses: both sides' objectives, what the rival sees, and a training in which both take turns."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.losses import PatchAdversarialLoss
from torch.nn.functional import cross_entropy as torch_cross_entropy
from torch.nn.functional import one_hot

from sweeper.errors import LossError
from sweeper.losses.catalogue import family
from sweeper.losses.companion import Setup
from sweeper.losses.families.pixel.cross_entropy import cross_entropy
from sweeper.losses.families.structural.rival import HINGE, LEAST_SQUARES, NON_SATURATING, WASSERSTEIN

from ..batches import AWKWARD, IGNORED, random_batch

NAMES = ("adversarial", "adversarial_wgan", "adversarial_lsgan", "adversarial_hinge")
OBJECTIVES = dict(zip(NAMES, (NON_SATURATING, WASSERSTEIN, LEAST_SQUARES, HINGE), strict=True))

every = pytest.mark.parametrize("name", NAMES)


def rival(name, classes=3, seed=0, **settings):
    torch.manual_seed(seed)
    row = family(name)
    return row.companion(Setup(classes=classes, channels=2, settings=row.defaults | settings))


def pictures(target, seed=5, channels=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(target), channels, *target.shape[1:], generator=generator)


def value(name, logits, target, companion, **settings):
    images = settings.pop("images", pictures(target))
    return family(name).function(logits, target, companion=companion, images=images, ignore_index=IGNORED, **settings)


def shown(masks, target):
    """What the critic sees: masks and images, 0 where ignored."""
    valid = (target != IGNORED).unsqueeze(1)
    return torch.cat([masks * valid, pictures(target).to(masks) * valid], dim=1)


@pytest.mark.parametrize(
    ("name", "real", "fake", "of_rival", "of_model"),
    [
        ("adversarial", 1.2, -0.4, 0.776297720, 0.913015252),
        ("adversarial_wgan", 1.5, 0.2, -1.3, -0.2),
        ("adversarial_lsgan", 1.5, 0.2, 0.145, 0.32),
        ("adversarial_hinge", 1.5, 0.2, 1.2, -0.2),
    ],
)
def test_both_objectives_worked_by_hand(name, real, fake, of_rival, of_model):
    real, fake = torch.tensor([real, fake], dtype=torch.float64)
    assert OBJECTIVES[name].rival(real, fake).item() == pytest.approx(of_rival, abs=1e-8)
    assert OBJECTIVES[name].model(fake).item() == pytest.approx(of_model, abs=1e-8)


def test_monai_agrees_on_the_non_saturating_objective():
    real, fake = torch.randn(2, 4, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    oracle = PatchAdversarialLoss(criterion="bce", reduction="mean")
    model = oracle(fake, target_is_real=True, for_discriminator=False)
    against = oracle(real, target_is_real=True, for_discriminator=True) + oracle(
        fake, target_is_real=False, for_discriminator=True
    )
    torch.testing.assert_close(NON_SATURATING.model(fake).mean(), model)
    torch.testing.assert_close(NON_SATURATING.rival(real, fake).mean(), against)


def test_monai_agrees_on_least_squares_but_for_the_half():
    real, fake = torch.randn(2, 4, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    oracle = PatchAdversarialLoss(criterion="least_squares", no_activation_leastsq=True, reduction="mean")
    against = oracle(real, target_is_real=True, for_discriminator=True) + oracle(
        fake, target_is_real=False, for_discriminator=True
    )
    torch.testing.assert_close(2 * LEAST_SQUARES.model(fake).mean(), oracle(fake, True, for_discriminator=False))
    torch.testing.assert_close(2 * LEAST_SQUARES.rival(real, fake).mean(), against)


def test_a_constant_and_what_is_beyond_the_margin_cost_nothing():
    real, fake = torch.randn(2, 9, dtype=torch.float64)
    torch.testing.assert_close(WASSERSTEIN.rival(real + 3, fake + 3), WASSERSTEIN.rival(real, fake))
    assert HINGE.rival(torch.tensor(1.5), torch.tensor(-1.5)) == 0
    assert HINGE.rival(torch.tensor(0.4), torch.tensor(-1.5)).item() == pytest.approx(0.6)
    assert HINGE.rival(torch.tensor(1.5), torch.tensor(-0.3)).item() == pytest.approx(0.7)


@every
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_without_the_rivals_word_it_is_cross_entropy(name, classes):
    for seed in range(3):
        logits, target = random_batch(classes, seed)
        expected = cross_entropy(logits, target, ignore_index=IGNORED)
        assert value(name, logits, target, rival(name, classes), lam=0.0).item() == pytest.approx(expected.item())


@every
@pytest.mark.parametrize("conditional", [True, False])
def test_the_model_pays_for_its_scores(name, conditional):
    logits, target = random_batch(side=12, ignored=0.0)
    companion = rival(name, conditional=conditional).double()
    companion.critic.eval()
    given = shown(logits.softmax(1), target)
    scores = companion.critic(given if conditional else given[:, :3])
    assert scores.shape == (2, 1, 3, 3)
    expected = cross_entropy(logits, target) + 0.5 * OBJECTIVES[name].model(scores).mean()
    found = value(name, logits, target, companion, lam=0.5, conditional=conditional)
    assert found.item() == pytest.approx(expected.item(), rel=1e-9)


@every
def test_the_rival_pays_for_its_own(name):
    logits, target = random_batch(side=12, ignored=0.0)
    settings = {"gp": 0.0} if name == "adversarial_wgan" else {"target_smoothing": 0.3}
    companion = rival(name, **settings).double()
    found = companion.rival_loss(logits, target, images=pictures(target).double(), ignore_index=IGNORED)
    truth = one_hot(target, 3).movedim(-1, 1).double()
    truth = truth if name == "adversarial_wgan" else 0.7 * truth + 0.1
    companion.critic.eval()
    scores = companion.critic(torch.cat([shown(truth, target), shown(logits.softmax(1), target)]))
    expected = OBJECTIVES[name].rival(scores[:2], scores[2:]).mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-4 if name == "adversarial_hinge" else 1e-9)


def test_the_penalty_is_the_slope_along_the_way_by_the_mask():
    logits, target = random_batch(side=12, ignored=0.0)
    companion, free = rival("adversarial_wgan", gp=3.0).double(), rival("adversarial_wgan", gp=0.0).double()
    images = pictures(target).double()
    torch.manual_seed(11)
    found = companion.rival_loss(logits, target, images=images, ignore_index=IGNORED)
    rest = free.rival_loss(logits, target, images=images, ignore_index=IGNORED)
    torch.manual_seed(11)
    share = torch.rand(2, 1, 1, 1, dtype=torch.float64)
    truth = one_hot(target, 3).movedim(-1, 1).double()
    masks = (share * truth + (1 - share) * logits.softmax(1)).requires_grad_()
    (slope,) = torch.autograd.grad(companion.critic(shown(masks, target)).mean((1, 2, 3)).sum(), masks)
    expected = 3 * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
    assert (found - rest).item() == pytest.approx(expected.item(), rel=1e-6)
    gradients = torch.autograd.grad(found - rest, companion.critic.parameters(), allow_unused=True)
    assert any((gradient != 0).any() for gradient in gradients if gradient is not None)


@every
def test_neither_side_moves_the_other(name):
    logits, target = random_batch()
    companion = rival(name)
    before = copy.deepcopy(companion.state_dict())
    logits.requires_grad_()
    value(name, logits, target, companion, lam=1.0).backward()
    assert all(parameter.grad is None for parameter in companion.parameters())
    assert all(torch.equal(before[key], kept) for key, kept in companion.state_dict().items())
    plain = logits.grad.clone()
    companion.rival_loss(logits, target, images=pictures(target), ignore_index=IGNORED).backward()
    assert torch.equal(logits.grad, plain)
    assert all(parameter.grad is not None for parameter in companion.parameters() if parameter.ndim > 1)


@every
def test_ignored_pixels_are_hidden_from_the_rival(name):
    logits, target = random_batch(ignored=0.4)
    ignored = (target == IGNORED).unsqueeze(1)
    companion, images = rival(name), pictures(target)
    spoiled = {"images": images.masked_fill(ignored, torch.nan), "logits": logits.masked_fill(ignored, 1e4)}
    assert value(name, logits, target, companion) == value(
        name, spoiled["logits"], target, companion, **{"images": spoiled["images"]}
    )
    losses = []
    for given in ({"images": images, "logits": logits}, spoiled):
        torch.manual_seed(0)
        fresh = copy.deepcopy(companion)
        losses.append(fresh.rival_loss(given["logits"], target, images=given["images"], ignore_index=IGNORED))
    assert torch.equal(*losses)


@every
def test_patches_count_by_their_valid_pixels(name):
    logits, target = random_batch(side=8, ignored=0.0)
    alone = value(name, logits[:1], target[:1], rival(name), images=pictures(target)[:1], lam=1.0)
    hidden = torch.stack([target[0], torch.full_like(target[1], IGNORED)])
    assert value(name, logits, hidden, rival(name), lam=1.0).item() == pytest.approx(alone.item(), rel=1e-9)


@every
def test_nothing_to_learn_costs_the_rival_nothing(name):
    logits, target = AWKWARD["all ignored"]()
    companion = rival(name)
    assert companion.rival_loss(logits, target, images=pictures(target), ignore_index=IGNORED) == 0
    empty = companion.rival_loss(logits[:0], target[:0], images=pictures(target)[:0], ignore_index=IGNORED)
    assert empty == 0


@every
def test_the_rivals_own_settings_reach_it(name):
    more = {"n_critic": 5} if name == "adversarial_wgan" else {}
    companion = rival(name, lr_d=0.25, **more)
    assert (companion.role, companion.lr_factor, companion.rounds) == ("rival", 0.25, 5 if more else 1)
    logits, target = random_batch(side=12)
    if name != "adversarial_wgan":
        losses = {
            smoothing: rival(name, target_smoothing=smoothing)
            .rival_loss(logits, target, images=pictures(target), ignore_index=IGNORED)
            .item()
            for smoothing in (0.0, 0.1)
        }
        assert losses[0.0] != losses[0.1]
    blind = rival(name, conditional=False)
    both = [value(name, logits, target, blind, images=pictures(target, seed), conditional=False) for seed in (1, 2)]
    assert both[0] == both[1]
    seeing = rival(name)
    both = [value(name, logits, target, seeing, images=pictures(target, seed)) for seed in (1, 2)]
    assert both[0] != both[1]


def test_spectral_normalization_bounds_the_slope_of_every_layer():
    companion = rival("adversarial_hinge")
    logits, target = random_batch(side=12)
    for _ in range(30):
        companion.rival_loss(logits, target, images=pictures(target), ignore_index=IGNORED)
    for layer in companion.critic.layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.01)


@every
def test_takes_turns_in_training(name):
    """A rival by itself learns to tell masks apart; against it, a model still learns the task."""
    generator = torch.Generator().manual_seed(3)
    target = (torch.rand(4, 4, 4, generator=generator) < 0.3).long().repeat_interleave(4, 1).repeat_interleave(4, 2)
    images = torch.cat([target.unsqueeze(1).float()] * 2, dim=1)
    images = images + 0.3 * torch.randn(images.shape, generator=generator)
    settings = {"lam": 0.05, "lr_d": 1.0}
    companion = rival(name, classes=2, **settings)
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 2, 1))
    guess = model(images).detach()
    own = torch.optim.Adam(companion.parameters(), lr=1e-3, betas=(0.5, 0.9))
    alone = copy.deepcopy(companion)
    practice = torch.optim.Adam(alone.parameters(), lr=1e-3, betas=(0.5, 0.9))
    losses = []
    for _ in range(30):
        loss = alone.rival_loss(guess, target, images=images, ignore_index=IGNORED)
        practice.zero_grad()
        loss.backward()
        practice.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.02

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = torch_cross_entropy(model(images), target).item()
    for _ in range(40):
        logits = model(images)
        for _ in range(companion.rounds):
            own.zero_grad()
            companion.rival_loss(logits.detach(), target, images=images, ignore_index=IGNORED).backward()
            own.step()
        optimizer.zero_grad()
        value(name, logits, target, companion, images=images, **settings).backward()
        optimizer.step()
    assert torch_cross_entropy(model(images), target).item() < 0.5 * before


@every
def test_refuses_what_it_cannot_do(name):
    logits, target = random_batch(ignored=0.0)
    with pytest.raises(LossError, match=f"{name} needs its rival"):
        family(name).function(logits, target)
    with pytest.raises(LossError, match=r"pass images=\.\.\. as well"):
        family(name).function(logits, target, companion=rival(name))
    with pytest.raises(LossError, match=r"lr_d=2\.0, but its rival was built with 1\.0"):
        value(name, logits, target, rival(name), lr_d=2.0)
    with pytest.raises(LossError, match="conditional=False"):
        value(name, logits, target, rival(name), conditional=False)
    with pytest.raises(LossError, match="3 classes; its rival was built for 2"):
        value(name, logits, target, rival(name, classes=2))
    with pytest.raises(LossError, match="images have shape"):
        value(name, logits, target, rival(name), images=torch.zeros(2, 2, 4, 5))
    assert family(name).needs_at({}) == ("images",)
    assert family(name).needs_at({"conditional": False}) == ()
