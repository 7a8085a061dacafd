"""Seconds and peak memory of a stretch of work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass
class Meter:
    """What was used; filled in when the block ends.

    Attributes:
        seconds: wall-clock time.
        cpu_seconds: processor time of this process, all threads.
        peak_bytes: highest memory in the block: of the device on CUDA, resident set of the process elsewhere; None
            where the system does not tell.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int | None = None


@contextmanager
def metered(device: torch.device) -> Iterator[Meter]:
    """Measure the block."""
    meter = Meter()
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            _RESET.write_text("5")  # resets the high-water mark of the resident set, where Linux allows it
    import_module("torch._dynamo")  # the first optimiser of a process imports it: seconds that no method has used
    began, cpu = time.perf_counter(), time.process_time()
    yield meter
    if cuda:
        torch.cuda.synchronize(device)
    meter.seconds, meter.cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    meter.peak_bytes = torch.cuda.max_memory_allocated(device) if cuda else _resident_peak()


def _resident_peak() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        line = next(row for row in _STATUS.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return None
