"""Correct or delete rows by the published recursion, for comparison."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

import torch
from torch import nn

from lacunar.core import named
from lacunar.curvature import newton
from lacunar.curvature.solvers.lissa import Lissa
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem

POWER_STEPS, MARGIN = 10, 1.2


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
        data, recipe, free = problem.edited, problem.recipe, problem.free
        share = 1.0 if self.normalisation == "data" else 1.0 / data.steps(self.batch_size)
        system = newton.NewtonSystem(model, data, recipe, free, self.curvature)
        alpha = share * system.alpha(self.damping)
        step = 1.0 / (share * self._sharpest(system) + alpha) if self.step == "auto" else self.step
        how = {f.name: getattr(self, f.name) for f in fields(Lissa) if f.name not in ("step", "damping")}
        gradient = newton.edit_gradient(model, problem.forget, problem.corrected, recipe, free)
        solution = Lissa(step, alpha, **how).solve(model, data, recipe, gradient, free, problem.seed)
        problem.log.notes.append(
            f"{solution.iterations} batch products, relative residual {solution.residual:.1e}; effective step "
            f"{step:.3g}, damping {alpha / (share * len(data)):.3g} per example, share of the curvature {share:.3g}"
        )
        return problem.move(model, named.scale(solution.need(), -1.0))

    def _sharpest(self, system: newton.NewtonSystem) -> float:
        ones = {name: torch.ones_like(w) for name, w in named.weights(system.model).items()}
        times, v, found = system.operator, named.keep(ones, system.mask), 0.0
        for _ in range(POWER_STEPS):
            moved = times(v)
            found = named.norm(moved) / named.norm(v)
            if found == 0:
                return 0.0
            v = named.scale(moved, 1.0 / named.norm(moved))
        return MARGIN * found
