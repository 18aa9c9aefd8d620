"""A small program: joins or starts Ray, has every node write a file, reads each back, and prints what it saw as JSON.

Run apart from the doctor, who ends it when it takes too long: `python -m sweeper.orchestration.checks.ray_probe
FOLDER TEMPORARY SECONDS [ADDRESS]`. Nodes need nothing of sweeper: the task travels with the program.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any


def look(folder: str, number: int) -> dict[str, Any]:
    """On a node: write a file into `folder` and say where this is."""
    import platform
    import socket
    from importlib import metadata
    from pathlib import Path

    versions = {"python": platform.python_version()}
    for name in ("sweeper", "torch", "ray"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    error = None
    try:
        (Path(folder) / f"node-{number}").write_text(f"node {number}", encoding="utf-8")
    except OSError as raised:
        error = raised.strerror or str(raised)
    return {"host": socket.gethostname(), "versions": versions, "error": error}


def probe(folder: Path, temporary: Path, seconds: float, address: str | None) -> dict[str, Any]:
    """Return what was seen; `error` alone where Ray could not be had.

    Args:
        folder: Where nodes write; exists, and is removed by the caller.
        temporary: Where a private Ray keeps its files.
        seconds: How long nodes may take to answer.
        address: Of a cluster; None starts a private Ray.
    """
    from sweeper.orchestration.cluster import available_cores

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    began = time.monotonic()
    import ray
    import ray.util.scheduling_strategies as scheduling

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            ray.init(
                address="local",
                num_cpus=available_cores(),
                include_dashboard=False,
                _temp_dir=str(temporary),
                **quiet,
            )
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        return {"error": str(error).splitlines()[0] if str(error) else type(error).__name__}
    started = time.monotonic() - began
    try:
        alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        task = ray.remote(num_cpus=0, max_retries=0)(look)
        asked = [
            task.options(
                scheduling_strategy=scheduling.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(str(folder), number)
            for number, node in enumerate(alive)
        ]
        answered, _ = ray.wait(asked, num_returns=len(asked), timeout=seconds)
        nodes = []
        for number, (node, reference) in enumerate(zip(alive, asked, strict=True)):
            seen: dict[str, Any] = {"address": node["NodeManagerAddress"], "gpus": node["Resources"].get("GPU", 0.0)}
            if reference not in answered:
                nodes.append({**seen, "error": f"no answer within {seconds:g} seconds"})
                continue
            try:
                answer: dict[str, Any] = ray.get(reference)
                seen |= answer
            except ray.exceptions.RayError as error:
                seen["error"] = (str(error).splitlines() or [type(error).__name__])[0]
            if not seen.get("error"):
                seen["read_back"] = _read_back(folder, number)
            nodes.append(seen)
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return {
            "seconds": started,
            "version": ray.__version__,
            "cpus": resources.get("CPU", 0.0),
            "gpus": resources.get("GPU", 0.0),
            "nodes": nodes,
        }
    finally:
        ray.shutdown()


def _read_back(folder: Path, number: int) -> bool:
    try:
        return (folder / f"node-{number}").read_text(encoding="utf-8") == f"node {number}"
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    where = sys.argv[4] if len(sys.argv) > 4 else None
    print(json.dumps(probe(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), where)))
