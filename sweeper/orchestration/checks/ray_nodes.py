"""Ray: whether it starts or answers, what it has, and whether every node sees the folder of runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sweeper.orchestration.checks.finding import Finding, ok, problem, unknown
from sweeper.orchestration.checks.storage import nearest

NODES_SECONDS = 12.0
"""How long all nodes may take to answer, of the time for Ray."""


def ask_ray(folder: Path, address: str | None, seconds: float) -> dict[str, Any]:
    """Run the probe and return what it saw; `error` alone where it saw nothing.

    Nothing is left behind: files, processes and Ray's own folder are gone when this returns.

    Args:
        folder: Of runs; where it cannot be written, nodes are asked to write elsewhere.
        address: Of a cluster; None starts a private Ray.
        seconds: How long Ray may take to start or answer, with all its nodes.
    """
    where = nearest(folder)
    with (
        tempfile.TemporaryDirectory(prefix=".sweeper-doctor-", dir=where if _can_write(where) else None) as shared,
        # Ray's sockets have short names at most, so this is not in the run folder.
        tempfile.TemporaryDirectory(prefix="sweeper-ray-", ignore_cleanup_errors=True) as temporary,
    ):
        os.chmod(shared, 0o777)  # workers of a cluster may be another user
        words = [shared, temporary, f"{NODES_SECONDS:g}", *([address] if address else [])]
        command = [sys.executable, "-m", "sweeper.orchestration.checks.ray_probe", *words]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            try:
                return read_answer(*process.communicate(timeout=seconds))
            except subprocess.TimeoutExpired:
                return {"error": f"no answer within {seconds:.0f} seconds"}
            finally:
                if process.poll() is None:  # Ray's own processes are of the probe's group, and end with it
                    os.killpg(process.pid, signal.SIGKILL)


def read_answer(out: str, err: str) -> dict[str, Any]:
    """Return what the probe printed last, or its last words as an error."""
    lines = out.strip().splitlines()
    try:
        found = json.loads(lines[-1])
        if isinstance(found, dict):
            return found
    except (ValueError, IndexError):
        pass
    words = err.strip().splitlines()
    return {"error": words[-1] if words else "it ended without a word"}


def judge(
    found: Mapping[str, Any], address: str | None, here: Mapping[str, str], torch_gpus: int | None
) -> Iterator[Finding]:
    """Judge what the probe saw.

    Args:
        address: Of the cluster; None for a private Ray.
        here: Versions on this machine, by package.
        torch_gpus: GPUs that torch sees on this machine; None where that is not known.
    """
    if "error" in found:
        yield _no_ray(str(found["error"]), address)
        yield unknown("nodes", "there is no Ray to ask")
        return
    nodes = found["nodes"]
    what = f"cluster at {address}" if address else f"started in {found['seconds']:.1f} s"
    count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    yield ok("Ray", f"{found['version']}, {what}: {count}, {found['cpus']:g} CPUs, {found['gpus']:g} GPUs")
    if address is None and torch_gpus is not None and torch_gpus != found["gpus"]:
        yield problem(
            "Ray and GPU",
            f"Ray sees {found['gpus']:g} GPUs here, torch {torch_gpus}",
            "look at CUDA_VISIBLE_DEVICES and at nvidia-smi",
        )
    yield _storage(nodes)
    if odd := sorted(set(_odd_versions(nodes, here))):
        yield problem("versions of nodes", "; ".join(odd), "install the same versions on every node, or use one image")


def _can_write(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _no_ray(error: str, address: str | None) -> Finding:
    if address is None:
        return problem(
            "Ray", f"could not be started on this machine: {error}", "free memory and ports, and see ulimit -a"
        )
    return problem("Ray", f"no cluster answers at {address}: {error}", "start it, or mend --address")


def _storage(nodes: list[Mapping[str, Any]]) -> Finding:
    wrong = []
    for node in nodes:
        where = node.get("host") or node["address"]
        if node.get("error"):
            wrong.append(f"{where} cannot write there ({node['error']})")
        elif not node.get("read_back"):
            wrong.append(f"what {where} writes is not seen here")
    if wrong:
        return problem(
            "nodes", "; ".join(wrong), "mount one shared folder under the same path everywhere and give it with --out"
        )
    if len(nodes) == 1:
        return ok("nodes", "the one there is writes into the folder of runs")
    return ok("nodes", f"all {len(nodes)} write into the folder of runs, and it is seen here")


def _odd_versions(nodes: list[Mapping[str, Any]], here: Mapping[str, str]) -> Iterator[str]:
    for node in nodes:
        for name, found in node.get("versions", {}).items():
            if name in here and found != here[name]:
                yield f"{node.get('host')} has {name} {found}, this machine {here[name]}"
