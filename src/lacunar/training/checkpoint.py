"""Checkpoints of a descent: one safetensors file, replaced atomically, from which it goes on step-exactly."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from lacunar.core.errors import BadInput
from lacunar.core.weights import load_tensors, model_state, save_tensors


@dataclass
class Checkpoints:
    """Where checkpoints go and how often.

    Attributes:
        folder: one file per descent of a job, in the order in which they run.
        every_seconds: a checkpoint is written after the step that ends this long after the last one.
    """

    folder: Path
    every_seconds: float = 60.0
    _last: float = field(default_factory=time.monotonic, init=False, repr=False)

    def path(self, index: int) -> Path:
        """The file of the ``index``-th descent of the job."""
        return self.folder / f"descent-{index:03d}.safetensors"

    def due(self) -> bool:
        """Whether the time has come."""
        return time.monotonic() - self._last >= self.every_seconds

    def save(self, index: int, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """Write one checkpoint."""
        save_tensors(self.path(index), tensors, {"lacunar": json.dumps(meta, allow_nan=False)})
        self._last = time.monotonic()

    def load(self, index: int, identity: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The checkpoint of a descent, or None when there is none.

        Raises:
            BadInput: the checkpoint belongs to other data, settings or starting weights.
        """
        path = self.path(index)
        if not path.exists():
            return None
        tensors = load_tensors(path)
        meta = _meta(path)
        if meta.get("identity") != identity:
            raise BadInput(
                f"the checkpoint {str(path)!r} belongs to another run (other data, settings or starting weights); "
                "delete the folder or choose another one"
            )
        return tensors, meta

    def clear(self) -> None:
        """Remove the checkpoints of a finished job, those that a killed one had begun to write included."""
        for path in (*self.folder.glob("descent-*.safetensors"), *self.folder.glob(".descent-*.tmp")):
            path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def _meta(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, "pt") as handle:
            loaded = json.loads((handle.metadata() or {}).get("lacunar", "{}"))
    except (SafetensorError, ValueError) as error:
        raise BadInput(f"{str(path)!r} is not a checkpoint of lacunar ({error})") from error
    return loaded if isinstance(loaded, dict) else {}


def pack(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Everything a descent depends on, as flat tensors: weights, buffers, optimiser state, global generator."""
    out = {f"model/{name}": t for name, t in model_state(model).items()}
    for index, slots in optimizer.state_dict()["state"].items():
        out |= {f"optimizer/{index}/{slot}": t for slot, t in slots.items() if isinstance(t, Tensor)}
    out["rng/cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        out["rng/cuda"] = torch.cuda.get_rng_state()
    return out


@torch.no_grad()
def unpack(tensors: dict[str, Tensor], model: nn.Module, optimizer: Optimizer) -> None:
    """The inverse of :func:`pack`."""
    for name, value in model_state(model).items():
        value.copy_(tensors[f"model/{name}"])
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, slot = key.split("/", 2)
            slots.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    _match_layout(optimizer)
    torch.set_rng_state(tensors["rng/cpu"])
    if "rng/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng/cuda"])


def _match_layout(optimizer: Optimizer) -> None:
    # Fused kernels want the state in the memory layout of its weight; files keep only contiguous tensors.
    for weight, slots in optimizer.state.items():
        for slot, value in slots.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                slots[slot] = torch.empty_like(weight, dtype=value.dtype).copy_(value)
