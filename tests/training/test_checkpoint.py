import hashlib
import os
import pickle

import pytest
import torch

from sweeper.training.checkpoint import load, save

STATE = {"key": "abc", "weights": torch.arange(5000.0), "history": [{"epoch": 1, "scores": {"a": None}}]}


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "deep" / "down" / "trial.pt"
    save(path, STATE)
    loaded = load(path)
    assert loaded["history"] == STATE["history"]
    torch.testing.assert_close(loaded["weights"], STATE["weights"], rtol=0, atol=0)
    assert [each.name for each in path.parent.iterdir()] == ["trial.pt"]


def test_no_file_is_no_state(tmp_path):
    assert load(tmp_path / "none.pt") is None


def test_a_failed_save_leaves_the_old_state_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "trial.pt"
    save(path, STATE)

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        save(path, STATE | {"key": "new"})
    assert load(path)["key"] == "abc"
    assert [each.name for each in tmp_path.iterdir()] == ["trial.pt"]


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "garbage", "foreign", "not a state"])
def test_a_damaged_file_is_set_aside(tmp_path, damage):
    path = tmp_path / "trial.pt"
    save(path, STATE)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 0xFF
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(path.read_bytes()[:middle])
        case "flipped":
            path.write_bytes(content)
        case "garbage":
            path.write_bytes(b"no archive at all" * 100)
        case "foreign":
            torch.save(STATE, path)  # without the digest
        case "not a state":
            save(path, [1, 2])
    assert load(path) is None
    assert [each.name for each in tmp_path.iterdir()] == ["trial.pt.corrupt"]
    save(path, STATE)
    assert load(path)["key"] == "abc"


class Harmful:
    def __reduce__(self):
        return (os.mkdir, ("owned",))


def test_a_checkpoint_cannot_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "trial.pt"
    save(path, {"key": Harmful()})
    assert load(path) is None
    content = pickle.dumps({"key": Harmful()}, protocol=2)
    path.write_bytes(content + hashlib.sha256(content).digest())
    assert load(path) is None
    assert not (tmp_path / "owned").exists()
