"""How many trials run at once: arithmetic, checked by hand."""

from __future__ import annotations

import inspect

import pytest

from sweeper.errors import SweeperError, UserError
from sweeper.orchestration import cluster
from sweeper.orchestration.cluster import Slots, allot, note_slot, noted_slot, ray_session
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


def test_ray_prints_no_paragraph_between_the_lines_of_an_answer(capsys):
    """What is silenced must still be what Ray prints by when a worker dies."""
    from ray._private import worker

    lost = {"lines": ["a worker died"], "pid": "raylet", "is_err": False}
    assert "print_to_stdstream(" in inspect.getsource(worker.listen_error_messages)
    with cluster._quiet():
        worker.print_to_stdstream(lost, ignore_prefix=False)
    assert capsys.readouterr().out == ""
    worker.print_to_stdstream(lost, ignore_prefix=False)
    assert "a worker died" in capsys.readouterr().out


def test_what_a_trial_took_is_noted_while_it_is_the_same_for_all(tmp_path):
    file = tmp_path / "slots.json"
    assert noted_slot(file) is None
    note_slot(file, Slots(2, 0.25, 4), anew=True)
    assert noted_slot(file) == {"cpu": 2, "gpu": 0.25}
    note_slot(file, Slots(2, 0.25, 1), anew=False)  # fewer at once is no other share
    assert noted_slot(file) == {"cpu": 2, "gpu": 0.25}
    note_slot(file, Slots(2, 0.5, 2), anew=False)
    assert noted_slot(file) is None
    note_slot(file, Slots(2, 0.25, 4), anew=False)
    assert noted_slot(file) is None, "some took half of a GPU"


def test_what_trials_of_before_there_were_notes_took_is_not_known(tmp_path):
    file = tmp_path / "slots.json"
    note_slot(file, Slots(1, 0.0, 2), anew=False)
    assert noted_slot(file) is None
    note_slot(file, Slots(1, 0.0, 2), anew=False)
    assert noted_slot(file) is None


def test_damaged_notes_are_as_none(tmp_path):
    file = tmp_path / "slots.json"
    file.write_text("[{")
    assert noted_slot(file) is None
    note_slot(file, Slots(1, 0.0, 2), anew=True)
    assert noted_slot(file) == {"cpu": 1, "gpu": 0.0}


def test_a_ray_that_does_not_start_is_one_message(monkeypatch):
    import ray

    def fail(**unused: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because ...")

    monkeypatch.setattr(ray, "init", fail)
    with (
        pytest.raises(SweeperError, match=r"on this machine: The current node timed out during startup\.$"),
        ray_session(None),
    ):
        pass
