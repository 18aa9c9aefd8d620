"""Says how many inputs each loader was given."""

from __future__ import annotations

from .amount import ASKED, TRIED


def pytest_terminal_summary(terminalreporter):
    if ASKED and TRIED:
        terminalreporter.section("inputs by loader")
        for loader, count in sorted(TRIED.items()):
            terminalreporter.write_line(f"{loader:<20}{count:>10,}")
