from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.machine.device import device


@pytest.mark.parametrize(("there", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_cuda_where_there_is_one(monkeypatch, there, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert device("auto") == torch.device(expected)


def test_a_named_device_is_that_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("cpu", "cuda", "cuda:1", "meta"):
        assert device(name) == torch.device(name)


@pytest.mark.parametrize(("name", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_gpu_that_is_not_there_is_refused(monkeypatch, name, count):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(BadInput, match=rf"there is no device '{name}': {count} CUDA devices are usable; use cpu"):
        device(name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cuda:-2"])
def test_an_unknown_device_is_refused_with_the_choices(name):
    with pytest.raises(BadInput, match=rf"the device '{name}' is unknown: choose auto, cpu, cuda or cuda:0"):
        device(name)
