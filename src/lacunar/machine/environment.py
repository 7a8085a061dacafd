"""Where numbers were made: versions, hardware, commit. Every result carries it."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lacunar.machine.precision import resolve_precision

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "safetensors")


def versions() -> dict[str, str]:
    """Python, lacunar and the packages that numbers depend on."""
    return {"python": platform.python_version(), "lacunar": _version("lacunar")} | {p: _version(p) for p in PACKAGES}


def hardware(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Processor, cores, memory, threads in use, and the accelerator if ``device`` is one."""
    found: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": _memory(),
        "threads": torch.get_num_threads(),
        "device": torch.device(device).type,
        "precision_of_conv_nets": resolve_precision("auto", nn.Conv2d(1, 1, 1, device="meta"), torch.device(device)),
    }
    if torch.device(device).type == "cuda":
        found["accelerator"] = torch.cuda.get_device_name(device)
        found["cuda"] = torch.version.cuda
    return found


@cache
def commit() -> str | None:
    """The last commit that changed this package, "+" appended when its files differ from it; None outside git."""
    folder = Path(__file__).parents[1]
    last = _git(folder, "log", "-1", "--format=%H", "--", ".")
    return last and last + ("+" if _git(folder, "status", "--porcelain", "--", ".") else "")


def environment(device: torch.device | str = "cpu") -> dict[str, Any]:
    """All of the above and the command line, as JSON values."""
    program = Path(sys.argv[0]).name if sys.argv else ""
    command = shlex.join(["lacunar" if program == "__main__.py" else program, *sys.argv[1:]])
    return {"versions": versions(), "hardware": hardware(device), "commit": commit(), "command": command}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed program, own arguments
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
