"""Forward and backward time and peak memory of every loss, as ratios to cross-entropy measured in the same minutes.

    python benchmarks/losses.py [--shapes small large] [--device cpu cuda] [--out reports/benchmarks] [--only NAME ...]

    python benchmarks/losses.py [--shapes small large] [--device cpu cuda] [--out FOLDER] [--only NAME ...]
have the same loss, with theirs; the median of the turns' ratios is reported, so that a machine that is busy for a while
slows both. Target maps are prepared before, as training does. Peak memory is what a forward and a backward pass hold at
most beyond logits and target.
"""

from __future__ import annotations

import argparse
import csv
import gc
import os
import platform
import statistics
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import peers
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from sweeper.losses.catalogue import FAMILIES
from sweeper.losses.companion import Setup
from sweeper.losses.family import Family
from sweeper.losses.needs import ARTEFACTS, MAPS
from sweeper.losses.ramp import arguments
from sweeper.maps.kinds import compute_maps

SHAPES = {"small": (8, 3, 256, 256), "large": (2, 21, 512, 512)}
"""Batch, classes, height, width."""

TURNS = 5
SECONDS = 1.5
"""Per loss and shape: turns end early when a slow loss has used this up, but not before three."""

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """One loss on one device at one shape."""

    device: str
    shape: str
    loss: str
    library: str
    time_ratio: float
    """Of forward and backward together, to cross-entropy's."""
    memory_ratio: float
    milliseconds: float
    megabytes: float
    turns: int
    note: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--device", nargs="+", choices=["cpu", "cuda"], default=None)
    parser.add_argument("--only", nargs="+", default=None, help="families to measure; the others keep out")
    parser.add_argument("--out", type=Path, default=Path("reports/benchmarks"))
    options = parser.parse_args()
    devices = options.device or (["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
    unknown = sorted(set(options.only or []) - set(FAMILIES))
    if unknown:
        parser.error(f"there is no family {', '.join(unknown)}; names are those of `sweeper losses`")
    rows = []
    for device in devices:
        for shape in options.shapes:
            for row in measure(device, SHAPES[shape], options.only or list(FAMILIES)):
                print(f"{row.device:4} {row.shape:>16} {row.loss:32} {row.library:12} {row.time_ratio:8.2f}x time "
                      f"{row.memory_ratio:8.2f}x memory {row.note}", file=sys.stderr)  # fmt: skip
                rows.append(row)
            write(rows, options.out)  # after each shape: the next may take long


def measure(device: str, shape: tuple[int, ...], names: list[str]) -> Iterator[Row]:
    """Yield a row for each family, and one for each library that has the same loss."""
    logits, target = batch(shape, device)
    reference: Run = lambda z: functional.cross_entropy(z, target)  # noqa: E731
    for name in names:
        family = FAMILIES[name]
        try:
            ours = prepared(family, logits, target)
        except NotMeasured as reason:
            yield Row(device, str(shape), name, "sweeper", *[float("nan")] * 4, 0, str(reason))
            continue
        contenders = {"sweeper": ours}
        contenders |= peers(name, target, shape[1])
        yield from compare(device, str(shape), name, contenders, reference, logits)


def compare(
    device: str, shape: str, name: str, contenders: Mapping[str, Run], reference: Run, logits: Tensor
) -> Iterator[Row]:
    """Time all contenders in turns with the reference; one that fails is reported as failed."""
    times: dict[str, list[tuple[float, float]]] = {}
    notes: dict[str, str] = {}
    memory = {}
    base_memory = peak(reference, logits)
    for library, run in contenders.items():
        try:
            memory[library] = peak(run, logits)
            times[library] = []
        except Exception as error:  # a library may refuse the shape; that is its result
            notes[library] = f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"
    started = time.perf_counter()
    for turn in range(TURNS):
        if turn >= 3 and time.perf_counter() - started > SECONDS * max(1, len(times)):
            break
        base = seconds(reference, logits)
        for library in times:
            times[library].append((seconds(contenders[library], logits), base))
    for library in contenders:
        if library in notes:
            yield Row(device, shape, name, library, *[float("nan")] * 4, 0, notes[library])
            continue
        own = times[library]
        yield Row(
            device,
            shape,
            name,
            library,
            time_ratio=statistics.median(took / base for took, base in own),
            memory_ratio=memory[library] / base_memory,
            milliseconds=1000 * statistics.median(took for took, _ in own),
            megabytes=memory[library] / 2**20,
            turns=len(own),
        )


class NotMeasured(Exception):
    """A family that cannot run here; the words say why."""


def prepared(family: Family, logits: Tensor, target: Tensor) -> Run:
    """Return a family at its default with everything a trainer would hand it."""
    settings = family.defaults
    needs = family.needs_at(settings)
    if set(needs) & set(ARTEFACTS):
        raise NotMeasured("judges by a network trained on a data set's masks")
    classes = logits.shape[1]
    given: dict[str, Any] = arguments(family, settings, 1.0)
    for need in needs:
        if need in MAPS:
            given[need] = torch.from_numpy(compute_maps(need, target.cpu().numpy(), classes)).to(logits.device)
    if "images" in needs:
        given["images"] = torch.randn(len(target), 3, *target.shape[1:], device=logits.device)
    if "step" in needs:
        given["step"] = 0
    if set(needs) & {"features", "classifier"}:
        raise NotMeasured("looks at the model's features")
    if family.companion is not None:
        torch.manual_seed(0)
        companion = family.companion(Setup(classes=classes, channels=3, settings=settings))
        if companion is not None:
            given["companion"] = companion.to(logits.device)
    return lambda z: family.function(z, target, **given)


def batch(shape: tuple[int, ...], device: str) -> tuple[Tensor, Tensor]:
    """Return logits of an unsure model and a target of about 97 % background with blobs and curves of every class."""
    images, classes, height, width = shape
    rng = np.random.default_rng(0)
    target = np.zeros((images, height, width), dtype=np.int64)
    rows, cols = np.ogrid[:height, :width]
    for image in target:
        for label in range(1, classes):
            curve = width * rng.uniform(0.1, 0.9) + width / 20 * np.sin(np.arange(height) / rng.uniform(8, 30))
            image[np.abs(cols - curve[:, None]) < (0.03 * width / (classes - 1)) / 4] = label
            y, x = rng.uniform(0, height), rng.uniform(0, width)
            image[(rows - y) ** 2 + (cols - x) ** 2 < 0.015 * height * width / (classes - 1) / np.pi] = label
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator)
    return logits.to(device), torch.from_numpy(target).to(device)


def seconds(run: Run, logits: Tensor) -> float:
    """Return the wall time of one forward and backward pass."""
    z = logits.detach().clone().requires_grad_()
    synchronize(z)
    started = time.perf_counter()
    run(z).backward()
    synchronize(z)
    return time.perf_counter() - started


def peak(run: Run, logits: Tensor) -> int:
    """Return the bytes that one forward and backward pass hold at most, beyond what was there before; warms up too."""
    z = logits.detach().clone().requires_grad_()
    run(z).backward()
    z.grad = None
    gc.collect()
    if z.is_cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(z).backward()
        torch.cuda.synchronize()
        return max(1, torch.cuda.max_memory_allocated() - before)
    with watched() as watch:
        run(z).backward()
    return max(1, watch.most)


class Storages(TorchDispatchMode):
    """Counts the bytes of all storages made under it that are still alive; what kernels hold inside is not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for each in out if isinstance(out, tuple | list) else (out,):
            if isinstance(each, Tensor):
                self._note(each)
        return out

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


@contextmanager
def watched() -> Iterator[Storages]:
    with Storages() as mode:
        yield mode


def synchronize(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize()


def write(rows: list[Row], folder: Path) -> None:
    """Write `losses.csv` and `losses.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "losses.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in asdict(row).items()} for row in rows)
    lines = [
        "# What each loss costs",
        "",
        "Forward and backward together, as a ratio to `torch.nn.functional.cross_entropy` on the same tensors, timed "
        "in turns; median of the turns. Memory: what a pass holds at most beyond logits and target. Target maps are "
        "prepared beforehand, as in training. Made by `python benchmarks/losses.py`.",
        "",
        f"{machine()}.",
    ]
    for device, shape in dict.fromkeys((row.device, row.shape) for row in rows):
        own = [row for row in rows if (row.device, row.shape) == (device, shape)]
        lines += ["", f"## {device}, logits {shape}", ""]
        lines += ["| loss | time | memory | the same loss elsewhere |", "| --- | ---: | ---: | --- |"]
        ours = [row for row in own if row.library == "sweeper"]
        for row in sorted(ours, key=lambda row: (row.time_ratio != row.time_ratio, row.time_ratio)):
            others = [beside(other) for other in own if other.loss == row.loss and other is not row]
            shown = [number(row.time_ratio), number(row.memory_ratio)] if not row.note else ["–", "–"]
            lines.append(f"| {row.loss} | {shown[0]} | {shown[1]} | {'; '.join(others) or row.note} |")
    (folder / "losses.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def beside(other: Row) -> str:
    ratios = f"{number(other.time_ratio)} time, {number(other.memory_ratio)} memory"
    return f"{other.library} {other.note or ratios}"


def number(ratio: float) -> str:
    if ratio != ratio:
        return "–"
    return f"{ratio:.1f}×" if ratio < 100 else f"{ratio:.0f}×"


def machine() -> str:
    """Say what the numbers were taken on, without naming the machine."""
    words = f"Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} CPU cores"
    words += f", {torch.get_num_threads()} threads"
    return words + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "")


if __name__ == "__main__":
    main()
