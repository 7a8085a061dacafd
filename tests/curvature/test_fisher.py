import pytest
import torch

from lacunar.core import masks, named
from lacunar.curvature import fisher, ggn
from lacunar.curvature.objective import Objective
from tests.curvature.nets import NETS, net, some
from tests.curvature.test_per_example import relative
from tests.oracles import curvature as oracle


@pytest.mark.parametrize("name", ["mlp", "residual", "words"])
def test_true_fisher_weights_all_classes(name):
    model, examples, recipe = net(name)
    mask = some(model)
    expected = oracle.true_fisher(model, examples, recipe)
    assert relative(fisher.true(Objective.of(model, examples, recipe)), expected) < 1e-12
    assert relative(fisher.true(Objective.of(model, examples, recipe, mask)), masks.keep(expected, mask)) < 1e-12


@pytest.mark.parametrize("name", NETS)
def test_empirical_fisher_uses_the_given_labels(name):
    model, examples, recipe = net(name)
    assert (
        relative(fisher.empirical(Objective.of(model, examples, recipe)), oracle.squared_sum(model, examples, recipe))
        < 1e-12
    )


def test_sampled_fisher_is_the_sampled_diagonal():
    model, examples, recipe = net("mlp")
    a = fisher.monte_carlo(Objective.of(model, examples, recipe), samples=3, seed=2)
    b = ggn.sampled_diagonal(Objective.of(model, examples, recipe), samples=3, seed=2)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert relative(a, fisher.true(Objective.of(model, examples, recipe))) < 1.0


def test_a_sure_model_has_no_true_fisher():
    model, examples, recipe = net("mlp")
    with torch.no_grad():
        model[-1].bias.copy_(torch.tensor([200.0, 0.0, 0.0]))
    assert named.norm(fisher.true(Objective.of(model, examples, recipe))) < 1e-20
    assert named.norm(fisher.empirical(Objective.of(model, examples, recipe))) > 1.0
