"""Charts drawn on other cores: the same drawing, and an error that is not lost."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sweeper.report.output import drawing

SPEC = {
    "data": {"values": [{"a": 1, "b": 2}, {"a": 2, "b": 1}]},
    "mark": {"type": "area", "clip": True},
    "encoding": {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "b", "type": "quantitative"}},
}


@pytest.mark.parametrize("cores", [1, 2])
def test_a_drawing_is_the_same_wherever_it_is_made(cores, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    here, there = drawing.draw(SPEC), drawing.drawn(SPEC).result()
    assert there.svg == here.svg
    assert there.png == here.png
    assert there.pdf.startswith(b"%PDF")


def test_only_with_another_core_does_the_caller_not_wait(monkeypatch):
    monkeypatch.setattr(drawing, "draw", lambda spec: os.getpid())
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert drawing.drawn(SPEC).result() == os.getpid()


def test_a_chart_that_cannot_be_drawn_raises_when_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    waiting = drawing.drawn({"mark": "no such mark", "encoding": 3})
    with pytest.raises(ValueError, match="conversion failed"):
        waiting.result()


def test_a_script_without_a_main_guard_can_draw(tmp_path):
    """Multiprocessing's own pool would run the script again in every worker."""
    script = tmp_path / "script.py"
    lines = ["from sweeper.report.output import drawing", "print('once')"]
    script.write_text("\n".join([*lines, f"print(len(drawing.drawn({SPEC!r}).result().svg) > 500)\n"]))
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert (ran.stdout.split(), ran.stderr) == (["once", "True"], "")
