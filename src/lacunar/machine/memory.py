"""Keeping freed memory in the process, so that large temporary tensors do not fault their pages in again each step."""

from __future__ import annotations

import ctypes
import os

import torch

SWITCH = "LACUNAR_MALLOC"
TUNED_BY_USER = ("GLIBC_TUNABLES", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "LD_PRELOAD")
SETTINGS = {"mmap_max": (-4, 0), "trim_threshold": (-1, 2**31 - 1), "top_pad": (-2, 64 << 20)}
"""glibc's mallopt: no block of its own mapping, no return of free memory at the top, growth by 64 MiB at a time."""


def keep_memory(device: torch.device | str = "cpu") -> dict[str, str | int]:
    """Tell glibc to keep freed blocks, for the life of the process; costs some resident memory, changes no result.

    For entry points and worker processes, before the first large tensor; importing lacunar never does it. Nothing is
    done on accelerators, without glibc, when the environment already tunes or replaces the allocator, and when
    LACUNAR_MALLOC=0.

    Returns:
        What was done, for the record of the environment: ``{"malloc": "kept", "mmap_max": 0, ...}``, or
        ``{"malloc": "as found", "why": ...}``.
    """
    why = _why_not(torch.device(device))
    if why is not None:
        return {"malloc": "as found", "why": why}
    mallopt = ctypes.CDLL(None).mallopt
    made = {n: value if mallopt(parameter, value) == 1 else "refused" for n, (parameter, value) in SETTINGS.items()}
    return {"malloc": "kept", **made}


def _why_not(device: torch.device) -> str | None:
    if os.environ.get(SWITCH) == "0":
        return f"{SWITCH}=0"
    if device.type != "cpu":
        return f"the device is {device.type}"
    if own := next((name for name in TUNED_BY_USER if os.environ.get(name)), None):
        return f"{own} is set"
    return None if _has_glibc() else "the C library is not glibc"


def _has_glibc() -> bool:
    try:
        return hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
    except (OSError, TypeError):
        return False
