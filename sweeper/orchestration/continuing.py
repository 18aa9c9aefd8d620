"""Whether a study may go on in a run folder: what was recorded there must keep its meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper.data.differences import differences
from sweeper.data.patches import Prepared
from sweeper.data.prepare import load
from sweeper.errors import ChangedStudy, DataError, RunFolderError, UserError
from sweeper.orchestration.folder import RunFolder
from sweeper.orchestration.publish import read_identity, shareable
from sweeper.search.sweep import Sweep
from sweeper.study.change import Change, changes
from sweeper.study.load import load_study
from sweeper.study.schema import Study
from sweeper.tracking import uri as tracking_uri
from sweeper.tracking.journal import Journal


@dataclass(frozen=True)
class Past:
    """What a run folder holds of earlier starts."""

    folder: RunFolder
    recorded: int
    """Trials."""
    study: Mapping[str, Any] | None
    """The resolved study of the last start; None where there was none or it cannot be read."""
    unreadable: str | None
    """Why it cannot be read."""
    fingerprint: str | None
    """Of the data of the last start."""

    @classmethod
    def of(cls, folder: RunFolder) -> Past:
        """Read a run folder, or where one will be; nothing is written. Raises: RunFolderError as `Journal` does."""
        recorded = len(Journal(folder.outbox).recorded())
        return cls(folder, recorded, *_study(folder), _fingerprint(folder))

    def tracked_at(self, uri: str) -> bool:
        """Whether the last start recorded trials for MLflow at this address."""
        try:
            before = read_identity(self.folder)["tracking_uri"]
        except RunFolderError:
            return False
        return self.recorded > 0 and before == tracking_uri.without_credentials(uri)

    def changes(self, study: Study) -> list[Change]:
        """Return what changed in the study since the last start; nothing as long as no trial is recorded."""
        if not self.recorded or self.study is None:
            return []
        return changes(self.study, shareable(study).to_dict())

    def admit(self, study: Study) -> None:
        """Raises: ChangedStudy when the study is not the recorded one with more or fewer trials of the same kinds."""
        found = self.changes(study)
        breaking = [change for change in found if change.effect == "breaks"]
        if not breaking:
            return
        others = [change for change in found if change.effect in ("extends", "narrows")]
        lines = [
            f"{self.folder.path}: holds {_trials(self.recorded)} of a study of this name whose settings were others:",
            *_listed(breaking),
        ]
        if others:
            lines += ["this alone would continue it:", *_listed(others)]
        lines.append("undo the change, or give the changed study another name (--set name=…) or another folder (--out)")
        raise ChangedStudy("\n".join(lines))

    def admit_data(self, study: Study, data: Prepared, cache: Path) -> None:
        """Raises: ChangedStudy when the pictures are not those that the recorded trials were trained on.

        Args:
            cache: Of prepared data, where the former pictures may still be.
        """
        if not self.recorded or self.fingerprint in (None, data.fingerprint):
            return
        lines = [
            f"{self.folder.path}: its {_trials(self.recorded)} were trained on other data: "
            f"fingerprint {self.fingerprint}, now {data.fingerprint}",
            *_listed([change for change in self.changes(study) if change.effect == "data"]),
            *(f"  {line}" for line in _pictures(cache / str(self.fingerprint), data)),
            "put the former data back, or give the study another name (--set name=…) or another folder (--out)",
        ]
        raise ChangedStudy("\n".join(lines))

    def news(self, study: Study) -> list[str]:
        """Return what a person should know of an admitted study that is not quite the one of the last start."""
        found = self.changes(study)
        lines = []
        if self.recorded and self.unreadable is not None:
            lines.append(f"whether the study changed since its last start cannot be told: {self.unreadable}")
        if extended := [str(change) for change in found if change.effect == "extends"]:
            lines.append(f"extended: {'; '.join(extended)}. None of the {_trials(self.recorded)} runs again")
        if narrowed := [str(change) for change in found if change.effect == "narrows"]:
            lines.append(
                f"narrowed: {'; '.join(narrowed)}. What is left out stays recorded, and counts again once it is back"
            )
        return lines


def left_out(sweep: Sweep) -> str | None:
    """Say how many recorded trials are not what the study would run now, although nothing in it has changed."""
    budgets = {(cell.family, cell.level): cell.budget for cell in sweep.plan.cells}
    counted = {record.key for record in sweep.current()}
    others = [
        record
        for record in sweep.recorded.values()
        if record.number is not None
        and record.number < budgets.get((record.family, record.level), 0)
        and record.key not in counted
    ]
    if not others:
        return None
    families = ", ".join(sorted({record.family for record in others}))
    return (
        f"{_trials(len(others))} of {families} no longer count, and run again: another version of sweeper, "
        "of a loss of your own or of the weights file made them"
    )


def _study(folder: RunFolder) -> tuple[Mapping[str, Any] | None, str | None]:
    """Return the resolved study of a run folder, or why there is none to compare with."""
    if not folder.study.exists():
        return None, None
    try:
        return load_study(folder.study).to_dict(), None
    except UserError as error:
        return None, str(error).splitlines()[0]


def _fingerprint(folder: RunFolder) -> str | None:
    try:
        found = read_identity(folder)["meta"]["data"]["fingerprint"]
    except (RunFolderError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def _pictures(former: Path, data: Prepared) -> list[str]:
    """Say which pictures changed, where the former data is still prepared."""
    try:
        before = load(former)
    except DataError:
        return ["which pictures changed cannot be told: the former data is no longer in the cache"]
    return differences(before, data)


def _listed(found: Sequence[Change]) -> list[str]:
    return [f"  {change}" for change in found]


def _trials(count: int) -> str:
    return "1 recorded trial" if count == 1 else f"{count} recorded trials"
