import torch
import torch.nn.functional as F
from torch import nn

from lacunar.training.modes import training
from lacunar.training.settings import Descent
from tests.problems import BatchNormNet


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.1), nn.Linear(6, 3))


def loss(model, batch):
    return F.cross_entropy(model(batch.x), batch.y)


def test_frozen_layers_stay_frozen():
    model = net()
    with training(model, Descent(batchnorm="frozen")):
        assert not model[1].training and model[2].training
    assert model[1].training


def test_modes_and_layout_are_left_as_found():
    model = BatchNormNet()
    model.eval()
    model.drop.train()
    with training(model, Descent()):
        assert all(module.training for module in model.modules())
        assert model.first.weight.stride() == model.first.weight.clone(memory_format=torch.channels_last).stride()
    assert model.drop.training and not model.training and not model.first.training
    assert model.first.weight.is_contiguous()
