"""The catalogue as people read it: the table, the cards, and lines of code that run when they are copied."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from sweeper.domains import Choice
from sweeper.errors import LossError
from sweeper.losses.card import NEEDS, card, card_dict, chosen, conformance, conformance_list, table
from sweeper.losses.catalogue import FAMILIES, family
from sweeper.losses.conformance import Result
from sweeper.losses.needs import EVERY
from sweeper.losses.snippet import snippet
from sweeper.training import artefacts


@pytest.fixture
def workplace(monkeypatch):
    """What a snippet takes for granted: pictures, masks and a model of two parts."""
    build = artefacts.build
    monkeypatch.setattr(artefacts, "build", lambda *given: build(*given, steps=2))
    # Two steps teach nothing, which would be refused.
    monkeypatch.setattr(sys.modules[build.__module__], "_judge", lambda *found: None)
    rng = np.random.default_rng(0)
    masks = np.zeros((10, 16, 16), dtype=np.uint8)
    for mask in masks:
        row, column = rng.integers(0, 8, 2)
        mask[row : row + 7, column : column + 5] = 1
        mask[row + 2 : row + 5, column + 1 : column + 3] = 2
    torch.manual_seed(1)  # a model unsure everywhere has no error that survives an erosion, and so no gradient
    decoder, head = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Conv2d(4, 3, 1)
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    model = torch.nn.Sequential(decoder, head)
    return {
        "images": images,
        "model": model,
        "decoder": decoder,
        "head": head,
        "logits": model(images),
        "target": torch.from_numpy(masks[:2]).long(),
        "masks": masks,
        "step": 1,
        "steps": 10,
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_snippets_run_and_train(name, workplace):
    text = snippet(FAMILIES[name], name)
    assert all(len(line) <= 112 for line in text.splitlines()), text
    before = [parameter.detach().clone() for parameter in workplace["model"].parameters()]
    for part in text.split("\n\n"):
        exec(compile(part, name, "exec"), workplace)
        loss = workplace["loss"]
        assert loss.shape == ()
        assert torch.isfinite(loss)
        if "backward" not in part:
            loss.backward(retain_graph=True)
    after = [*workplace["model"].parameters()]
    assert any(parameter.grad.any() for parameter in after)
    if "optimizer = " in text:
        assert any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_both_forms_of_a_plain_loss_are_the_same(workplace):
    function, module = snippet(FAMILIES["tversky"], "tversky").split("\n\n")
    exec(function, workplace)
    value = workplace.pop("loss")
    exec(module, workplace)
    assert workplace["loss"] == value


def test_a_learned_number_and_a_rival_move_when_their_snippets_run(workplace):
    exec(snippet(FAMILIES["robust_t"], "robust_t"), workplace)
    learned = workplace["criterion"].companion
    assert learned.nu.item() != pytest.approx(1.0, abs=1e-6)
    exec(snippet(FAMILIES["adversarial_wgan"], "adversarial_wgan"), workplace)
    rivals = workplace["rivals"].state
    assert len(rivals) == len([*workplace["rival"].parameters()])
    assert all(state["step"] == workplace["rival"].rounds for state in rivals.values())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_card_says_all_there_is_to_say(name):
    row = FAMILIES[name]
    text = " ".join(card(row).split())
    for words in (row.title, row.formula, row.source, row.limits, *row.aliases, *row.errata):
        assert " ".join(words.split()) in text
    for key, dial in row.hyperparameters.items():
        assert f"{key} ({dial.symbol}): default" in text or f"{key}: default" in text
        assert " ".join(dial.effect.split()) in text
    for need in row.needs:
        assert f"{need}: {NEEDS[need]}" in text
    assert max(len(line) for line in card(row).splitlines()) <= 114
    json.dumps(card_dict(row), allow_nan=False)


def test_every_need_is_put_in_plain_words():
    assert set(NEEDS) == set(EVERY)


def test_a_need_of_some_settings_says_of_which():
    assert "features: what the model's last layer gets, at the size of the logits (with space=features)" in " ".join(
        card(family("pixel_triplet")).split()
    )
    assert "(with prior=dataset)" in card(family("size_prior"))


def test_ramps_are_named_as_what_they_are():
    text = card(family("topk_cross_entropy"))
    assert "course of k" in text
    assert "progress=step / steps" in text


def test_the_table_can_be_narrowed():
    assert set(chosen(FAMILIES)) == set(FAMILIES)
    assert {one.level for one in chosen(FAMILIES, level="pixel").values()} == {"pixel"}
    assert "tversky" in chosen(FAMILIES, tunable=True)
    assert set(chosen(FAMILIES, level="region", tunable=True)) == {
        "tversky",
        "focal_tversky",
        "sensitivity_specificity",
        "asymmetric_similarity",
    }
    with pytest.raises(LossError, match="no level 'pixels'; choose from pixel, region, boundary"):
        chosen(FAMILIES, level="pixels")


def test_the_table_has_every_family_on_its_place():
    lines = table(FAMILIES).splitlines()
    assert {line.split()[0] for line in lines[2:-2]} == set(FAMILIES)
    (line,) = [line for line in lines if line.startswith("tversky ")]
    assert line.split()[:4] == ["tversky", "region", "overlap-aware", "tunable"]


def test_what_came_of_the_suite_is_told():
    results = [
        Result("finite", "it is finite", "passed"),
        Result("mirror", "it can be mirrored", "failed", "default: differs"),
        Result("padding", "it can be padded", "exempt", "looks at neighbours"),
    ]
    text = conformance(results)
    assert text.splitlines()[0] == "conformance: 1 passed, 1 failed, 1 exempt"
    assert "failed  mirror: it can be mirrored\n            default: differs" in text
    assert "looks at neighbours" in text
    assert [one["status"] for one in conformance_list(results)] == ["passed", "failed", "exempt"]


def test_a_dial_that_acts_only_beside_another_says_so():
    text = " ".join(card(family("region_boundary")).split())
    assert "legal 0 to 1; dynamic; only with region tversky or focal_tversky" in text
    assert "only with boundary hausdorff_dt" in text
    assert "only with levels 2 to 8" in " ".join(card(family("boundary_aware")).split())
    assert "only with" not in card(family("tversky"))
    dials = card_dict(family("region_boundary"))["hyperparameters"]
    assert dials["region_beta"]["acts_with"] == {"region": ["tversky", "focal_tversky"]}
    assert dials["a"]["acts_with"] == {}


def act(row, dial, setting, value):
    """Return the loss and its gradient of one setting, on a few blobs."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 24, 24, generator=generator, requires_grad=True)
    target = torch.zeros(2, 24, 24, dtype=torch.int64)
    target[0, 4:12, 4:20], target[1, 8:20, 3:9] = 1, 2
    loss = row.function(logits, target, **{**setting, dial: value})
    return torch.cat([loss.reshape(1).detach(), torch.autograd.grad(loss, logits)[0].flatten()])


CONDITIONAL = [
    (name, key, partner)
    for name, row in FAMILIES.items()
    for key, dial in row.hyperparameters.items()
    for partner in dial.acts_with
]


@pytest.mark.parametrize(("name", "key", "partner"), CONDITIONAL)
def test_a_dial_acts_with_what_it_says_and_with_nothing_else(name, key, partner):
    row = FAMILIES[name]
    dial = row.hyperparameters[key]
    low, high = dial.legal.low + 0.5, min(dial.legal.high, 3.0)
    legal = row.hyperparameters[partner].legal
    values = legal.values if isinstance(legal, Choice) else range(legal.low, legal.high + 1)
    for value in values:
        first, second = (act(row, key, {partner: value}, number) for number in (low, high))
        assert torch.equal(first, second) is (value not in dial.acts_with[partner]), value
