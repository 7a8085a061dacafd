"""Prune first, then unlearn."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import NotApplicable
from lacunar.core.masks import Mask
from lacunar.data.examples import Source
from lacunar.methods.fine_tuning.fine_tune import FineTune
from lacunar.pruners.global_magnitude import GlobalMagnitude
from lacunar.sparsity.prune_and_train import prune_trained
from lacunar.sparsity.pruner import Pruner
from lacunar.sparsity.scope import Scope
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem


@dataclass(frozen=True)
class PruneFirst(Method):
    r"""Make the model sparse, then run any method under the mask, from the sparse model :math:`m \odot \theta`.

    A problem whose mask is sparse enough already goes to the method as it is. ``Outcome.seconds`` holds all of it; the
    part that was no unlearning is ``facts["preparation_seconds"]`` (published run times leave it out).

    Attributes:
        method: what unlearns.
        pruner: what makes sparse.
        rewind: where weights go back to before the training under the mask: an epoch, "init", or "none" for the trained
            weights, tuned on. A rewind repeats the recipe's training with the problem's seed.
        finetune_epochs, finetune_lr: of rewind="none", at a constant rate, the rest as in the recipe; 0 for none.
        prune_on: the examples that pruning and training look at: "all", the forgotten ones among them, as published,
            or only the "retain" part and corrected rows, so that the mask owes less to the forgotten ones.
    """

    paper: ClassVar[str] = "Jia et al., Model Sparsity Can Simplify Machine Unlearning, NeurIPS 2023, arXiv:2304.04934"
    needs: ClassVar[frozenset[str]] = frozenset({"retain", "forget"})

    method: Method = field(default_factory=FineTune)
    pruner: Pruner = field(default_factory=GlobalMagnitude)
    rewind: int | str = "none"
    finetune_epochs: int = 10
    finetune_lr: float = 0.01
    prune_on: Literal["all", "retain"] = "all"

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        given = problem.mask or masks.full(named.weights(model), True)
        self.method.check(replace(problem, mask=given))
        if self.pruner.is_met(model, given, problem.example()):
            return problem.hand_to(self.method, model)
        if problem.where is not None and any(not bool(w.all()) for w in problem.where.values()):
            raise NotApplicable("prune_first sets weights to zero all over, so it cannot leave those outside where=")
        began = time.perf_counter()
        sparse, mask = prune_trained(
            model,
            problem.recipe,
            self._examples(problem),
            self.pruner,
            self.rewind,
            problem.seed,
            within=problem.mask,
            finetune=self._finetune(problem.recipe),
            watch=problem.watch,
            log=problem.log,
        )
        facts = {
            "preparation_seconds": time.perf_counter() - began,
            "density_before": self._densities(model, given),
            "density_after": self._densities(model, mask),
        }
        problem.ends(sparse, mask, facts=facts)
        return problem.hand_to(self.method, sparse, mask=mask)

    def _finetune(self, recipe: Recipe) -> Recipe | None:
        if self.finetune_epochs == 0:
            return None
        return replace(recipe, epochs=self.finetune_epochs, lr=self.finetune_lr, schedule="constant", warmup=0.0)

    def _examples(self, problem: Problem) -> Source:
        return problem.edited if self.prune_on == "retain" else problem.seen

    def _densities(self, model: nn.Module, mask: Mask) -> dict[str, float]:
        in_scope = {name: mask[name] for name in Scope.of(self.pruner).names(model)}
        return {"scope": masks.density(in_scope), "net": masks.density(mask)}
