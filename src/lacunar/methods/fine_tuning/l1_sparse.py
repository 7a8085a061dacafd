"""Fine-tune with an l1 penalty that fades: sparsity makes forgetting easier."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.data.batches import Batch
from lacunar.training.callbacks import Callback, Loop
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem

FADES: dict[str, Callable[[float], float]] = {
    "linear_down": lambda p: 1.0 - p,
    "linear_up": lambda p: p,
    "constant": lambda p: 1.0,
    "cosine": lambda p: 0.5 * (1.0 + math.cos(math.pi * p)),
}

LARGE = 10
"""How many times the median weight the penalty may take off each one before a note says so."""


@dataclass(frozen=True)
class L1Sparse(Method):
    r"""Fine-tune on the retained examples with an l1 penalty that fades to zero.

    Minimise :math:`L(\theta; D_r) + \gamma_t \|\theta\|_1`, by default with :math:`\gamma_t = \gamma (1 - t/T)`.

    Attributes:
        gamma: multiplies the *summed* absolute weights.
        fade: shape of :math:`\gamma_t` over the penalised share of the run: "linear_down" (published),
            "linear_up", "constant" or "cosine".
        solver: "subgradient" adds the sign to the gradient, as published, and makes no exact zeros; "proximal" soft
            thresholds after each step by :math:`\eta_t \gamma_t / (1 - \mu)`, the same total shrinkage with real zeros.
        finetune_share: trailing share of the run without a penalty, in [0, 1).
        penalize: "all" parameters, biases and norms included (published), or only "weights" (matrices, kernels).
        sticky_from: progress from which on zeros of matrices stay zero ("proximal" only); None never.
        per_epoch: keep the penalty constant within an epoch, as published code does.

    Departures from the paper: the penalty fades per step unless ``per_epoch``; the proximal solver is ours; a fade
    is one of four names, where published code takes any callable.
    """

    paper: ClassVar[str] = "Jia et al., Model Sparsity Can Simplify Machine Unlearning, NeurIPS 2023, arXiv:2304.04934"
    needs: ClassVar[frozenset[str]] = frozenset({"retain"})
    renamed: ClassVar[Mapping[str, str]] = {"schedule": "fade"}

    epochs: int = 10
    lr: float = 0.01
    gamma: float = 1e-4
    fade: Literal["linear_down", "linear_up", "constant", "cosine"] = "linear_down"
    solver: Literal["subgradient", "proximal"] = "subgradient"
    finetune_share: float = 0.0
    penalize: Literal["all", "weights"] = "all"
    sticky_from: float | None = 0.5
    per_epoch: bool = False
    batch_size: int = 256
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        if not 0 <= self.finetune_share < 1:
            raise BadInput(f"finetune_share is a share of the run in [0, 1), got {self.finetune_share}")
        if not (math.isfinite(self.gamma) and self.gamma >= 0):
            raise BadInput(f"gamma must be a finite number >= 0, got {self.gamma}")

    def penalty(self, progress: float, epoch: int) -> float:
        r""":math:`\gamma_t` at this progress; with ``per_epoch`` at the start of this epoch."""
        at = (epoch / self.epochs if self.per_epoch else progress) / (1 - self.finetune_share)
        return 0.0 if at >= 1 else self.gamma * FADES[self.fade](at)

    def shrinkage(self, steps: int) -> float:
        r"""How much the penalty takes off each weight over a run: :math:`\sum_t \eta \gamma_t / (1 - \mu)`."""
        total = sum(self.penalty(t / steps, t * self.epochs // steps) for t in range(steps))
        return self.lr * total / (1 - self.momentum)

    def penalised(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """The parameters under the penalty."""
        return {n: p for n, p in named.parameters(model).items() if self.penalize == "all" or p.ndim > 1}

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        def loss(model: nn.Module, batch: Batch) -> Tensor:
            weight = self.penalty(batch.progress, batch.epoch)
            if self.solver == "proximal" or weight == 0:
                return problem.loss(model, batch)
            l1 = torch.stack([p.abs().sum() for p in self.penalised(model).values()]).sum()
            return problem.loss(model, batch) + weight * l1

        self._check_scale(model, problem)
        threshold = (_SoftThreshold(self, problem.where),) if self.solver == "proximal" else ()
        problem.descend(model, problem.edited, loss, self, callbacks=threshold)
        self._report(model, problem)
        return model

    def _check_scale(self, model: nn.Module, problem: Problem) -> None:
        taken = self.shrinkage(self.epochs * problem.edited.steps(self.batch_size))
        usual = float(named.flat(named.weights(model)).abs().median())
        if taken > LARGE * usual:
            problem.log.notes.append(
                f"gamma={self.gamma:g} takes up to {taken:.2g} off each weight, whose median is {usual:.2g}: the "
                "penalty may erase the net, so look at its accuracy"
            )

    def _report(self, model: nn.Module, problem: Problem) -> None:
        weights = {n: w for n, w in named.weights(model).items() if w.ndim > 1}
        before = named.weights(problem.model)
        problem.log.facts["density"] = {
            n: {"before": _density(before[n]), "after": _density(w)} for n, w in weights.items()
        }
        total = max(named.count(weights), 1)
        zeros = sum(int((w == 0).sum()) for w in weights.values())
        near = sum(int((w.abs() < 1e-3).sum()) for w in weights.values())
        problem.log.notes.append(f"exact zeros {zeros / total:.4f}, |w| < 1e-3 {near / total:.4f} of matrix weights")
        if self.solver == "proximal":
            live = {n: w != 0 if w.ndim > 1 else torch.ones_like(w) > 0 for n, w in named.weights(model).items()}
            problem.log.mask = masks.both(live, problem.mask)


def _density(weight: Tensor) -> float:
    return float((weight != 0).double().mean())


class _SoftThreshold(Callback):
    def __init__(self, method: L1Sparse, where: masks.Mask | None) -> None:
        self.method = method
        # The loop restores what lies outside `where` in the tensors that it moves, and never looks at the others.
        self.held = {name for name, free in (where or {}).items() if not bool(free.any())}
        self.stuck: dict[str, Tensor] = {}

    @torch.no_grad()
    def on_step(self, loop: Loop) -> None:
        method = self.method
        tau = loop.lr * method.penalty(loop.progress, loop.epoch) / (1 - method.momentum)
        sticky = method.sticky_from is not None and loop.progress >= method.sticky_from
        for name, p in method.penalised(loop.model).items():
            if name in self.held:
                continue
            if tau > 0:
                # softshrink leaves -0.0 where a small weight was negative; adding 0.0 makes it the zero of a mask.
                p.copy_(torch.nn.functional.softshrink(p, tau) + 0.0)
            if sticky and p.ndim > 1:
                zero = p == 0
                self.stuck[name] = zero | self.stuck[name] if name in self.stuck else zero
                p.masked_fill_(self.stuck[name], 0.0)

    def state(self) -> dict[str, Tensor]:
        return dict(self.stuck)

    def restore(self, state: dict[str, Tensor]) -> None:
        self.stuck = dict(state)
