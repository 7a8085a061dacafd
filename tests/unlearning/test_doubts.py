import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe
from lacunar.unlearning.doubts import doubts
from lacunar.unlearning.problem import Problem

SEEN = Examples.of(torch.randn(20, 6, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3)


def net(*more, out=3):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, out), *more)


def test_an_ordinary_model_gives_rise_to_none():
    assert doubts(net(), Recipe(), SEEN, None) == []


def test_zeros_without_a_mask_are_noted_with_what_to_give():
    model = net()
    with torch.no_grad():
        model[0].weight[:4] = 0
    (note,) = doubts(model, Recipe(), SEEN, None)
    assert note.startswith("33 % of the weights are exactly 0, as in a pruned model, but no mask was given")
    assert note in Problem.of(model, SEEN, [0], device="cpu").notes
    mask = {name: p != 0 for name, p in named.weights(model).items()}
    assert doubts(model, Recipe(), SEEN, mask) == []


def test_biases_that_never_moved_are_no_pruning():
    model = net()
    nn.init.zeros_(model[0].bias)
    nn.init.zeros_(model[2].bias)
    assert doubts(model, Recipe(), SEEN, None) == []


@pytest.mark.parametrize(
    ("model", "loss", "note"),
    [
        (net(nn.Softmax(-1)), "cross_entropy", "those of a softmax (in [0, 1] and add up to 1), but they are taken as"),
        (
            net(nn.Sigmoid(), out=1),
            "binary_cross_entropy",
            "those of a sigmoid (in [0, 1]), but they are taken as logits",
        ),
        (net(nn.Sigmoid(), out=1), "squared_error", None),
        (net(nn.LogSoftmax(-1)), "cross_entropy", None),
        (net(out=1), "binary_cross_entropy", None),
    ],
)
def test_outputs_that_look_like_probabilities(model, loss, note):
    found = doubts(model, Recipe(loss=loss), SEEN, None)
    assert [note in text for text in found] == ([] if note is None else [True])


def test_a_model_that_says_the_same_of_everything_gives_rise_to_none():
    model = net(out=1)
    nn.init.zeros_(model[2].weight)
    nn.init.constant_(model[2].bias, 0.5)
    assert not any("sigmoid" in note for note in doubts(model, Recipe(loss="binary_cross_entropy"), SEEN, None))
