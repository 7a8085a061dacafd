"""What lacunar finds on this machine, for a bug report or a slow run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from lacunar.catalog.registry import find, names
from lacunar.core.errors import NotApplicable
from lacunar.machine.environment import environment
from lacunar.machine.memory import keep_memory

FEATURES = {
    "avx2": "_is_avx2_supported",
    "avx512": "_is_avx512_supported",
    "avx512_bf16": "_is_avx512_bf16_supported",
    "amx_tile": "_is_amx_tile_supported",
}


def examine(folder: Path) -> dict[str, Any]:
    """Versions, hardware, accelerators, allocator, data, and whether ``folder`` can be written, as JSON values.

    The allocator settings that entry points use are made here as well, to see whether they take.
    """
    found = environment()
    del found["command"]
    return {
        **found,
        "cpu_features": {name: _supported(check) for name, check in FEATURES.items()},
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "allocator": keep_memory(),
        "data": {
            "LACUNAR_DATA": os.environ.get("LACUNAR_DATA", "not set"),
            **{name: _there(name) for name in names("datasets")},
        },
        "writable": {str(folder): _writable(folder)},
    }


def _supported(check: str) -> bool | None:
    return bool(getattr(torch.cpu, check)()) if hasattr(torch.cpu, check) else None


def _there(name: str) -> str:
    try:
        splits = find("datasets", name).load()
    except NotApplicable as error:
        return str(error)
    return f"{len(splits.train)} training and {len(splits.test)} test examples"


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
