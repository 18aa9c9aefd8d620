"""Where a trial computes and in which precision, as plain words to record."""

from __future__ import annotations

import platform
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]


def pick_device(name: str | None = None) -> torch.device:
    """Return the device of that name, or by default the GPU when there is one, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def pick_precision(setting: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """Return the precision of the forward pass; `auto` is bf16 only where the device computes it natively.

    An explicit `bf16` is honored everywhere: elsewhere it is emulated, which is slow but right.
    """
    if setting != "auto":
        return setting
    return "bf16" if _native_bf16(device) else "fp32"


def describe(device: torch.device) -> str:
    """Return what to record, e.g. `cuda: NVIDIA H200` or `cpu: x86_64`."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return f"{device.type}: {platform.machine()}"


def _native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        if hasattr(torch.cpu, "get_capabilities"):
            found = torch.cpu.get_capabilities()
            return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
        # Before torch had a public question, this was the one way to ask.
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False
