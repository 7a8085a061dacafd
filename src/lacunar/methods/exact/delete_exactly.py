"""A model that was trained so that deletion is exact, as a row like any other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.core.rng import seed_of
from lacunar.exact_unlearners.certified_linear import CertifiedLinear
from lacunar.unlearning.exact import ExactUnlearner, put_into
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem

CERTIFIED = CertifiedLinear()
FAR = 0.01
PROBE, SMALLEST = 16, 1e-30


@dataclass(frozen=True)
class DeleteExactly(Method):
    r"""Fit an exact unlearner on all that training saw, then delete from it: :math:`\theta_u = A(D).delete(D_f)`.

    What this row means: the result owes nothing to the weights of the problem's model, only to its form. Deletion is
    exact, or certified, against a fit of the same unlearner without the examples, :math:`A(D_r)`. Retrained models of
    the recipe are such fits where the recipe says so (``train=certified_linear(l2=0.01)`` on the command line,
    :func:`lacunar.unlearning.exact.trained_by` in Python); otherwise an audit also sees what lies between two ways of
    training, and the original's distance to :math:`A(D)` is noted. A certificate covers the fit that is made here, not
    an original that was released before.

    The cost of the row holds the fit, which is made once per model and not per request; ``delete_seconds`` is what a
    request costs.

    Attributes:
        unlearner: what is fitted.
    """

    paper: ClassVar[str] = "Cao and Yang, Towards Making Systems Forget, S&P 2015; see the unlearner's own"
    needs: ClassVar[frozenset[str]] = frozenset({"retain", "forget"})

    unlearner: ExactUnlearner = CERTIFIED

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        self._check_whole(problem)
        start = time.perf_counter()
        fitted = self.unlearner.fit(problem.seen, problem.recipe, seed_of(problem.seed, "fit"))
        fit_seconds, start = time.perf_counter() - start, time.perf_counter()
        deleted = fitted.delete(problem.forget_ids)
        delete_seconds = time.perf_counter() - start
        far = self._distance(model, fitted.as_module(), problem)
        facts = {"fit_seconds": fit_seconds, "delete_seconds": delete_seconds, "original_distance": far}
        notes = [] if far <= FAR else [_far(far, self.unlearner)]
        return problem.ends(put_into(model, deleted.as_module(), self.unlearner), notes=notes, facts=facts)

    def _check_whole(self, problem: Problem) -> None:
        bound = problem.mask is not None or any(not bool(part.all()) for part in (problem.where or {}).values())
        if bound or problem.corrected is not None:
            raise NotApplicable(
                f"delete_exactly fits all weights of {self.unlearner.name()} and deletes rows: masks, where= and "
                "corrected rows are not for it"
            )

    def _distance(self, model: nn.Module, fit: nn.Module, problem: Problem) -> float:
        """How far the original is from the fit, relative; ``model`` becomes the fit."""
        before = {name: w.clone() for name, w in named.weights(model).items()}
        put_into(model, fit.to(problem.device), self.unlearner)
        few = problem.forget.take(torch.arange(min(PROBE, len(problem.forget))))
        mine, its = (problem.recipe.predict(one, few) for one in (model, fit))
        if mine.shape != its.shape or not torch.allclose(mine, its, rtol=1e-4, atol=1e-4):
            raise NotApplicable(
                f"with the weights of {self.unlearner.name()} this model computes something else: take one that is "
                "linear in its prepared inputs (logistic), or a method for any model"
            )
        now = named.weights(model)
        return named.norm(named.add(before, now, -1.0)) / max(named.norm(now), SMALLEST)


def _far(distance: float, unlearner: ExactUnlearner) -> str:
    return (
        f"the original is no fit of {unlearner.name()} with these settings (relative distance {distance:.2g}): what "
        "lies between this model and retrained ones of the recipe is also the way of training, not only forgetting"
    )
