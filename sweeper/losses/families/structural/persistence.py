"""Persistence diagrams of probability maps: which peaks and holes there are, and at what heights they come and go.

A map is read as a landscape that emerges from falling water. A component is born at the height of a peak and dies where
its land joins that of a higher one (the elder rule); the highest peak of a map dies at 0. A hole is born where land
closes around it and dies at the height of its lowest pixel. Land is 8-connected, holes are 4-connected, so that the two
are each other's complement.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

Maps = NDArray[np.floating[Any]]
"""(M, H, W), in [0, 1]."""
Indices = NDArray[np.int64]

_FOUR = ((0, 1), (1, 0))
_EIGHT = (*_FOUR, (1, 1), (1, -1))


def component_points(maps: Maps, limit: int) -> Indices:
    """Return the pixels of birth and death of each map's `limit` most persistent components, (2, M, P).

    Pixels are counted along rows; H · W stands for the height 0, also in places without a point (0, 0).
    """
    count, height, width = maps.shape
    image, peak, saddle = _merges(maps, _EIGHT)
    highest = maps.reshape(count, height * width).argmax(axis=1) if count else np.zeros(0, dtype=np.int64)
    image = np.concatenate([image, np.arange(count)])
    birth = np.concatenate([peak, highest])
    death = np.concatenate([saddle, np.full(count, height * width)])
    return _most_persistent(maps, image, birth, death, limit)


def hole_points(maps: Maps, limit: int) -> Indices:
    """Return the same of holes.

    Turned over, holes are peaks that are no part of the outside. A ring above all else stands for the outside.
    """
    width = maps.shape[2]
    turned = np.pad(-maps, ((0, 0), (1, 1), (1, 1)), constant_values=1.0)
    image, valley, rim = _merges(turned, _FOUR)
    death, birth = ((each // (width + 2) - 1) * width + each % (width + 2) - 1 for each in (valley, rim))
    return _most_persistent(maps, image, birth, death, limit)


def _merges(maps: Maps, steps: tuple[tuple[int, int], ...]) -> tuple[Indices, Indices, Indices]:
    """Return, for each peak that joins a higher one below its own height, its map, its pixel and the pixel it joins at.

    Every pixel belongs to the peak that steepest ascent leads to: it has joined that peak's land when it emerges. What
    is left is a graph of peaks, which join along its maximum spanning tree: only its edges need a loop.
    """
    count, height, width = maps.shape
    size = height * width
    flat = maps.reshape(count, size)
    # Ranks in place of heights, so that no two pixels are level: the elder rule needs an order.
    order = flat.argsort(axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(size)[np.newaxis], axis=1)
    rank = rank.reshape(maps.shape)
    start = size * np.arange(count)[:, np.newaxis]
    up = (start + np.take_along_axis(order, _highest_around(rank, steps).reshape(count, size), axis=1)).ravel()
    while not np.array_equal(further := up[up], up):
        up = further
    peaks, basin = np.unique(up, return_inverse=True)
    first, second, level = _edges(basin.reshape(maps.shape), rank, steps)
    # Weights from 1, for the sparse graph takes 0 as no edge.
    graph = coo_matrix((size - level, (first, second)), shape=(len(peaks), len(peaks)))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    by_height = tree.data.argsort(kind="stable")
    level = size - tree.data[by_height].astype(np.int64)
    height_of = rank.ravel()[peaks].tolist()
    parent = list(range(len(peaks)))
    loser = []
    for one, other in zip(tree.row[by_height].tolist(), tree.col[by_height].tolist(), strict=True):
        while parent[one] != one:
            parent[one] = one = parent[parent[one]]
        while parent[other] != other:
            parent[other] = other = parent[parent[other]]
        if height_of[one] > height_of[other]:
            one, other = other, one
        parent[one] = other
        loser.append(one)
    image, peak = np.divmod(peaks[np.array(loser, dtype=np.int64)], size)
    saddle = order[image, level]
    lasting = flat[image, peak] > flat[image, saddle]
    return image[lasting], peak[lasting], saddle[lasting]


def _highest_around(rank: Indices, steps: tuple[tuple[int, int], ...]) -> Indices:
    """Return the highest rank among each pixel and its neighbours, (M, H, W)."""
    best = rank.copy()
    for step in steps:
        here, there = _pair(*step)
        np.maximum(best[here], rank[there], out=best[here])
        np.maximum(best[there], rank[here], out=best[there])
    return best


def _edges(basin: Indices, rank: Indices, steps: tuple[tuple[int, int], ...]) -> tuple[Indices, Indices, Indices]:
    """Return pairs of basins that touch, lower number first, and the highest rank at which they do, 1-d each."""
    pairs = [_pair(*step) for step in steps]
    one, other = (np.concatenate([basin[each[side]].ravel() for each in pairs]) for side in (0, 1))
    level = np.concatenate([np.minimum(rank[here], rank[there]).ravel() for here, there in pairs])
    differ = one != other
    one, other, level = one[differ], other[differ], level[differ]
    key = np.minimum(one, other) * (int(basin.max(initial=0)) + 1) + np.maximum(one, other)
    highest_first = np.lexsort((-level, key))
    key, level = key[highest_first], level[highest_first]
    new = np.ones(len(key), dtype=bool)
    new[1:] = key[1:] != key[:-1]
    first, second = np.divmod(key[new], int(basin.max(initial=0)) + 1)
    return first, second, level[new]


def _pair(down: int, right: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the slices of (M, H, W) that hold the pixels with a neighbour so many steps away, and those neighbours."""
    rows = (slice(None, -down or None), slice(down, None))
    cols = (slice(max(-right, 0), -right if right > 0 else None), slice(max(right, 0), right if right < 0 else None))
    return (slice(None), rows[0], cols[0]), (slice(None), rows[1], cols[1])


def _most_persistent(maps: Maps, image: Indices, birth: Indices, death: Indices, limit: int) -> Indices:
    count, height, width = maps.shape
    size = height * width
    heights = np.concatenate([maps.reshape(count, size), np.zeros((count, 1), dtype=maps.dtype)], axis=1)
    order = np.lexsort((heights[image, death] - heights[image, birth], image))
    image, birth, death = image[order], birth[order], death[order]
    place = np.arange(len(image)) - np.searchsorted(image, image)
    kept = place < limit
    table = np.full((2, count, int(place[kept].max(initial=0)) + 1), size, dtype=np.int64)
    table[0, image[kept], place[kept]] = birth[kept]
    table[1, image[kept], place[kept]] = death[kept]
    return table
