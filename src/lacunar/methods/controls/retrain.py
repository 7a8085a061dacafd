"""Exact unlearning, and the oracle of everything else: train again without the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from lacunar.core.errors import NotApplicable
from lacunar.core.rng import seed_of
from lacunar.methods.controls._fresh_weights import fresh_like
from lacunar.pruners.global_magnitude import GlobalMagnitude
from lacunar.sparsity.prune_and_train import train_pruned
from lacunar.sparsity.pruner import Pruner
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem

ONE_SHOT = GlobalMagnitude()


@dataclass(frozen=True)
class Retrain(Method):
    r"""Train from fresh weights on the retained examples: :math:`\theta_r = \arg\min L(\theta; D_r)`, by the recipe.

    Where rows were corrected instead of deleted, the corrected rows are trained on as well.

    A pruned model is retrained under its own mask. That mask was found with the forgotten data present, so this is the
    published same-sparsity oracle, not exact deletion of the topology; ``mask="fresh"`` is.

    Attributes:
        mask: "keep" the mask of the problem, or find a "fresh" one with as many live weights, from what stays alone.
        pruner, rewind: how the fresh mask is found, see
            :func:`~lacunar.sparsity.prune_and_train.train_pruned`; its counts
            are those of the problem's mask, whatever the pruner's ``sparsity``.
    """

    paper: ClassVar[str] = "the definition of exact unlearning; Cao and Yang, Towards Making Systems Forget, S&P 2015"
    needs: ClassVar[frozenset[str]] = frozenset({"retain", "retraining"})

    mask: Literal["keep", "fresh"] = "keep"
    pruner: Pruner = ONE_SHOT
    rewind: int | str = "init"

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        if self.mask == "fresh":
            return self._anew(model, problem)
        return problem.recipe.fit(
            problem.edited,
            seed_of(problem.seed, "retrain"),
            start=fresh_like(model, problem, "retrain"),
            mask=problem.mask,
            where=problem.where,
            watch=problem.watch,
            log=problem.log,
        )

    def _anew(self, model: nn.Module, problem: Problem) -> nn.Module:
        if problem.mask is None:
            raise NotApplicable('retrain with mask="fresh" needs a pruned model, and this one is dense')
        if problem.where is not None and any(not bool(w.all()) for w in problem.where.values()):
            raise NotApplicable('retrain with mask="fresh" prunes all over, so it cannot leave weights outside where=')
        seed, counts = seed_of(problem.seed, "retrain"), self.pruner.counts_of(model, problem.mask, problem.example())
        retrained, problem.log.mask = train_pruned(
            problem.recipe,
            problem.edited,
            self.pruner,
            self.rewind,
            seed,
            counts=counts,
            watch=problem.watch,
            log=problem.log,
        )
        return retrained
