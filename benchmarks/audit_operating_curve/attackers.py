"""Models that forgot nothing, or not what was asked, made to look as if they had: what a verdict must not pass.

Each takes the original, the problem, the oracles and the test examples; most need no oracle, only what an operator has.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from lacunar.catalog.registry import find
from lacunar.core.rng import generator_of
from lacunar.data.examples import Source
from lacunar.training import forward
from lacunar.training.loop import descend
from lacunar.training.settings import Descent
from lacunar.unlearning.problem import Problem

Attacker: TypeAlias = Callable[[nn.Module, Problem, Sequence[nn.Module], Source], nn.Module]


def mean_margin(model: nn.Module, problem: Problem) -> float:
    """The mean confidence margin on the forgotten examples."""
    z = problem.recipe.predict(model, problem.forget)
    return float(forward.margin(z, problem.forget.y.cpu()).mean())


def bias_shift(model: nn.Module, problem: Problem, oracles: Sequence[nn.Module], test: Source) -> nn.Module:
    """Lower the biases of the forgotten labels until the mean margin is that of the oracles."""
    fooled, target = copy.deepcopy(model), _target(problem, oracles)
    bias, classes = _head(fooled).bias, torch.unique(problem.forget.y)
    start, low, high = bias.detach().clone(), -60.0, 60.0
    for _ in range(50):
        middle = (low + high) / 2
        with torch.no_grad():
            bias.copy_(start)
            bias[classes] += middle
        low, high = (middle, high) if mean_margin(fooled, problem) < target else (low, middle)
    return fooled


def temperature(model: nn.Module, problem: Problem, oracles: Sequence[nn.Module], test: Source) -> nn.Module:
    """Divide all logits until the mean margin is nearest to that of the oracles; labels stay as they are."""
    target, head = _target(problem, oracles), _head(model)
    weight, bias = head.weight.detach().clone(), head.bias.detach().clone()
    best, fooled = float("inf"), copy.deepcopy(model)
    for scale in torch.linspace(0.05, 1.0, 39).tolist():
        trial = copy.deepcopy(model)
        with torch.no_grad():
            _head(trial).weight.copy_(scale * weight)
            _head(trial).bias.copy_(scale * bias)
        gap = abs(mean_margin(trial, problem) - target)
        best, fooled = min((best, fooled), (gap, trial), key=lambda pair: pair[0])
    return fooled


def stopped_ascent(model: nn.Module, problem: Problem, oracles: Sequence[nn.Module], test: Source) -> nn.Module:
    """Ascend the loss of the forgotten examples step by step, and stop at the oracles' mean margin."""
    fooled, target = copy.deepcopy(model), _target(problem, oracles)
    how = Descent(epochs=1, lr=0.005, batch_size=len(problem.forget), momentum=0.0, weight_decay=0.0)
    for step in range(200):
        if mean_margin(fooled, problem) <= target:
            break
        descend(fooled, problem.forget, lambda m, b: -problem.loss(m, b), how, seed=step, inputs=_prepared(problem))
    return fooled


def partial_relabelling(model: nn.Module, problem: Problem, oracles: Sequence[nn.Module], test: Source) -> nn.Module:
    """Give a share of the forgotten examples other labels and tune; the share is that nearest the oracles' mean."""
    target, best, fooled = _target(problem, oracles), float("inf"), model
    classes = int(problem.seen.y.max()) + 1
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        rng = generator_of(problem.seed, "relabel", share)
        chosen = torch.rand(len(problem.forget), generator=rng) < share
        y = problem.forget.y.clone()
        y[chosen] = (y[chosen] + torch.randint(1, classes, (int(chosen.sum()),), generator=rng)) % classes
        trial = copy.deepcopy(model)
        data = problem.retain + problem.forget.labelled(y)
        descend(trial, data, problem.loss, Descent(epochs=5, lr=0.02, batch_size=32), seed=0, inputs=_prepared(problem))
        gap = abs(mean_margin(trial, problem) - target)
        best, fooled = min((best, fooled), (gap, trial), key=lambda pair: pair[0])
    return fooled


def trained_on_the_test_set(
    model: nn.Module, problem: Problem, oracles: Sequence[nn.Module], test: Source
) -> nn.Module:
    """Retrain without the forgotten examples, but with those that utility is judged on."""
    extra = test.labelled(test.y)
    return problem.recipe.fit(problem.retain + extra, 77)


def taught_by_oracles(model: nn.Module, problem: Problem, oracles: Sequence[nn.Module], test: Source) -> nn.Module:
    """The strongest that we could think of: the original, tuned until it answers as the oracles it is judged by do.

    On forgotten and retained examples it learns the mean logits of the very oracles. It keeps the original's memory
    where these examples do not reach, but on them it is what retraining would be.
    """
    with torch.no_grad():
        taught = problem.seen
        wanted = torch.stack([problem.recipe.predict(o, taught) for o in oracles]).mean(0)
    place = {int(i): n for n, i in enumerate(taught.ids.tolist())}

    def loss(net: nn.Module, batch: object) -> Tensor:
        rows = torch.tensor([place[int(i)] for i in batch.ids])  # type: ignore[attr-defined]
        return (forward.logits(net, batch.x) - wanted[rows]).pow(2).mean()  # type: ignore[attr-defined]

    student = copy.deepcopy(model)
    how = Descent(epochs=30, lr=0.01, batch_size=32, weight_decay=0.0)
    descend(student, taught, loss, how, seed=0, inputs=_prepared(problem))
    return student


def by_method(line: str, **settings: object) -> Attacker:
    """A method of the catalog as one of these."""

    def run(model: nn.Module, problem: Problem, oracles: Sequence[nn.Module], test: Source) -> nn.Module:
        return find("methods", line, **settings)(problem).model

    return run


ATTACKERS: dict[str, Attacker] = {
    "bias shift": bias_shift,
    "temperature": temperature,
    "stopped ascent": stopped_ascent,
    "partial relabelling": partial_relabelling,
    "trained on the test set": trained_on_the_test_set,
    "taught by the oracles": taught_by_oracles,
}


def _target(problem: Problem, oracles: Sequence[nn.Module]) -> float:
    return sum(mean_margin(oracle, problem) for oracle in oracles) / len(oracles)


def _head(model: nn.Module) -> nn.Linear:
    return [module for module in model.modules() if isinstance(module, nn.Linear)][-1]


def _prepared(problem: Problem) -> Callable[[object], object]:
    return problem.recipe.for_training(problem.seed, False)
