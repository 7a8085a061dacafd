from __future__ import annotations

import pytest
import torch
from torch import nn

from lacunar.machine.precision import cpu_has_bfloat16, is_conv, resolve_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
CONV = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3)), nn.Flatten(), nn.Linear(2, 2))
LINEAR = nn.Sequential(nn.Linear(2, 2), nn.Conv1d(1, 1, 1))


def test_a_net_is_convolutional_when_any_layer_is_of_two_dimensions():
    assert is_conv(CONV) and not is_conv(LINEAR)


@pytest.mark.parametrize(
    ("model", "fast", "expected"), [(CONV, True, "bfloat16"), (CONV, False, "float32"), (LINEAR, True, "float32")]
)
def test_on_a_cpu_only_convolutions_on_fast_hardware_are_bfloat16(monkeypatch, model, fast, expected):
    monkeypatch.setattr("lacunar.machine.precision.cpu_has_bfloat16", lambda: fast)
    assert resolve_precision("auto", model, CPU) == expected
    assert resolve_precision("auto", model, torch.device("meta")) == "float32"


@pytest.mark.parametrize(("capability", "expected"), [((9, 0), "bfloat16"), ((8, 0), "bfloat16"), ((7, 5), "float32")])
def test_a_gpu_is_asked_what_it_can(monkeypatch, capability, expected):
    asked = []
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: asked.append(device) or capability)
    assert resolve_precision("auto", LINEAR, CUDA) == expected and asked == [CUDA]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_the_user_says_holds_on_any_device(monkeypatch, precision):
    monkeypatch.setattr("lacunar.machine.precision.cpu_has_bfloat16", lambda: pytest.fail("asked"))
    assert {resolve_precision(precision, m, d) for m in (CONV, LINEAR) for d in (CPU, CUDA)} == {precision}


def test_the_processor_says_yes_or_no():
    assert isinstance(cpu_has_bfloat16(), bool)
