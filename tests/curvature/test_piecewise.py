import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lacunar.curvature.objective import Objective
from lacunar.curvature.piecewise import piecewise_linear
from tests.curvature.nets import CURVED, NETS, PIECEWISE, net
from tests.oracles import curvature as oracle


def decided(model, examples, recipe, mask=None):
    objective = Objective.of(model, examples, recipe, mask)
    with objective.open():
        return piecewise_linear(objective)


def blocks(model, matrix):
    sizes = [p.numel() for p in model.parameters()]
    starts = torch.tensor([0, *sizes]).cumsum(0).tolist()
    return [matrix[a:b, a:b] for a, b in itertools.pairwise(starts)]


def worst(model, examples, recipe):
    """The largest relative difference of a within-tensor block of Hessian and Gauss-Newton matrix."""
    pairs = zip(
        blocks(model, oracle.dense_hessian(model, examples, recipe)),
        blocks(model, oracle.dense_ggn(model, examples, recipe)),
        strict=True,
    )
    return max(float((h - g).norm() / g.norm()) for h, g in pairs)


def test_the_table_is_complete():
    assert sorted(PIECEWISE + CURVED) == sorted(NETS)


@pytest.mark.parametrize("name", PIECEWISE)
def test_blocks_agree_where_the_walk_says_so(name):
    model, examples, recipe = net(name)
    assert decided(model, examples, recipe)
    assert worst(model, examples, recipe) < 1e-10


@pytest.mark.parametrize("name", CURVED)
def test_blocks_differ_where_it_does_not(name):
    model, examples, recipe = net(name)
    assert not decided(model, examples, recipe)
    assert worst(model, examples, recipe) > 1e-4


def test_the_whole_matrices_differ_even_in_piecewise_linear_nets():
    model, examples, recipe = net("mlp")
    h, g = oracle.dense_hessian(model, examples, recipe), oracle.dense_ggn(model, examples, recipe)
    assert float((h - g).norm() / g.norm()) > 1e-4


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.head = nn.Linear(5, 4), nn.Linear(5, 4), nn.Linear(5, 3)

    def forward(self, x):
        return self.head((self.q(x) @ self.k(x).transpose(1, 2) @ x).mean(1))


class Gate(nn.Module):
    """Two branches multiplied: linear in each weight of different layers, not when they share one."""

    def __init__(self, shared):
        super().__init__()
        self.below, self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 3), nn.Linear(5, 3)
        self.shared = shared

    def forward(self, x):
        return self.a(self.below(x) if self.shared else x) * self.b(self.below(x))


@pytest.mark.parametrize(("module", "answer"), [(Gate(True), False), (Gate(False), True)])
def test_products_of_activations(module, answer):
    _, examples, recipe = net("mlp")
    torch.manual_seed(0)
    model = module.double()
    assert decided(model, examples, recipe) is answer
    assert (worst(model, examples, recipe) < 1e-10) is answer


def test_attention_without_softmax_over_fixed_inputs_is_bilinear():
    _, examples, recipe = net("positions")
    torch.manual_seed(0)
    assert decided(Attention().double(), examples, recipe)


def test_only_selected_weights_count():
    model, examples, recipe = net("gelu")
    head = {name: torch.full(p.shape, name.startswith("4")) for name, p in model.named_parameters()}
    assert decided(model, examples, recipe, head)


@pytest.mark.parametrize("act", [F.leaky_relu, F.hardtanh, torch.abs, lambda x: F.max_pool1d(x[:, None], 2)[:, 0] / 3])
def test_other_rectifiers(act):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(5, 6), nn.LazyLinear(3)

        def forward(self, x):
            return self.two(act(self.one(x)))

    _, examples, recipe = net("mlp")
    model = Net().double()
    model(examples.x)
    model = model.double()
    assert decided(model, examples, recipe)
    assert worst(model, examples, recipe) < 1e-10


@pytest.mark.parametrize("act", [torch.tanh, torch.sigmoid, F.silu, lambda x: x / x.norm(dim=1, keepdim=True)])
def test_other_curves(act):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(5, 6), nn.Linear(6, 3)

        def forward(self, x):
            return self.two(act(self.one(x)))

    _, examples, recipe = net("mlp")
    assert not decided(Net().double(), examples, recipe)
