"""How many trials run at once: arithmetic, checked by hand."""

from __future__ import annotations

import pytest

from sweeper.errors import UserError
from sweeper.orchestration.cluster import Slots, allot
from sweeper.study.schema import Resources


@pytest.mark.parametrize(
    ("resources", "cpus", "gpus", "expected"),
    [
        ({}, 2, 0, Slots(1, 0.0, 2)),
        ({"cpu": 2}, 5, 0, Slots(2, 0.0, 2)),
        ({"concurrent": 1}, 8, 0, Slots(1, 0.0, 1)),
        ({"concurrent": 99}, 8, 0, Slots(1, 0.0, 8)),
        ({}, 16, 1, Slots(1, 0.25, 4)),
        ({}, 16, 8, Slots(1, 0.5, 16)),
        ({}, 2, 1, Slots(1, 0.5, 2)),
        ({"cpu": 8}, 16, 4, Slots(8, 1.0, 2)),
        ({"gpu": 0.0}, 16, 1, Slots(1, 0.0, 16)),
        ({"gpu": 0.1}, 16, 1, Slots(1, 0.1, 10)),
        ({"gpu": 2.0}, 16, 4, Slots(1, 2.0, 2)),
    ],
)
def test_shares(resources, cpus, gpus, expected):
    assert allot(Resources(**resources), cpus=cpus, gpus=gpus) == expected


@pytest.mark.parametrize(
    ("resources", "wrong"),
    [({"cpu": 4}, "asks for 4 CPUs"), ({"gpu": 2.0}, "asks for 2 GPUs"), ({"gpu": 1.5}, "asks for 1.5 GPUs")],
)
def test_what_the_cluster_lacks_is_refused(resources, wrong):
    with pytest.raises(UserError, match=wrong):
        allot(Resources(**resources), cpus=2, gpus=1)


def test_a_part_of_two_gpus_is_refused():
    with pytest.raises(UserError, match="no fraction"):
        allot(Resources(gpu=1.5), cpus=2, gpus=4)
