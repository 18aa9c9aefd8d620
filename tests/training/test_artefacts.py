"""Networks trained on the training masks: that they learn, are the same every time, and are kept."""

from __future__ import annotations

import dataclasses
import importlib
import tracemalloc

import numpy as np
import pytest
import torch

from sweeper.data.patches import ClassInfo, Prepared, Split
from sweeper.data.settings import IGNORE
from sweeper.errors import DataError, LossError
from sweeper.losses.catalogue import family
from sweeper.losses.companion import Setup
from sweeper.losses.needs import ARTEFACTS
from sweeper.losses.networks import TRAINED, Pyramid, arrays, trained, untrained
from sweeper.training.artefacts import STEPS, VERSIONS, build, reports, with_artefacts
from sweeper.training.artefacts import store as module
from sweeper.training.artefacts.boundary_transform import BoundaryCurriculum
from sweeper.training.artefacts.mask_autoencoder import MaskCurriculum

building = importlib.import_module("sweeper.training.artefacts.build")
"""The module, whose name in the package is that of the function."""

NAMES = ("boundary_transform", "mask_autoencoder")
SIDE = 32

every = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Threads that wait for each other are slow where tests share few cores."""
    monkeypatch.setattr(building, "THREADS", 1)


@pytest.fixture
def unjudged(monkeypatch):
    """After a few steps nothing is learned yet; here it matters how networks are made and kept, not how good."""
    monkeypatch.setattr(building, "_judge", lambda *_: None)


quick = pytest.mark.usefixtures("unjudged")


@pytest.fixture(scope="module")
def masks():
    """Blocks of two classes on background 0, an ignored corner in each."""
    rng = np.random.default_rng(0)
    found = np.zeros((40, SIDE, SIDE), dtype=np.uint8)
    for mask in found:
        for klass in (1, 2):
            top, left, height, width = rng.integers((2, 2, 8, 8), (14, 14, 16, 16))
            mask[top : top + height, left : left + width] = klass
        mask[-3:, -3:] = IGNORE
    return found


def data(masks, background=0, fingerprint="f", **splits):
    def split(name, masks):
        zeros = np.zeros(len(masks), dtype=np.int32)
        return Split(
            name=name,
            images=np.zeros((*masks.shape, 1), dtype=np.uint8),
            masks=masks,
            counts=np.stack([(masks == klass).sum((1, 2)) for klass in range(3)], axis=1).astype(np.int64),
            picture=zeros,
            row=zeros,
            col=zeros,
            stems=("one",),
        )

    return Prepared(
        fingerprint=fingerprint,
        name="blocks",
        classes=tuple(ClassInfo(index, str(index), "#000000") for index in range(3)),
        background=background,
        minority=(1,),
        patch=SIDE,
        mean=(0.0,),
        std=(1.0,),
        splits={"train": split("train", masks), **{name: split(name, each) for name, each in splits.items()}},
    )


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def test_every_artefact_can_be_trained():
    assert set(ARTEFACTS) == set(STEPS) == set(VERSIONS) == set(TRAINED) == set(NAMES)


def test_the_autoencoder_learns_what_is_held_out(masks):
    report = build("mask_autoencoder", masks, 3, steps=80).report
    assert report["validation_error"] < 0.8 * report["chance_error"]
    assert (report["seed"], report["steps"], report["name"]) == (0, 80, "mask_autoencoder")


def test_the_regressor_learns_what_is_held_out(masks):
    found = build("boundary_transform", masks, 3, steps=120)
    assert found.report["validation_error"] < 0.8 * found.report["chance_error"]
    network = trained("boundary_transform", {"boundary_transform": found.arrays})
    seen, wanted, maps = BoundaryCurriculum(masks[4::5], 3).draw(64, torch.Generator().manual_seed(1))
    told = network(seen, wanted)
    for row in (0, 1):  # shifts across and down, each told by its own number
        assert torch.corrcoef(torch.stack([told[:, row, 2], maps[:, row, 2]]))[0, 1] > 0.7
        assert torch.corrcoef(torch.stack([told[:, row, 2], maps[:, 1 - row, 2]]))[0, 1].abs() < 0.5


@quick
@every
def test_equal_seeds_are_equal_networks(name, masks):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = build(name, masks, 3, seed=4, steps=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert same(one.arrays, build(name, masks, 3, seed=4, steps=3).arrays)
    assert one.report == build(name, masks, 3, seed=4, steps=3).report
    assert not same(one.arrays, build(name, masks, 3, seed=5, steps=3).arrays)
    assert not same(one.arrays, untrained(name))


@quick
@every
def test_fits_the_loss_that_needs_it(name, masks):
    found = {name: build(name, masks, 3, steps=2).arrays}
    network = trained(name, found)
    assert same(arrays(network), found[name])
    row = family("inverseform" if name == "boundary_transform" else "perceptual")
    settings = row.defaults | ({} if name == "boundary_transform" else {"extractor": name})
    companion = row.companion(Setup(classes=3, channels=1, settings=settings, artefacts=found))
    target = torch.from_numpy(masks[:2].astype(np.int64))
    logits = torch.randn(2, 3, SIDE, SIDE)
    value = row.function(logits, target, companion=companion, ignore_index=IGNORE, **settings)
    assert torch.isfinite(value)


@quick
@every
def test_ignored_pixels_and_the_kind_of_their_label_teach_nothing(name, masks):
    other = np.where(masks == IGNORE, 99, masks).astype(np.uint8)
    assert same(build(name, masks, 3, steps=2).arrays, build(name, other, 3, steps=2).arrays)


def test_where_a_mask_is_ignored_there_is_no_boundary():
    half = np.full((1, SIDE, SIDE), IGNORE, dtype=np.uint8)
    half[..., : SIDE // 2] = 1
    assert len(BoundaryCurriculum(half, 3)) == 0
    assert len(BoundaryCurriculum(np.where(half == IGNORE, 0, half).astype(np.uint8), 3)) == 1


@every
def test_masks_that_teach_nothing_are_refused(name, masks):
    for few in (masks[:0], masks[:1], np.zeros_like(masks)):
        with pytest.raises(LossError, match=r"foreground hold 0 to learn from and \d+ to judge by, too few: add pict"):
            build(name, few, 3, steps=1)


@every
def test_a_network_that_learns_nothing_is_refused(name):
    """One corner to learn from and the opposite one to be judged by: that says nothing of where a boundary goes."""
    corners = np.zeros((2, 16, 16), dtype=np.uint8)
    corners[0, 2:4, 2:4] = corners[1, 12:14, 12:14] = 1
    leave_out = {"boundary_transform": "inverseform", "mask_autoencoder": "mask_autoencoder` of `perceptual"}[name]
    said = (
        rf"^{name} has learned nothing from the 2 training masks .* is 0?1?(\.\d+)? on those held out, and (0\.3514|1) "
    )
    with pytest.raises(LossError, match=said + rf"without learning; add pictures, or leave out .*{leave_out}`$"):
        build(name, corners, 2, steps=60)


@pytest.mark.parametrize(("found", "refused"), [(0.5, False), (1.0, True), (1.1, True), (float("nan"), True)])
def test_as_bad_as_chance_is_nothing_learned(found, refused):
    report = {"validation_error": found, "chance_error": 1.0}
    if refused:
        with pytest.raises(LossError, match="learned nothing"):
            building._judge(NAMES[0], report, "error", 5)
    else:
        building._judge(NAMES[0], report, "error", 5)


@quick
@every
def test_masks_without_foreground_change_nothing_wherever_they_are(name, masks):
    """Sorted by name, pictures of cracks come before normal ones."""
    empty = np.zeros((63, SIDE, SIDE), dtype=np.uint8)
    empty[:, :4] = IGNORE
    alone = build(name, masks, 3, steps=2).arrays
    for mixed in (np.concatenate([masks, empty]), np.concatenate([empty, masks])):
        assert same(build(name, mixed, 3, steps=2).arrays, alone)
        assert same(with_artefacts(data(mixed), [name], None, steps=2).artefacts[name], alone)


def test_every_fifth_picture_is_held_out_or_mask_where_there_are_few_pictures():
    def held_out(count, pictures=None):
        return np.flatnonzero(building._held_out(count, None if pictures is None else np.array(pictures))).tolist()

    assert held_out(12) == [4, 9]
    assert held_out(3) == [2]
    assert held_out(1) == [0]
    assert held_out(0) == []
    assert held_out(12, [7] * 6 + [9] * 6) == [4, 9]
    assert held_out(12, [0, 0, 2, 2, 2, 4, 4, 5, 5, 8, 8, 9]) == [9, 10]
    assert held_out(7, [8, 1, 8, 2, 3, 4, 8]) == [0, 2, 6], "in the order of pictures, not of masks"


@quick
def test_pictures_are_held_out_whole(masks, monkeypatch):
    shown = []
    kind = building._KINDS[NAMES[1]]

    def curriculum(masks, classes):
        shown.append(masks)
        return kind.curriculum(masks, classes)

    monkeypatch.setattr(building, "_KINDS", {NAMES[1]: dataclasses.replace(kind, curriculum=curriculum)})
    cut = data(masks)
    picture = np.arange(40, dtype=np.int32) // 4
    train = dataclasses.replace(cut.splits["train"], picture=picture)
    with_artefacts(dataclasses.replace(cut, splits={"train": train}), [NAMES[1]], None, steps=1)
    learned, judged = shown
    assert np.array_equal(learned, masks[picture % 5 != 4])
    assert np.array_equal(judged, masks[picture % 5 == 4])


@every
@quick
def test_the_number_of_threads_changes_nothing(name, masks, monkeypatch):
    monkeypatch.setattr(building, "THREADS", 2)
    monkeypatch.setattr("sweeper.training.artefacts.learn.CHECK_BATCHES", 1)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(build(name, masks, 3, steps=3))
            assert torch.get_num_threads() == threads
        with pytest.raises(LossError, match="too few"):
            build(name, masks[:1], 3)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert same(found[0].arrays, found[1].arrays)
    assert found[0].report == found[1].report


@quick
def test_the_report_has_a_digest_of_the_arrays(masks):
    one, other = (build(NAMES[1], masks, 3, steps=2, seed=seed) for seed in (0, 1))
    assert one.report["digest"] == building.digest(one.arrays) != other.report["digest"]
    (name, array), *_ = one.arrays.items()
    touched = array.copy()
    touched.flat[0] = np.nextafter(touched.flat[0], 2)
    assert building.digest({**one.arrays, name: touched}) != one.report["digest"]
    assert building.digest(dict(reversed(one.arrays.items()))) == one.report["digest"]


@quick
@every
def test_memory_holds_what_is_looked_at_not_all_masks(name, masks, tmp_path, monkeypatch):
    many = np.memmap(tmp_path / "masks", dtype=np.uint8, mode="w+", shape=(40_000, SIDE, SIDE))  # 41 MB
    many[: 40 * 1000 : 1000] = masks
    counts = np.zeros((len(many), 3), dtype=np.int64)
    counts[: 40 * 1000 : 1000] = 1
    few = data(masks)
    zeros = np.zeros(len(many), dtype=np.int32)
    train = dataclasses.replace(few.splits["train"], masks=many, counts=counts, picture=zeros)
    monkeypatch.setattr("sweeper.training.artefacts.chunks.CHUNK_BYTES", 2**20)
    tracemalloc.start()
    try:
        kept = with_artefacts(dataclasses.replace(few, splits={"train": train}), [name], None, steps=1)
        built = build(name, many, 3, steps=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20
    assert same(kept.artefacts[name], built.arrays)


def test_only_so_many_masks_of_so_many_bytes_are_looked_at():
    every_third = np.arange(0, 30_000, 3)
    assert len(building.spread(every_third, (64, 64))) == 2048
    assert len(building.spread(every_third, (1024, 1024))) == 128
    assert len(building.spread(every_third, (8192, 8192))) == 10
    found = building.spread(every_third, (64, 64))
    assert (found[0], found[-1]) == (0, 29_997)
    assert set(np.diff(found)) <= {12, 15}
    assert np.array_equal(building.spread(every_third[:7], (64, 64)), every_third[:7])


@quick
def test_chunks_change_nothing(masks, monkeypatch):
    whole = build(NAMES[0], masks, 3, steps=2).arrays
    monkeypatch.setattr("sweeper.training.artefacts.chunks.CHUNK_BYTES", 1)
    assert same(build(NAMES[0], masks, 3, steps=2).arrays, whole)


def test_an_unknown_artefact_is_refused(masks):
    with pytest.raises(LossError, match="did you mean 'mask_autoencoder'"):
        build("mask_autoencode", masks, 3)


def test_a_moved_boundary_is_where_its_map_says(masks):
    curriculum = BoundaryCurriculum(masks, 3)
    seen, wanted, maps = curriculum.draw(16, torch.Generator().manual_seed(0))
    ticks = (torch.arange(64) + 0.5) / 32 - 1
    rows, cols = torch.meshgrid(ticks, ticks, indexing="ij")
    places = torch.stack([cols, rows, torch.ones_like(rows)], dim=-1)
    for moved, still, theta in zip(seen[:, 0], wanted[:, 0], maps, strict=True):
        there = (((places @ theta.T) + 1) * 32 - 0.5).round().long()
        inside = ((there >= 2) & (there < 62)).all(-1)
        drawn = (moved > 0.25 * moved.max()) & inside
        col, row = there[drawn].unbind(-1)
        near = torch.nn.functional.max_pool2d(still[None], 3, 1, 1)[0]
        assert (near[row, col] > 0).all()
    assert seen.min() >= 0
    assert seen.max() <= 1 + 1e-6


@quick
def test_levels_of_the_encoder_weigh_alike(masks):
    found = build("mask_autoencoder", masks, 3, steps=20)
    encoder = trained("mask_autoencoder", {"mask_autoencoder": found.arrays})
    assert isinstance(encoder, Pyramid)
    (labels,) = MaskCurriculum(np.delete(masks, slice(4, None, 5), axis=0), 3).draw(
        256, torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        levels = encoder((labels == 1).float().unsqueeze(1), (labels != -100).float().unsqueeze(1))
    for features, _ in levels:
        assert features.square().mean().sqrt().item() == pytest.approx(1, abs=1e-3)


def test_crops_hold_their_class_and_nothing_beyond_the_mask():
    wide = np.full((1, 80, 200), IGNORE, dtype=np.uint8)
    wide[:, :, :190] = 0
    wide[0, 70, 180] = 2
    curriculum = MaskCurriculum(wide, 3)
    assert len(curriculum) == 1
    (labels,) = curriculum.draw(20, torch.Generator().manual_seed(0))
    assert labels.shape == (20, 64, 64)
    assert ((labels == 1).sum((1, 2)) == 1).all()
    assert (labels == -100).any()
    assert set(labels.unique().tolist()) <= {-100, 0, 1}


@quick
def test_only_training_masks_are_looked_at(masks):
    one = with_artefacts(data(masks, val=masks[:3]), NAMES, None, steps=2)
    other = with_artefacts(data(masks, val=masks[:3] * 0, test=masks[5:]), NAMES, None, steps=2)
    for name in NAMES:
        assert same(one.artefacts[name], other.artefacts[name])


@quick
def test_the_background_is_whatever_the_data_say(masks):
    order = np.full(256, IGNORE, dtype=np.uint8)
    order[[0, 1, 2]] = [1, 0, 2]  # class 0 becomes 1, and that is the background
    swapped = data(order[masks], background=1)
    assert np.array_equal(module.background_first(swapped, np.arange(40)), masks)
    one, other = (with_artefacts(each, NAMES, None, steps=2) for each in (data(masks), swapped))
    for name in NAMES:
        assert same(one.artefacts[name], other.artefacts[name])


@pytest.fixture
def counted(monkeypatch):
    """Names of what has been trained."""
    calls = []

    def counting(name, *arguments, **keywords):
        calls.append(name)
        return build(name, *arguments, **keywords)

    monkeypatch.setattr(module, "build", counting)
    return calls


@quick
def test_what_is_kept_is_not_trained_again(masks, tmp_path, counted):
    first = with_artefacts(data(masks), NAMES, tmp_path, steps=2)
    assert {path.name for path in (tmp_path / "artefacts").iterdir()} == {f"{name}.v2.npz" for name in NAMES}
    again = with_artefacts(data(masks), [NAMES[0]], tmp_path, steps=2)
    assert counted == [*NAMES]
    assert same(first.artefacts[NAMES[0]], again.artefacts[NAMES[0]])
    assert NAMES[1] not in again.artefacts
    both = with_artefacts(again, [NAMES[1]], tmp_path, steps=2)
    assert set(both.artefacts) == set(NAMES)
    assert data(masks).artefacts == {}
    kept = reports(tmp_path, NAMES)
    assert kept[NAMES[0]]["steps"] == 2
    assert kept[NAMES[0]]["validation_error"] > 0
    assert reports(tmp_path / "elsewhere", NAMES) == {}


@quick
@pytest.mark.parametrize(
    ("change", "settings"),
    [({"fingerprint": "g"}, {}), ({"background": 2}, {}), ({}, {"seed": 1}), ({}, {"steps": 3})],
)
def test_what_was_trained_otherwise_is_trained_anew(masks, tmp_path, counted, change, settings):
    with_artefacts(data(masks), [NAMES[0]], tmp_path, steps=2)
    other = dataclasses.replace(data(masks), **change)
    with_artefacts(other, [NAMES[0]], tmp_path, **{"steps": 2, **settings})
    assert len(counted) == 2


@quick
@pytest.mark.parametrize("damage", ["cut", "empty", "text", "no report", "other weights"])
def test_a_damaged_file_is_trained_anew(masks, tmp_path, counted, damage):
    first = with_artefacts(data(masks), [NAMES[0]], tmp_path, steps=2)
    (path,) = (tmp_path / "artefacts").iterdir()
    whole = path.read_bytes()
    if damage == "no report":
        np.savez(path, **first.artefacts[NAMES[0]])
    elif damage == "other weights":
        with np.load(path) as kept:
            np.savez(path, **{key: kept[key] if key == "report" else kept[key] + 1 for key in kept.files})
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "text": b"not a file of arrays"}[damage])
    again = with_artefacts(data(masks), [NAMES[0]], tmp_path, steps=2)
    assert len(counted) == 2
    assert same(first.artefacts[NAMES[0]], again.artefacts[NAMES[0]])
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@quick
def test_a_disk_that_refuses_is_said_so(masks, tmp_path):
    (tmp_path / "artefacts").write_text("in the way")
    with pytest.raises(DataError, match="cannot keep prepared data there"):
        with_artefacts(data(masks), [NAMES[0]], tmp_path, steps=1)


@quick
def test_progress_counts_steps(masks):
    seen = []
    with_artefacts(data(masks), [NAMES[0]], None, steps=3, progress=lambda *each: seen.append(each))
    assert seen == [(1, 3, NAMES[0]), (2, 3, NAMES[0]), (3, 3, NAMES[0])]
