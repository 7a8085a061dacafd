"""The allocator's settings: what is done, when nothing is done, and that results stay bit-equal."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from lacunar.machine import memory

WORK = """
import json, resource, sys
import torch
from lacunar.machine import memory

torch.set_num_threads(1)
done = memory.keep_memory() if sys.argv[1] == "kept" else {"malloc": "as found"}
torch.manual_seed(0)
x, w = torch.randn(768, 3, 32, 32), torch.randn(16, 3, 3, 3, requires_grad=True)
faults = []
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.relu(torch.conv2d(x, w)).square().mean().backward()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(json.dumps({**done, "faults": min(faults), "sum": w.grad.double().sum().item()}))
"""


@pytest.fixture(autouse=True)
def untuned(monkeypatch):
    for name in (memory.SWITCH, *memory.TUNED_BY_USER):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def calls(monkeypatch):
    """Calls of mallopt are recorded instead of made."""
    made = []

    class Library:
        gnu_get_libc_version = None

        @staticmethod
        def mallopt(parameter, value):
            made.append((parameter, value))
            return 1

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: Library)
    return made


def test_says_what_it_did(calls):
    done = memory.keep_memory()
    assert done == {"malloc": "kept", "mmap_max": 0, "trim_threshold": 2**31 - 1, "top_pad": 64 << 20}
    assert calls == [(-4, 0), (-1, 2**31 - 1), (-2, 64 << 20)]


def test_can_be_switched_off(calls, monkeypatch):
    monkeypatch.setenv("LACUNAR_MALLOC", "0")
    assert memory.keep_memory() == {"malloc": "as found", "why": "LACUNAR_MALLOC=0"}
    assert calls == []


def test_leaves_an_allocator_that_the_user_tuned(calls, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "libjemalloc.so")
    assert memory.keep_memory() == {"malloc": "as found", "why": "LD_PRELOAD is set"}
    assert calls == []


def test_leaves_accelerators_alone(calls):
    assert memory.keep_memory("cuda") == {"malloc": "as found", "why": "the device is cuda"}
    assert calls == []


@pytest.mark.parametrize("library", [lambda name: object(), lambda name: ctypes_fails()])
def test_leaves_other_c_libraries_alone(library, monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", library)
    assert memory.keep_memory() == {"malloc": "as found", "why": "the C library is not glibc"}


def ctypes_fails():
    raise OSError("no such library")


def test_says_what_glibc_refused(calls, monkeypatch):
    library = memory.ctypes.CDLL(None)
    monkeypatch.setattr(library, "mallopt", staticmethod(lambda parameter, value: int(parameter != -2)))
    done = memory.keep_memory()
    assert (done["mmap_max"], done["top_pad"]) == (0, "refused")


@pytest.mark.skipif(not memory._has_glibc(), reason="the C library is not glibc")
def test_keeps_results_bit_equal_and_saves_page_faults():
    # glibc maps blocks beyond 32 MiB anew each time: the activations here have 44 MiB.
    outside = {name: value for name, value in os.environ.items() if name not in memory.TUNED_BY_USER}
    found, kept = (
        json.loads(
            subprocess.run([sys.executable, "-c", WORK, mode], env=outside, check=True, capture_output=True).stdout
        )
        for mode in ("found", "kept")
    )
    assert kept["malloc"] == "kept"
    assert kept["sum"] == found["sum"]
    assert kept["faults"] * 10 < found["faults"]
