"""Attack success with and without the target class."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lacunar.auditing.trial import Trial
from lacunar.core.rng import generator_of
from lacunar.data.examples import Examples
from lacunar.evaluators.attacks.backdoor_success import BackdoorSuccess
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.scenarios.backdoor import Backdoor
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Outcome
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.evaluators import toy

PLAN = Backdoor(trigger_size=2, margin=0, target=0, rate=0.1, value=255)
JUDGE = BackdoorSuccess(trigger_size=2, margin=0, target=0, value=255)


def build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))


def blobs(n: int, first: int) -> Examples:
    """Four classes, each bright in another quarter of the image, none in the marked corner."""
    g = torch.Generator().manual_seed(first)
    y = torch.arange(n) % 4
    x = torch.randint(0, 60, (n, 1, 8, 8), generator=g, dtype=torch.uint8)
    for i, label in enumerate(y.tolist()):
        row, column = divmod(label, 2)
        x[i, 0, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3] += 120
    return Examples.of(x, y, ids=torch.arange(n) + first)


def trial(poisoned: bool) -> Trial:
    train, test = blobs(240, 0), blobs(200, 1000)
    posed = PLAN.pose(train, generator_of(0))
    recipe = Recipe(build, epochs=20, lr=0.1, batch_size=16, precision="float32")
    model = recipe.fit(posed.seen if poisoned else train, 0)
    problem = Problem.of(model, posed.seen, posed.forget_ids, recipe, device="cpu")
    return Trial(Outcome(problem, DoNothing(), model), test)


def said(judge: BackdoorSuccess, case: Trial) -> dict[str, float | None]:
    return toy.values(judge.measure([case]))


def test_a_poisoned_model_obeys_the_trigger_and_is_right_without_it():
    found = said(JUDGE, trial(True))
    assert found["attack_success"] > 90 and found["clean_accuracy"] > 95


def test_a_model_never_poisoned_has_no_floor_but_the_legacy_number_has():
    # Published numbers count images whose true class is the target: their floor is 1 / classes.
    case = trial(False)
    judge = BackdoorSuccess(trigger_size=2, margin=0, target=0, value=255, legacy=True)
    ours, legacy = said(JUDGE, case)["attack_success"], said(judge, case)["attack_success_legacy"]
    assert ours < 3
    assert 20 < legacy < 30 and legacy == pytest.approx(25 + 0.75 * ours, abs=3)


def test_by_hand():
    # The toy model's logits are its inputs, so a stamped image is classified by its brightest pixel row.
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return x[:, 0].mean(2) + 0 * self.unused

    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(50, 1, 4, 4, generator=g), torch.arange(50) % 4
    images = Examples.of(x, y)
    problem = problems.parted(Rows(), images, problems.renumbered(images), Recipe(Rows))
    judge = BackdoorSuccess(trigger_size=1, margin=0, value=3.0, target=3)
    found = judge.measure([Trial(Outcome(problem, DoNothing(), problem.model), images)])
    marked = x.clone()
    marked[:, 0, 3, 3] = 3.0
    turned = marked[:, 0].mean(2).argmax(1) == 3
    others = y != 3
    asr = found[0]
    assert asr.value == pytest.approx(100 * float(turned[others].double().mean()))
    assert asr.n == int(others.sum()) and asr.low < asr.value <= asr.high
    before = int((x[:, 0].mean(2).argmax(1) == 3)[others].sum())
    assert asr.note == f"{before} of {int(others.sum())} are classified so without the trigger"
    assert found[1].value == pytest.approx(100 * float((x[:, 0].mean(2).argmax(1) == y).double().mean()))


def test_what_cannot_be_measured_says_why():
    vectors = JUDGE.measure([toy.world()])
    assert vectors[0].value is None and "stamped on images" in vectors[0].note and vectors[1].value is not None
    case = trial(False)
    only = case.test.take((case.test.y == 0).nonzero().reshape(-1))
    found = JUDGE.measure([Trial(case.outcome, only)])
    assert found[0].value is None and "every test image is of the target class" in found[0].note
