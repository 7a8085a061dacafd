import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lacunar.data.examples import Examples
from lacunar.data.pairing import pair
from lacunar.training.loop import descend
from lacunar.training.modes import BatchStatistics, training
from lacunar.training.recipe import Recipe
from lacunar.training.settings import Descent
from tests.problems import BatchNormNet

HOW = Descent(epochs=2, lr=0.05, batch_size=4, precision="float32")


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.1), nn.Linear(6, 3))


def loss(model, batch):
    return F.cross_entropy(model(batch.x), batch.y)


@pytest.mark.parametrize("n", [1, 5, 9, 12])
def test_nets_with_batchnorm_train_on_any_number_of_rows(tiny, n):
    some, model = tiny.take(torch.arange(n)), net()
    before = model[0].weight.detach().clone()
    descend(model, some, loss, HOW, seed=0)
    assert bool(torch.isfinite(model[0].weight).all()) and not torch.equal(model[0].weight, before)
    assert (model[1].running_mean.abs().sum() > 0) == (n > 1), "the statistics of one row are no statistics"


def test_streams_and_coupled_batches_of_one_row(tiny):
    both = pair(retain=tiny.take(torch.arange(8)), forget=tiny.take(torch.arange(8, 9)))
    descend(net(), both, lambda m, b: loss(m, b["retain"]) - 0.1 * loss(m, b["forget"]), HOW, seed=0)
    Recipe(net, epochs=1, batch_size=4).fit(tiny, 0, skip=tiny.ids[1:])


def test_layers_go_back_to_batch_statistics_after_a_batch_of_one():
    model = net().train()
    statistics = BatchStatistics(model)
    modes = []
    for smallest in (4, 1, 1, 3):
        statistics.suit(smallest)
        modes.append((model[1].training, model[2].training))
    assert modes == [(True, True), (False, True), (False, True), (True, True)]


def test_frozen_layers_stay_frozen():
    model = net()
    with training(model, Descent(batchnorm="frozen")):
        statistics = BatchStatistics(model)
        statistics.suit(1)
        statistics.suit(4)
        assert not model[1].training and model[2].training


def test_modes_and_layout_are_left_as_found():
    model = BatchNormNet()
    model.eval()
    model.drop.train()
    with training(model, Descent()):
        assert all(module.training for module in model.modules())
        assert model.first.weight.stride() == model.first.weight.clone(memory_format=torch.channels_last).stride()
    assert model.drop.training and not model.training and not model.first.training
    assert model.first.weight.is_contiguous()


def test_examples_of_one_row_in_an_image_net():
    one = Examples.of(torch.rand(1, 1, 8, 8), torch.tensor([1]))
    model = BatchNormNet()
    descend(model, one, loss, HOW, seed=0)
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
