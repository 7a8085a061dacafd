from __future__ import annotations

import mmap
import time
from pathlib import Path

import pytest
import torch

from lacunar.machine.meter import Meter, metered

CPU = torch.device("cpu")


def test_nothing_is_known_before_the_block_ends():
    with metered(CPU) as meter:
        assert meter == Meter(0.0, 0.0, None)
    assert meter.seconds > 0


def test_waiting_takes_wall_clock_time_and_work_takes_the_processor(monkeypatch):
    clock = {"wall": 100.0, "processor": 5.0}
    monkeypatch.setattr(time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(time, "process_time", lambda: clock["processor"])
    with metered(CPU) as meter:
        clock["wall"] += 3.0
        clock["processor"] += 0.5
    assert (meter.seconds, meter.cpu_seconds) == (3.0, 0.5)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not tell the peak")
def test_the_peak_is_of_the_block_alone():
    size = 200 << 20
    # Pages of our own: the allocator may keep what it is given back.
    with metered(CPU) as large, mmap.mmap(-1, size) as pages:
        pages.write(b"x" * size)
    with metered(CPU) as small:
        pass
    assert large.peak_bytes is not None and small.peak_bytes is not None
    assert large.peak_bytes - small.peak_bytes > size // 2


def test_a_system_that_does_not_tell_gives_no_peak(monkeypatch):
    def refuse(*args, **more):
        raise PermissionError("not here")

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(Path, "write_text", refuse)
    with metered(CPU) as meter:
        pass
    assert meter.peak_bytes is None and meter.seconds > 0


def test_a_gpu_is_waited_for_and_asked_for_its_own_peak(monkeypatch):
    calls = []
    for name, answer in (("synchronize", None), ("reset_peak_memory_stats", None), ("max_memory_allocated", 4096)):
        monkeypatch.setattr(torch.cuda, name, lambda device, n=name, a=answer: calls.append(n) or a)
    with metered(torch.device("cuda", 0)) as meter:
        calls.append("block")
    assert calls == ["synchronize", "reset_peak_memory_stats", "block", "synchronize", "max_memory_allocated"]
    assert meter.peak_bytes == 4096
