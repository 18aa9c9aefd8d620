"""What a check has to say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's."""

    check: str
    """What was looked at, in a word or two."""
    status: Status
    """`note`: worth knowing, or could not be checked; `problem`: a study will fail because of it, or lose something."""
    text: str
    """What was found, with figures."""
    fix: str | None = None
    """What to do about it; every problem has one."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_text(self) -> str:
        return f"{self.status:<8}{self.check}: {self.text}{f'; {self.fix}' if self.fix else ''}"


def ok(check: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(check, "ok", text)


def note(check: str, text: str, fix: str | None = None) -> Finding:
    """Return something worth knowing."""
    return Finding(check, "note", text, fix)


def problem(check: str, text: str, fix: str) -> Finding:
    """Return something that must be mended, and how."""
    return Finding(check, "problem", text, fix)


def unknown(check: str, why: str) -> Finding:
    """Return that a check could not be made: that is no pass."""
    return Finding(check, "note", f"could not be checked: {why}")
