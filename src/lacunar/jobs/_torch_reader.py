"""A program, never imported: reads a torch checkpoint and writes its tensors as safetensors.

``lacunar convert`` runs it in a process of its own, since reading a pickle is reading a program: torch's weights_only
loader allows tensors and plain containers alone, and limits on memory, time and file size hold whatever gets past it.
It prints one line of JSON: {"tensors": n}, or {"refused": why}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

NESTS = ("state_dict", "model_state_dict", "model")


class Refused(Exception):
    """What was read is not what this program writes."""


def main(source: str, target: str, key: str) -> dict[str, Any]:
    """Read, find the tensors, write."""
    _limit(Path(source).stat().st_size)
    try:
        state = _tensors(torch.load(source, map_location="cpu", weights_only=True), key)
        save_file({name: t.detach().contiguous().clone() for name, t in state.items()}, target)
    except Refused as refusal:
        return {"refused": str(refusal)}
    except Exception as error:  # noqa: BLE001 - whatever a hostile file brings about is told as a refusal
        return {"refused": f"torch's weights_only loader refuses it ({type(error).__name__}: {str(error)[:160]})"}
    return {"tensors": len(state)}


def _limit(size: int) -> None:
    try:
        import resource
    except ImportError:  # no such limits on this system; the parent's time limit remains
        return
    seconds = 60 + size // (10 << 20)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * size + (1 << 20),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if (statm := Path("/proc/self/statm")).exists():
        now = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 6 * size + (1 << 30),) * 2)


def _tensors(loaded: Any, key: str) -> dict[str, Tensor]:
    nested = {key} if key else {name for name in NESTS if isinstance(loaded, Mapping) and name in loaded}
    if key and not (isinstance(loaded, Mapping) and key in loaded):
        raise Refused(f"it has no entry {key!r}; it has {_kinds(loaded)}")
    if isinstance(loaded, Mapping) and nested and not all(isinstance(v, Tensor) for v in loaded.values()):
        if len(nested) > 1:
            raise Refused(f"several entries may hold the weights, {', '.join(sorted(nested))}: say which with --key")
        return _tensors(loaded[nested.pop()], "")
    if not isinstance(loaded, Mapping) or not loaded or not all(isinstance(n, str) for n in loaded):
        raise Refused(f"it holds no weights by name, but {_kinds(loaded)}")
    if others := {name: value for name, value in loaded.items() if not isinstance(value, Tensor)}:
        raise Refused(f"among the weights is {_kinds(others)}: say with --key which entry holds tensors alone")
    return dict(loaded)


def _kinds(value: Any) -> str:
    if not isinstance(value, Mapping):
        return type(value).__name__
    return (
        ", ".join(f"{str(name)[:40]} ({type(entry).__name__})" for name, entry in list(value.items())[:5]) or "nothing"
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
