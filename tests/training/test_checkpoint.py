from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.weights import save_tensors
from lacunar.training.checkpoint import Checkpoints, pack, unpack

TENSORS = {"a": torch.arange(3.0)}


def trained(optimizer, steps=3):
    """A small net with BatchNorm and the optimiser that has taken some steps with it."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    made = optimizer(net.parameters(), lr=0.1)
    for _ in range(steps):
        step(net, made)
    return net, made


def step(net, optimizer):
    optimizer.zero_grad()
    net(torch.rand(8, 4)).square().sum().backward()
    optimizer.step()


def sgd(weights, lr):
    return torch.optim.SGD(weights, lr=lr, momentum=0.9)


@pytest.mark.parametrize("optimizer", [sgd, torch.optim.Adam])
def test_going_on_from_what_was_packed_is_going_on(optimizer):
    net, made = trained(optimizer)
    packed = {name: t.clone() for name, t in pack(net, made).items()}
    step(net, made)
    after = named.digest(net.state_dict())
    again, other = trained(optimizer, steps=1)
    unpack(packed, again, other)
    step(again, other)
    assert named.digest(again.state_dict()) == after


def test_state_takes_the_layout_of_its_weight():
    net = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = sgd(net.parameters(), 0.1)
    net(torch.rand(1, 3, 4, 4)).sum().backward()
    optimizer.step()
    packed = {name: t.contiguous().clone() for name, t in pack(net, optimizer).items()}
    unpack(packed, net, optimizer)
    momentum = optimizer.state[net.weight]["momentum_buffer"]
    assert momentum.stride() == net.weight.stride() != packed["optimizer/0/momentum_buffer"].stride()


def test_a_checkpoint_comes_back_with_what_it_says(tmp_path):
    checkpoints = Checkpoints(tmp_path / "new")
    assert checkpoints.load(1, "job") is None
    checkpoints.save(1, TENSORS, {"identity": "job", "step": 7})
    tensors, meta = checkpoints.load(1, "job")
    assert torch.equal(tensors["a"], TENSORS["a"]) and meta == {"identity": "job", "step": 7}
    assert checkpoints.load(2, "job") is None
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["descent-001.safetensors"]


def test_a_checkpoint_of_another_job_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(0, TENSORS, {"identity": "job"})
    with pytest.raises(BadInput, match=r"belongs to another run .* delete the folder or choose another one"):
        checkpoints.load(0, "another")
    save_tensors(checkpoints.path(0), TENSORS, {"lacunar": "[1]"})
    with pytest.raises(BadInput, match="belongs to another run"):
        checkpoints.load(0, "job")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save_tensors(checkpoints.path(0), TENSORS, {"lacunar": "{"})
    with pytest.raises(BadInput, match=r"descent-000.safetensors' is not a checkpoint of lacunar \("):
        checkpoints.load(0, "job")
    checkpoints.path(0).write_bytes(b"half")
    with pytest.raises(BadInput, match=r"descent-000.safetensors"):
        checkpoints.load(0, "job")


def test_one_is_due_when_the_time_has_come_and_saving_begins_it_anew(tmp_path, monkeypatch):
    clock = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    checkpoints = Checkpoints(tmp_path, every_seconds=10.0)
    clock[0] += 9.0
    assert not checkpoints.due()
    clock[0] += 1.1
    assert checkpoints.due()
    checkpoints.save(0, TENSORS, {})
    assert not checkpoints.due()


def test_clearing_removes_its_own_files_and_the_folder_only_when_it_is_empty(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.clear()
    checkpoints.save(0, TENSORS, {})
    (checkpoints.folder / ".descent-001.safetensors.x.tmp").touch()
    (checkpoints.folder / "mine.txt").touch()
    checkpoints.clear()
    assert [p.name for p in checkpoints.folder.iterdir()] == ["mine.txt"]
    (checkpoints.folder / "mine.txt").unlink()
    checkpoints.clear()
    assert not checkpoints.folder.exists()
