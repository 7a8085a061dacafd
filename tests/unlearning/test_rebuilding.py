import copy

import pytest
import torch
from torch import nn

from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem
from lacunar.unlearning.rebuilding import check_build

TRAINED = nn.Linear(3, 2)
ONE = nn.Linear(3, 2)


def wrapped():
    net = nn.Linear(3, 2)
    net.weight = TRAINED.weight
    return net


def zeros():
    net = nn.Linear(3, 2)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    return net


BAD = {
    "the model": (lambda: TRAINED, "returns the trained model itself"),
    "its weights": (wrapped, "returns the trained model itself"),
    "a copy": (lambda: copy.deepcopy(TRAINED), "returns the weights of the trained model, whatever the seed"),
    "one object": (lambda: ONE, "returns the same model each time"),
    "another width": (lambda: nn.Linear(3, 4), r"differs at bias, weight \(bias: \(4,\) for \(2,\), weight: \(4, 3\)"),
    "other layers": (lambda: nn.Linear(3, 2, bias=False), r"differs at bias \(bias: none for \(2,\)\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_fresh_model_of_this_kind_is_refused(case):
    build, sentence = BAD[case]
    with pytest.raises(BadInput, match=sentence):
        check_build(TRAINED, Recipe(build))
    train = Examples.of(torch.randn(4, 3), torch.arange(4) % 2)
    with pytest.raises(BadInput, match=sentence):
        Problem.of(TRAINED, train, [0], Recipe(build), device="cpu")


@pytest.mark.parametrize("build", [None, zeros, lambda: nn.Linear(3, 2)])
def test_fresh_models_pass_even_if_they_begin_at_zero(build):
    check_build(TRAINED, Recipe(build))
