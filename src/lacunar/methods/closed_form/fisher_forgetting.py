"""Blur the weights that the retained examples do not need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.named import Named
from lacunar.core.rng import generator_of
from lacunar.curvature import fisher
from lacunar.curvature.objective import Objective
from lacunar.training import forward
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem

MOST_CLASSES = 200
FLOOR, WIPED = 1e-8, 1e-4


@dataclass(frozen=True)
class FisherForgetting(Method):
    r"""Add normal noise of variance :math:`\alpha \min(1/(F + 10^{-8}), c)`, F the Fisher diagonal on retained data.

    F is a mean over examples of squared gradients, in eval mode, over all labels weighted by the model's probabilities.
    Corrected rows count as retained data.
    On a well trained net most of F is below 1/c and the noise nearly uniform; a note tells the share of such weights.

    Attributes:
        alpha: scale of the variance; it does not carry over between the two kinds of F.
        power: standard deviation = variance above to this power; 0.5 as published.
        clamp, clamp_head: c of body and classifier.
        smooth: average the variance over dimension 1 of matrices and kernels.
        boost: factor on the variance of the classifier and of vectors (norms, biases).
        samples: labels drawn per example; None for all labels.
        reference: the published F, squared gradients of batch means, and for a class that disappears the published
            wipe: its classifier row and bias become noise of variance 1e-4 * boost. The wipe knows the label.

    An older public variant, variance :math:`\alpha / F` with the standard deviation cut at 1e-3, is ``alpha=1e-6,
    clamp=1, clamp_head=1, smooth=False, boost=1``.

    Departures from the paper: F is per example; the classifier is found by running the model, not by shapes; F and its
    average see live weights only; there is no label-aware step unless ``reference`` asks for it.
    """

    paper: ClassVar[str] = "Golatkar et al., Eternal Sunshine of the Spotless Net, CVPR 2020, arXiv:1911.04933"
    needs: ClassVar[frozenset[str]] = frozenset({"retain"})

    alpha: float = 3e-8
    power: float = 0.5
    clamp: float = 1e3
    clamp_head: float = 1e2
    smooth: bool = True
    boost: float = 10.0
    samples: int | None = None
    reference: bool = False

    def __post_init__(self) -> None:
        for name in ("alpha", "power", "clamp", "clamp_head", "boost"):
            if not getattr(self, name) > 0:
                raise BadInput(f"{name} must be > 0, got {getattr(self, name)}")

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        head = forward.head_of(model, problem.recipe.prepare(problem.edited.inputs_at(torch.tensor([0]))))
        spread = self.deviation(self.fisher(model, problem), head, problem)
        normal = generator_of(problem.seed, "noise")
        noise = {name: s * torch.randn(s.shape, generator=normal).to(s) for name, s in spread.items()}
        if self.reference and head is not None:
            for name, row in _rows_of_vanished(model, problem, head):
                fresh = torch.randn(noise[name][row].shape, generator=normal).to(noise[name])
                noise[name][row] = fresh * (WIPED * self.boost) ** 0.5 - named.weights(model)[name][row]
        return problem.move(model, noise)

    def fisher(self, model: nn.Module, problem: Problem) -> Named:
        """F, a mean over the retained and corrected examples, 0 on pruned weights."""
        objective = Objective.of(model, problem.edited, problem.recipe, problem.mask)
        if self.reference:
            return fisher.batch_gradient_squared(objective)
        if self.samples is None:
            _few_classes(objective)
            total = fisher.true(objective)
        else:
            total = fisher.monte_carlo(objective, samples=self.samples, seed=problem.seed)
        return named.scale(total, 1.0 / len(problem.edited))

    def deviation(self, diagonal: Named, head: str | None, problem: Problem) -> Named:
        """The standard deviation of the noise of each weight; of pruned weights it means nothing."""
        live = problem.mask or masks.full(diagonal, True)
        clamped, out = 0, {}
        for name, f in diagonal.items():
            in_head = head is not None and name.rpartition(".")[0] == head
            most = self.clamp_head if in_head else self.clamp
            inverse = 1.0 / (f + FLOOR)
            clamped += int((inverse[live[name]] >= most).sum())
            variance = self.alpha * inverse.clamp(max=most)
            if self.smooth and f.ndim > 1:
                variance = _live_mean(variance, live[name]).expand_as(f)
            out[name] = (variance * (self.boost if in_head or f.ndim == 1 else 1.0)).pow(self.power)
        share = clamped / max(masks.count(live), 1)
        problem.log.notes.append(f"{share:.0%} of the live weights have the largest variance allowed")
        return out


def _live_mean(variance: Tensor, live: Tensor) -> Tensor:
    return (variance * live).sum(1, keepdim=True) / live.sum(1, keepdim=True).clamp(min=1)


def _few_classes(objective: Objective) -> None:
    classes = objective.output[-1]
    if classes > MOST_CLASSES:
        raise NotApplicable(
            f"the Fisher over all {classes} labels takes as many backward passes; set samples=1 to draw labels instead"
        )


def _rows_of_vanished(model: nn.Module, problem: Problem, head: str) -> list[tuple[str, int]]:
    gone = sorted(set(problem.forget.class_counts()) - set(problem.edited.class_counts()))
    return [(name, c) for name in named.weights(model) if name.rpartition(".")[0] == head for c in gone]
