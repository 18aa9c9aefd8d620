"""Every target map against its definition, pixel by pixel, on masks with ignored, absent and full classes."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from sweeper.maps.kinds import KINDS, compute_map
from sweeper.maps.shapes import RADII

CLASSES = 3
CROSS = ((1, 0), (-1, 0), (0, 1), (0, -1))
SQUARE = tuple(step for step in itertools.product((-1, 0, 1), repeat=2) if step != (0, 0))

Mask = np.ndarray
Pixel = tuple[int, int]


def noise(seed: int, ignored: float = 0.1, smooth: int = 1) -> Mask:
    """Return a mask of three classes in blobs, oblong, so that rows and columns cannot be mixed up."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, size=(9 // smooth + 1, 12 // smooth + 1)).repeat(smooth, 0).repeat(smooth, 1)
    labels = labels[:9, :12]
    labels[rng.random(labels.shape) < ignored] = 255
    return labels.astype(np.uint8)


def filled(label: int) -> Mask:
    return np.full((9, 12), label, dtype=np.uint8)


def ring() -> Mask:
    labels = filled(0)
    labels[1:8, 2:9] = 1
    labels[3:6, 4:7] = 0
    labels[4, 5] = 2
    return labels


def partly_ignored(label: int) -> Mask:
    labels = filled(label)
    labels[2:4, 3:9] = 255
    return labels


MASKS: dict[str, Mask] = {
    "specks": noise(0),
    "blobs": noise(1, smooth=3),
    "blobs, nothing ignored": noise(2, ignored=0.0, smooth=4),
    "blobs, half ignored": noise(3, ignored=0.5, smooth=2),
    "no class 2": np.where(noise(4, smooth=3) == 2, 1, noise(4, smooth=3)).astype(np.uint8),
    "ring": ring(),
    "one class": filled(1),
    "one class, partly ignored": partly_ignored(2),
    "all ignored": filled(255),
    "ignored by a negative label": np.where(noise(5) == 255, -1, noise(5).astype(np.int64)),
    "ignored by the next label": np.where(noise(6) == 255, CLASSES, noise(6)).astype(np.uint8),
}


def pixels(mask: Mask) -> Iterator[Pixel]:
    return itertools.product(range(mask.shape[0]), range(mask.shape[1]))


def label(mask: Mask, pixel: Pixel) -> int | None:
    """Return the label of a pixel, -1 where it is ignored, None beyond the image."""
    row, col = pixel
    if not (0 <= row < mask.shape[0] and 0 <= col < mask.shape[1]):
        return None
    value = int(mask[row, col])
    return value if 0 <= value < CLASSES else -1


def around(pixel: Pixel, steps: tuple[Pixel, ...]) -> list[Pixel]:
    return [(pixel[0] + down, pixel[1] + right) for down, right in steps]


def euclidean(a: Pixel, b: Pixel) -> float:
    return math.hypot(a[0] - b[0], a[1] - b[1])


def chessboard(a: Pixel, b: Pixel) -> int:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1]))


def cityblock(a: Pixel, b: Pixel) -> int:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def nearest(mask: Mask, goals: list[Pixel], metric: Callable[[Pixel, Pixel], float], nothing: float) -> np.ndarray:
    """Return each pixel's distance to the nearest goal."""
    out = np.full(mask.shape, float(nothing))
    for pixel in pixels(mask) if goals else ():
        out[pixel] = min(metric(pixel, goal) for goal in goals)
    return out


def own_distance(mask: Mask) -> np.ndarray:
    out = np.zeros((1, *mask.shape))
    for pixel in pixels(mask):
        others = [each for each in pixels(mask) if label(mask, each) not in (-1, label(mask, pixel))]
        if label(mask, pixel) != -1 and others:
            out[0][pixel] = min(euclidean(pixel, each) for each in others)
    return out


def signed_distance(mask: Mask) -> np.ndarray:
    out = np.zeros((CLASSES, *mask.shape))
    for klass in range(CLASSES):
        own = [each for each in pixels(mask) if label(mask, each) == klass]
        others = [each for each in pixels(mask) if label(mask, each) not in (-1, klass)]
        if own and others:
            for pixel in own:
                out[klass][pixel] = -min(euclidean(pixel, each) for each in others)
            for pixel in others:
                out[klass][pixel] = min(euclidean(pixel, each) for each in own)
    return out


def relative_depth(mask: Mask) -> np.ndarray:
    out = np.zeros((CLASSES, *mask.shape))
    for klass in range(CLASSES):
        own = [each for each in pixels(mask) if label(mask, each) == klass]
        others = [each for each in pixels(mask) if label(mask, each) not in (-1, klass)]
        depth = {pixel: min((euclidean(pixel, each) for each in others), default=1.0) for pixel in own}
        for pixel in own:
            out[klass][pixel] = depth[pixel] / max(depth.values())
    return out


def contour(mask: Mask, klass: int) -> list[Pixel]:
    """Return the class's pixels with a 4-neighbour of another class."""
    return [
        pixel
        for pixel in pixels(mask)
        if label(mask, pixel) == klass
        and any(label(mask, each) not in (None, -1, klass) for each in around(pixel, CROSS))
    ]


def contour_distance(mask: Mask) -> np.ndarray:
    return np.stack([nearest(mask, contour(mask, klass), euclidean, -1) for klass in range(CLASSES)])


def boundary_band(mask: Mask) -> np.ndarray:
    goals = [pixel for klass in range(CLASSES) for pixel in contour(mask, klass)]
    return nearest(mask, goals, chessboard, 255)[np.newaxis]


def edge_band(mask: Mask) -> np.ndarray:
    def edge(klass: int) -> list[Pixel]:
        return [
            pixel
            for pixel in pixels(mask)
            if label(mask, pixel) == klass
            and any(label(mask, each) not in (None, klass) for each in around(pixel, SQUARE))
        ]

    return np.stack([nearest(mask, edge(klass), chessboard, 255) for klass in range(CLASSES)])


def boundary_distance(mask: Mask) -> np.ndarray:
    out = []
    for down, right in itertools.product((1, -1), (1, -1)):
        goals = [
            pixel
            for pixel in pixels(mask)
            if label(mask, pixel) == -1
            or any(
                label(mask, each) not in (None, label(mask, pixel)) for each in around(pixel, ((down, 0), (0, right)))
            )
        ]
        out.append(nearest(mask, goals, euclidean, -1))
    return np.stack(out)


def erosion_depth(mask: Mask) -> np.ndarray:
    out = np.zeros((CLASSES, *mask.shape))
    for klass in range(CLASSES):
        region = {pixel for pixel in pixels(mask) if label(mask, pixel) == klass}
        for step in itertools.count(1):
            kept = {
                pixel
                for pixel in region
                if all(each in region for each in around(pixel, CROSS) if label(mask, each) is not None)
            }
            for pixel in region - kept:
                out[klass][pixel] = step
            if kept == region:
                break
            region = kept
        for pixel in region:
            out[klass][pixel] = 255
    return out


def skeleton_level(mask: Mask) -> np.ndarray:
    """The soft skeleton as published (Shit et al. 2021, arXiv:2003.07311, listing 1), iteration by iteration."""

    def pool(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return torch.nn.functional.max_pool2d(image, size, stride=1, padding=(size[0] // 2, size[1] // 2))

    def erode(image: torch.Tensor) -> torch.Tensor:
        return torch.minimum(-pool(-image, (3, 1)), -pool(-image, (1, 3)))

    out = np.full((CLASSES, *mask.shape), 255.0)
    for klass in range(CLASSES):
        image = torch.from_numpy(mask == klass).float()[None, None]
        skeleton = torch.relu(image - pool(erode(image), (3, 3)))
        for level in range(max(mask.shape)):
            joined = (skeleton[0, 0] > 0).numpy() & (out[klass] == 255)
            out[klass][joined] = level
            image = erode(image)
            delta = torch.relu(image - pool(erode(image), (3, 3)))
            skeleton = skeleton + torch.relu(delta - skeleton * delta)
    return out


def outline(mask: Mask) -> np.ndarray:
    out = np.zeros((CLASSES, *mask.shape))
    for pixel in pixels(mask):
        klass = label(mask, pixel)
        if klass != -1 and any(label(mask, each) != klass for each in around(pixel, CROSS)):
            out[klass][pixel] = 1
    return out


def parts(region: set[Pixel], steps: tuple[Pixel, ...]) -> set[frozenset[Pixel]]:
    """Return the connected parts of a set of pixels."""
    found, left = set(), set(region)
    while left:
        part, open_ends = set(), [left.pop()]
        while open_ends:
            pixel = open_ends.pop()
            part.add(pixel)
            reached = left.intersection(around(pixel, steps))
            left -= reached
            open_ends += reached
        found.add(frozenset(part))
    return found


def disk_response(mask: Mask) -> np.ndarray:
    out = np.zeros((CLASSES, len(RADII), *mask.shape))
    for klass, (index, radius) in itertools.product(range(CLASSES), enumerate(RADII)):
        own = [each for each in pixels(mask) if label(mask, each) == klass]
        size = sum(math.hypot(*each) <= radius for each in itertools.product(range(-radius, radius + 1), repeat=2))
        for pixel in pixels(mask):
            out[klass, index][pixel] = sum(euclidean(pixel, each) <= radius for each in own) / size
    return out


BY_DEFINITION: dict[str, Callable[[Mask], np.ndarray]] = {
    function.__name__: function
    for function in (
        own_distance,
        signed_distance,
        relative_depth,
        contour_distance,
        boundary_band,
        edge_band,
        boundary_distance,
        erosion_depth,
        skeleton_level,
        outline,
        disk_response,
    )
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("name", BY_DEFINITION)
def test_a_map_is_what_its_definition_says(name, mask):
    found = compute_map(name, mask, CLASSES)
    expected = BY_DEFINITION[name](mask)
    assert found.shape == expected.shape
    # Of shares of a depth the last bit depends on when they are rounded to float32; all else is rounded once.
    np.testing.assert_allclose(found, expected.astype(found.dtype), rtol=1e-6 if name == "relative_depth" else 0)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_components_are_the_8_connected_parts_numbered_from_1(mask):
    numbers = compute_map("components", mask, CLASSES)
    for klass in range(CLASSES):
        region = {pixel for pixel in pixels(mask) if label(mask, pixel) == klass}
        check_numbers(numbers[klass], parts(region, SQUARE))


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_holes_are_the_4_connected_parts_outside_that_do_not_reach_the_border(mask):
    numbers = compute_map("holes", mask, CLASSES)
    for klass in range(CLASSES):
        outside = {pixel for pixel in pixels(mask) if label(mask, pixel) != klass}
        inner = {
            part
            for part in parts(outside, CROSS)
            if all(label(mask, each) is not None for pixel in part for each in around(pixel, CROSS))
        }
        check_numbers(numbers[klass], inner)


def test_more_components_than_sixteen_bits_count_keep_their_own_numbers():
    mask = np.zeros((400, 400), dtype=np.uint8)
    mask[::2, ::2] = 1
    numbers = compute_map("components", mask, 2)[1]
    assert np.array_equal(np.sort(numbers[mask == 1]), np.arange(1, 40_001))
    assert not numbers[mask == 0].any()


def test_more_holes_than_sixteen_bits_count_keep_their_own_numbers():
    mask = np.ones((401, 401), dtype=np.uint8)
    mask[1::2, 1::2] = 0
    numbers = compute_map("holes", mask, 2)[1]
    assert np.array_equal(np.sort(numbers[mask == 0]), np.arange(1, 40_001))
    assert not numbers[mask == 1].any()


def test_what_only_disks_need_is_not_loaded_at_the_start():
    script = "import sys, sweeper.maps.kinds; print('scipy.signal' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def check_numbers(numbers: np.ndarray, expected: set[frozenset[Pixel]]) -> None:
    assert set(np.unique(numbers)) - {0} == set(range(1, len(expected) + 1))
    found = {
        frozenset(zip(*(axis.tolist() for axis in np.nonzero(numbers == number)), strict=True))
        for number in range(1, len(expected) + 1)
    }
    assert found == expected


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_skeleton_is_a_thin_part_of_the_class_that_is_connected_as_the_class_is(mask):
    distance = compute_map("skeleton_distance", mask, CLASSES)
    for klass in range(CLASSES):
        region = {pixel for pixel in pixels(mask) if label(mask, pixel) == klass}
        skeleton = {pixel for pixel in pixels(mask) if distance[klass][pixel] == 0}
        assert skeleton <= region
        assert not any(skeleton.issuperset(around(pixel, SQUARE)) for pixel in skeleton), "it has no inside"
        for part in parts(region, SQUARE):
            assert len(parts(set(skeleton & part), SQUARE)) == 1, "every component keeps one connected skeleton"
        np.testing.assert_array_equal(distance[klass], nearest(mask, list(skeleton), cityblock, 255))


def test_the_skeleton_of_a_bar_is_its_middle_line():
    mask = np.zeros((9, 20), dtype=np.uint8)
    mask[3:6, 2:18] = 1
    (skeleton,) = compute_map("skeleton_distance", mask, 2)[1:]
    # Away from the ends, where thinning leaves a corner.
    np.testing.assert_array_equal(skeleton[:, 5:15].T, [[4, 3, 2, 1, 0, 1, 2, 3, 4]] * 10)


def test_the_kinds_tested_here_are_all_there_are():
    assert set(KINDS) == {*BY_DEFINITION, "components", "holes", "skeleton_distance"}


@pytest.mark.parametrize("name", KINDS)
def test_dtypes_are_as_small_as_the_values_allow_and_alike_for_every_mask(name):
    real = {"own_distance", "signed_distance", "relative_depth", "contour_distance", "boundary_distance"}
    numbered = {"components", "holes"}
    expected = np.float32 if name in real else np.int32 if name in numbered else np.uint8
    expected = np.float16 if name == "disk_response" else expected
    assert {compute_map(name, mask, CLASSES).dtype for mask in MASKS.values()} == {np.dtype(expected)}


def test_distances_that_do_not_fit_stop_at_254():
    mask = np.ones((1, 600), dtype=np.uint8)
    mask[0, 0] = 0
    for name in ("edge_band", "boundary_band", "erosion_depth"):
        values = compute_map(name, mask, 2)[-1, 0]
        assert values.max() == 254, name
        assert (np.diff(values[2:].astype(int)) >= 0).all(), name


def test_signed_distance_at_an_edge_is_one_on_either_side():
    """No zero set: −1 on the last pixel inside, 1 on the first outside."""
    mask = np.array([[0, 0, 1, 1, 1]])
    np.testing.assert_array_equal(compute_map("signed_distance", mask, 2)[1, 0], [2, 1, -1, -2, -3])
