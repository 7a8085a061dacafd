import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.training.limits import Limits
from lacunar.training.loop import descend
from lacunar.training.settings import Descent
from tests.problems import half_mask

HOW = Descent(epochs=3, lr=0.1, batch_size=5, weight_decay=0.1, precision="float32")


def mean_loss(model, batch):
    return F.cross_entropy(model(batch.x), batch.y)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


class LowRank(nn.Module):
    """A frozen linear map and a trained update of low rank, beside it."""

    def __init__(self, base):
        super().__init__()
        self.weight, self.bias = base.weight, base.bias
        self.down = nn.Parameter(torch.randn(2, base.in_features) * 0.1)
        self.up = nn.Parameter(torch.zeros(base.out_features, 2))

    def forward(self, x):
        return F.linear(x, self.weight + self.up @ self.down, self.bias)


def adapted(model):
    model[0] = LowRank(model[0])
    return model


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_added_weights_are_free_and_the_others_stay_within_their_limits(tiny, optimizer):
    mask, where = half_mask(net()), masks.full(named.weights(net()), False)
    where["2.weight"][0] = True
    model = net()
    named.write(model, masks.keep(named.weights(model), mask))
    model = adapted(model)
    before = named.weights(model)
    how = Descent(epochs=3, lr=0.1, batch_size=5, optimizer=optimizer, weight_decay=0.1, precision="float32")
    limits = Limits(mask=mask, where=where, factors={"2.weight": torch.full((3, 8), 0.5)})
    descend(model, tiny, mean_loss, how, seed=0, limits=limits)
    after = named.weights(model)
    assert set(after) - set(mask) == {"0.down", "0.up"}
    for name, live in mask.items():
        assert not bool(after[name][~live].any())
        assert torch.equal(after[name][~where[name]], before[name][~where[name]])
    for name in ("0.down", "0.up", "2.weight"):
        assert not torch.equal(after[name], before[name])


def test_a_mask_of_only_some_weights_prunes_only_them(tiny):
    mask = {"2.weight": half_mask(net())["2.weight"]}
    model, other = net(), net()
    descend(model, tiny, mean_loss, HOW, seed=0, limits=Limits(mask=mask))
    full = masks.full(named.weights(net()), True) | mask
    descend(other, tiny, mean_loss, HOW, seed=0, limits=Limits(mask=full))
    assert named.digest(named.weights(model)) == named.digest(named.weights(other))


@pytest.mark.parametrize("field", ["mask", "where", "factors"])
@pytest.mark.parametrize("part", [{"x": torch.ones(1).bool()}, {"2.bias": torch.ones(4).bool()}])
def test_limits_of_another_model_are_refused(field, part):
    with pytest.raises(BadInput, match=f"do not belong to the same model: they differ at '?{next(iter(part))}"):
        Limits(**{field: part}).on(net())


def test_what_a_turn_rests_is_put_back_when_the_turn_ends():
    model = net()
    bound = Limits().on(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    where = masks.full(named.weights(model), True) | {"2.bias": torch.zeros(3, dtype=torch.bool)}
    start = copy.deepcopy(model[2].bias.detach())
    bound.narrow(where)
    with torch.no_grad():
        model[2].bias.add_(1.0)
    bound.enforce(None, optimizer)
    assert torch.equal(model[2].bias, start)
    bound.narrow(None)
    with torch.no_grad():
        model[2].bias.add_(1.0)
    bound.enforce(None, optimizer)
    assert torch.equal(model[2].bias, start + 1.0)


def test_a_turn_of_another_model_or_of_nothing_is_refused():
    bound = Limits().on(net())
    with pytest.raises(BadInput, match="do not belong to the same model"):
        bound.narrow({"x": torch.ones(1).bool()})
    with pytest.raises(BadInput, match="no weight may move in this turn"):
        bound.narrow(masks.full(named.weights(net()), False))


def test_adam_does_not_count_the_steps_in_which_a_weight_rests():
    model = net()
    bound, optimizer = Limits().on(model), torch.optim.Adam(model.parameters(), lr=0.1)
    bound.narrow(masks.full(named.weights(model), True) | {"2.bias": torch.zeros(3, dtype=torch.bool)})
    for _ in range(2):
        model(torch.randn(5, 4)).sum().backward()
        bound.step(optimizer)
        bound.enforce(None, optimizer)
    assert float(optimizer.state[model[2].weight]["step"]) == 2.0
    assert not optimizer.state[model[2].bias]
