"""Trials whose models output what a test says: the inputs are the logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lacunar.auditing.trial import Trial
from lacunar.data.examples import Examples
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Outcome
from tests import problems


class Shifted(nn.Module):
    """Returns its input, plus ``shift``."""

    def __init__(self, shift: float = 0.0):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.shift * torch.arange(x.shape[1])


def logits_for(y: Tensor, margin: float, classes: int = 3, noise: float = 0.0, seed: int = 0) -> Tensor:
    """Logits that prefer ``y`` by ``margin``."""
    g = torch.Generator().manual_seed(seed)
    return margin * nn.functional.one_hot(y, classes).float() + noise * torch.randn(len(y), classes, generator=g)


def trial(forget, retain, test, held_out=None, corrected=None, **more) -> Trial:
    """A trial from pairs (logits, labels); ids go on from part to part. ``corrected`` are labels of all forgotten."""
    parts, first = [], 0
    for pair in (forget, retain, test, held_out):
        if pair is None:
            parts.append(None)
            continue
        z, y = (torch.as_tensor(v) for v in pair)
        parts.append(Examples.of(z.float(), y, ids=torch.arange(first, first + len(y))))
        first += len(y)
    gone, stays, judged, held_out = parts
    right = None if corrected is None else gone.labelled(torch.as_tensor(corrected))
    model = Shifted()
    problem = problems.parted(model, stays, gone, Recipe(Shifted), corrected=right)
    return Trial(Outcome(problem, DoNothing(), model), judged, held_out, **more)


def world(n: int = 60, classes: int = 3, forget_margin: float = 2.0, **more) -> Trial:
    """Members with margin 2, others with margin 0, forgotten ones as asked."""

    def part(size, margin, seed):
        y = torch.arange(size) % classes
        return logits_for(y, margin, classes, 1.0, seed), y

    return trial(part(n, forget_margin, 1), part(4 * n, 2.0, 2), part(2 * n, 0.0, 3), part(4 * n, 0.0, 4), **more)


def values(measurements) -> dict[str, float | None]:
    return {m.name: m.value for m in measurements}


class Fixed(nn.Module):
    """Says class 1 for the first ``right`` inputs, which count up from 0, and class 0 for the others."""

    def __init__(self, right: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2))
        self.right = right

    def forward(self, x):
        sure = 3.0 * (x < self.right)
        return torch.cat([3.0 - sure, sure], 1) + self.bias


def judged(before: int, after: int, clean: list[int], n: int = 100) -> Trial:
    """A trial of ``n`` test rows of class 1: how many the model has right before and after, and clean ones have."""
    test = Examples.of(torch.arange(n)[:, None].float(), torch.ones(n, dtype=torch.int64), ids=range(1000, 1000 + n))
    train = Examples.of(torch.zeros(4, 1), [0, 1, 0, 1])
    problem = problems.parted(Fixed(before), train.where([0, 1]), train.where([2, 3]), Recipe(lambda: Fixed(0)))
    return Trial(Outcome(problem, DoNothing(), Fixed(after)), test, oracles=tuple(Fixed(c) for c in clean))
