"""Correct or delete rows by the published recursion, for comparison."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

from torch import nn

from lacunar.core import named
from lacunar.curvature.edit_gradient import edit_gradient
from lacunar.curvature.largest_eigenvalue import power_iteration
from lacunar.curvature.newton import CURVATURES, NewtonSystem
from lacunar.curvature.objective import Objective
from lacunar.curvature.solvers.lissa import Lissa
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem

MARGIN = 1.2
"""Power iteration comes from below."""


@dataclass(frozen=True)
class LissaEdit(Method):
    r"""Move by :math:`-x`, x from :math:`x \leftarrow x + \eta\,(G - (c H_B + \alpha I)\,x)` on one batch at a time.

    The published recursion with scale s, damping d and batches of B is ``step=1/s, damping=d*s/B`` with
    ``normalisation="batch"`` and ``curvature="hessian"``: there :math:`H_B` sums over one batch while G sums over all
    rows, so x is n/B times a Newton step. A step that is too long diverges and one that is too short stops early; both
    are errors here and not results. ``newton_edit`` solves the same system in far fewer products.

    Attributes:
        step: :math:`\eta`, or "auto": one over the largest eigenvalue, estimated by power iteration.
        damping: :math:`\mu` per example, so that :math:`\alpha = \bar c\,(n\mu + \lambda)`, :math:`\bar c` as below.
        normalisation: "data" scales a batch up to all n rows, :math:`\bar c = 1`; "batch" does not,
            :math:`\bar c = B/n`.
        curvature, batch_size, max_iter, patience, repetitions, rtol: see
            :class:`lacunar.curvature.solvers.lissa.Lissa`.

    Departures from the paper: "auto", "data" and the Gauss-Newton matrix are the defaults; a run that has not converged
    is refused; the last partial batch is used.
    """

    paper: ClassVar[str] = "Warnecke et al., Machine Unlearning of Features and Labels, NDSS 2023, arXiv:2108.11577"
    needs: ClassVar[frozenset[str]] = frozenset({"forget"})

    step: float | Literal["auto"] = "auto"
    damping: float = 1.0
    curvature: Literal["hessian", "ggn"] = "ggn"
    normalisation: Literal["batch", "data"] = "data"
    batch_size: int = 1024
    max_iter: int | None = 100
    patience: int = 20
    repetitions: int = 1
    rtol: float = 0.1

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        objective = Objective.of(model, problem.edited, problem.recipe, problem.free)
        share = 1.0 if self.normalisation == "data" else 1.0 / problem.edited.steps(self.batch_size)
        matrix = CURVATURES[self.curvature](objective)
        alpha = share * NewtonSystem(matrix).alpha(self.damping)
        step = 1.0 / (share * MARGIN * power_iteration(matrix) + alpha) if self.step == "auto" else self.step
        how = {f.name: getattr(self, f.name) for f in fields(Lissa) if f.name not in ("step", "seed")}
        gradient = edit_gradient(objective.on(problem.forget), problem.corrected)
        solution = Lissa(step, seed=problem.seed, **how).solve(matrix, gradient, alpha)
        each = alpha / (share * len(problem.edited))
        problem.log.notes.append(
            f"{solution.iterations} batch products, relative residual {solution.residual:.1e}; effective step "
            f"{step:.3g}, damping {each:.3g} per example, share of the curvature {share:.3g}"
        )
        return problem.move(model, named.scale(solution.need(), -1.0))
