"""A new head on old features."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from lacunar.auditing.trial import Trial
from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.data_set import DataSource, Splits
from lacunar.data.examples import Examples
from lacunar.evaluators.traces import linear_probe
from lacunar.evaluators.traces.linear_probe import LinearProbe
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Outcome
from tests import problems


@dataclass(frozen=True)
class Quadrants(DataSource):
    """Classes 3, 5, 7 and 9 by the signs of the first two of six values."""

    n: int = 200

    def load(self) -> Splits:
        def part(first: int) -> Examples:
            g = torch.Generator().manual_seed(first)
            x = torch.randn(self.n, 6, generator=g)
            return Examples.of(x, 3 + 2 * ((x[:, 0] > 0).long() * 2 + (x[:, 1] > 0)), ids=torch.arange(self.n) + first)

        return Splits(part(0), part(1000))


class Seeing(nn.Module):
    """Features are the inputs themselves, or nothing of the first two values."""

    def __init__(self, blind: bool) -> None:
        super().__init__()
        self.register_buffer("passes", torch.tensor([0.0, 0.0, 1, 1, 1, 1]) if blind else torch.ones(6))
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.drop(x * self.passes))


def trial(blind: bool = False) -> Trial:
    examples = Examples.of(torch.randn(12, 6, generator=torch.Generator().manual_seed(1)), torch.arange(12) % 3)
    problem = problems.parted(Seeing(blind), examples, problems.renumbered(examples), Recipe(lambda: Seeing(blind)))
    return Trial(Outcome(problem, DoNothing(), problem.model), examples)


def test_features_that_see_serve_and_features_that_do_not_give_chance():
    seeing, blind = (LinearProbe(Quadrants()).measure([trial(b)])[0] for b in (False, True))
    assert seeing.value > 85 and seeing.n == 200
    assert blind.value < 40
    assert seeing.low < seeing.value < seeing.high
    assert "160 training examples" in seeing.note and "the best of 3 on 40" in seeing.note


class Learning(nn.Module):
    """A body that ignores the first two values, but can learn to see them; its head is registered first."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.body = nn.Linear(16, 3), nn.Linear(6, 16)
        with torch.no_grad():
            self.body.weight[:, :2] = 0.0

    def forward(self, x):
        return self.head(torch.relu(self.body(x)))


def learning(mask: bool = False) -> Trial:
    examples = Examples.of(torch.randn(12, 6, generator=torch.Generator().manual_seed(1)), torch.arange(12) % 3)
    torch.manual_seed(0)
    model = Learning()
    live = {n: w != 0 for n, w in named.weights(model).items()} if mask else None
    problem = problems.parted(
        model, examples, problems.renumbered(examples), Recipe(Learning, batch_size=32), mask=live
    )
    return Trial(Outcome(problem, DoNothing(), model, live), examples)


def test_the_whole_net_learns_what_its_features_lack_unless_a_mask_forbids_it():
    case = learning()
    before = named.digest(case.outcome.model.state_dict())
    probe, full, masked = (
        LinearProbe(Quadrants(), mode=mode, rates=(0.1,)).measure([c])[0]
        for mode, c in (("linear_probe", case), ("full", case), ("full", learning(mask=True)))
    )
    assert (probe.name, full.name) == ("probe_accuracy", "transfer_accuracy")
    assert probe.value < 45 and full.value > 85 and masked.value < 45
    assert "160 training examples" in full.note and "the best of 1 on 40" in full.note
    assert named.digest(case.outcome.model.state_dict()) == before and case.outcome.model.head.out_features == 3


def test_the_best_rate_is_chosen_on_held_out_examples():
    found = LinearProbe(Quadrants(), mode="full", rates=(1e-6, 0.1), epochs=10).measure([learning()])[0]
    assert "learning rate 0.1, the best of 2" in found.note and found.value > 70


def test_the_head_is_the_layer_whose_output_is_the_logits():
    # The last layer to be registered is the body here: its input would see everything.
    case = learning()
    assert LinearProbe(Quadrants(), rates=(0.1,)).measure([case])[0].value < 45
    assert linear_probe._head_of(case) == "head"


def test_classes_and_few_examples():
    found = LinearProbe(Quadrants(), classes=(3, 9), per_class=10).measure([trial()])[0]
    assert "16 training examples" in found.note
    assert found.n < 130 and found.value > 70


def test_the_judged_model_is_left_as_it_is():
    case = trial()
    model = case.outcome.model.train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    LinearProbe(Quadrants(40), epochs=1).measure([case])
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert model.training and not model.head._forward_pre_hooks


def test_what_cannot_be_measured():
    found = LinearProbe().measure([trial()])[0]
    assert found.value is None and found.note == "no downstream data set is given"
    assert LinearProbe(mode="full").measure([trial()])[0].name == "transfer_accuracy"
    with pytest.raises(BadInput, match="no class 4"):
        LinearProbe(Quadrants(), classes=(3, 4)).measure([trial()])
    case = trial()
    conv = nn.Conv1d(1, 1, 1)
    with pytest.raises(NotApplicable, match="this net has none"):
        LinearProbe(Quadrants()).measure([case.seen_as(conv)])
    with pytest.raises(BadInput, match="one rate or more"):
        LinearProbe(rates=())
