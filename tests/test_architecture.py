"""Imports run one way, the core stays ignorant of its edges, and starting up stays light."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sweeper

ROOT = Path(sweeper.__file__).parent

MAY_IMPORT = {
    "errors": set(),
    "files": set(),
    "durations": set(),
    "domains": {"errors"},
    "documents": set(),
    "maps": set(),
    "losses": {"errors", "domains", "maps"},
    "results": {"errors", "domains", "files"},
    "data": {"documents", "errors", "domains", "files", "maps"},
    "training": {"errors", "domains", "files", "losses", "maps", "data", "results"},
    "study": {"documents", "errors", "domains", "files", "losses", "data", "training"},
    "search": {"errors", "domains", "study", "losses", "training", "results"},
    "tracking": {"errors", "domains", "files", "results"},
    "report": {"errors", "domains", "files", "results"},
    "orchestration": {
        "durations",
        "errors",
        "domains",
        "files",
        "losses",
        "data",
        "training",
        "study",
        "search",
        "tracking",
        "results",
        "report",
    },
    "anatomy": {"errors", "domains", "files", "losses", "report"},
    "progress": {"durations", "orchestration", "search", "results"},
}
"""What each part of the package may import of it; `api` and `cli` may import everything."""

TRAINING_RESULTS = {"sweeper.results.record", "sweeper.results.margins"}
"""Plain rows and names that training fills in; nothing that reads or writes files."""


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name.startswith("sweeper.")}


def part(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


FILES = [path for path in sorted(ROOT.rglob("*.py")) if part(path) not in ("__init__", "api", "cli")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    allowed = MAY_IMPORT[part(path)] | {part(path)}
    parts = {name.split(".")[1] for name in imported(path)}
    assert parts <= allowed, f"{path.name} imports {sorted(parts - allowed)}"


def test_training_takes_only_plain_rows_from_results():
    for path in (ROOT / "training").rglob("*.py"):
        modules = {".".join(name.split(".")[:3]) for name in imported(path) if name.startswith("sweeper.results.")}
        assert modules <= TRAINING_RESULTS, path.name


def test_every_part_is_known():
    parts = {path.name.removesuffix(".py") for path in ROOT.iterdir() if not path.name.startswith("_")}
    assert parts == set(MAY_IMPORT) | {"api", "cli"}


def test_only_ray_tune_is_imported_from_ray():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ray"):
                assert (node.module or "").split(".")[:2] == ["ray", "tune"] or node.module == "ray", path.name


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print('\\n'.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def every_module(package: str) -> str:
    paths = [path.relative_to(ROOT.parent).with_suffix("") for path in (ROOT / package).rglob("*.py")]
    names = sorted(".".join(path.parts) for path in paths if path.stem[0] != "_")
    return "\n".join(f"import {name}" for name in names)


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("losses", {"ray", "mlflow", "optuna", "segmentation_models_pytorch", "pyarrow"}),
        ("training", {"ray", "mlflow", "optuna", "pyarrow", "pydantic"}),
        ("report", {"ray", "mlflow", "optuna", "torch"}),
        ("study", {"ray", "mlflow", "optuna", "segmentation_models_pytorch"}),
        ("search", {"ray", "mlflow", "segmentation_models_pytorch"}),
        ("tracking", {"ray", "mlflow", "optuna", "torch"}),
        ("results", {"ray", "mlflow", "optuna", "torch"}),
        ("data", {"ray", "mlflow", "optuna", "torch"}),
    ],
)
def test_the_core_loads_without_its_edges(package, forbidden):
    assert not modules_after(every_module(package)) & forbidden


def test_importing_sweeper_loads_nothing_heavy():
    heavy = {"torch", "ray", "mlflow", "optuna", "pyarrow", "pandas", "numpy", "pydantic", "altair", "typer"}
    assert not modules_after("import sweeper") & heavy


def test_help_loads_nothing_heavy():
    heavy = {"torch", "ray", "mlflow", "optuna", "pyarrow", "pandas", "numpy", "pydantic", "altair"}
    code = (
        "import sys; sys.argv = ['sweeper', '--help']\n"
        "from sweeper.cli import main\ntry: main()\nexcept SystemExit: pass"
    )
    assert not modules_after(code) & heavy


def test_starting_is_fast():
    """Under 0.3 s and 1 s on two cores; the best of five, since a busy machine says nothing about the code."""

    def best(*arguments: str) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            times.append(time.perf_counter() - began)
        return min(times)

    assert best("-c", "import sweeper") < 0.3
    assert best("-m", "sweeper.cli", "--help") < 1.0


def test_the_front_door_offers_exactly_what_it_names():
    assert set(dir(sweeper)) == set(sweeper.__all__)
    for name in sweeper.__all__:
        offered = getattr(sweeper, name)
        assert inspect.isfunction(offered)
        assert inspect.getdoc(offered)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sweeper.nothing  # noqa: B018
