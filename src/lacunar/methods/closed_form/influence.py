"""Undo the influence of the forgotten examples with one Newton-like step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.named import Named
from lacunar.core.rng import generator_of
from lacunar.curvature.gradient_rows import GradientRows
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import directional, weighted_sum
from lacunar.curvature.solvers.cg import Cg
from lacunar.curvature.solvers.solution import Solution
from lacunar.curvature.solvers.woodbury import FromRows, Woodbury
from lacunar.data.examples import Source
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem

RTOL = {"gram": 1e-4, "cg": 1e-6}


@dataclass(frozen=True)
class Influence(Method):
    r"""Move by :math:`\alpha H^{-1} v`, the predicted effect of leaving the forgotten examples out of training.

    :math:`v = \frac1N \sum_{D_f} \nabla\ell_i - \frac{N_f}{N N_r} \sum_{D_r} \nabla\ell_i` and
    :math:`H = \lambda I + \frac1M G^\top G`, G the gradients of M retained examples; all at :math:`\theta_o`, in eval
    mode. Where rows were corrected, :math:`D_c` beside :math:`D_r` makes :math:`N'` rows, G is of M of these, and
    :math:`v = \frac1N \sum_{D_f} \nabla\ell_i - (\frac1{N'} - \frac1N) \sum_{D_r} \nabla\ell_i - \frac1{N'} \sum_{D_c}
    \nabla\ell_i`: minus the sum over all rows of what the edit adds to their weight in the mean loss.

    Attributes:
        alpha: step length. It must be searched for each mode, since the two steps differ.
        samples: M; all retained examples if there are fewer.
        damping: :math:`\lambda > 0`.
        mode: "exact" solves the system; "reference" repeats the published recursion on the first M + 2 retained
            examples, whose result is v plus a multiple of the first example's gradient: nearly a gradient step.
        solve: "gram" by Woodbury on the M x M Gram matrix, "cg" by conjugate gradients without it.
        rtol: largest residual of the system relative to v; None for 1e-4 of "gram", 1e-6 of "cg".
        max_iter: most products of "cg"; about M are needed where the damping is small.

    Departures from the paper: the system is solved, on M examples drawn by seed, and its residual is checked; the form
    for corrected rows is ours.
    """

    paper: ClassVar[str] = (
        "Izzo et al., AISTATS 2021, arXiv:2002.10077; WoodFisher form of Jia et al., arXiv:2304.04934"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"retain", "forget"})

    alpha: float = 1.0
    samples: int = 1000
    damping: float = 1.0
    mode: Literal["exact", "reference"] = "exact"
    solve: Literal["gram", "cg"] = "gram"
    rtol: float | None = None
    max_iter: int = 200

    def __post_init__(self) -> None:
        if not self.damping > 0 or self.samples < 1:
            raise BadInput(f"damping must be > 0 and samples >= 1, got {self.damping} and {self.samples}")
        self._solver()

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        v = removal_gradient(model, problem)
        step = self.reference(model, problem, v) if self.mode == "reference" else self.exact(model, problem, v)
        return problem.move(model, named.scale(step, self.alpha))

    def exact(self, model: nn.Module, problem: Problem, v: Named) -> Named:
        """:math:`H^{-1} v` in the block of the weights that may move."""
        rows = GradientRows(Objective.of(model, self._drawn(problem), problem.recipe, problem.free))
        m, exact = len(rows), {name: t.double() for name, t in v.items()}
        solution = self._solver().solve(FromRows(rows), exact, m * self.damping)
        kept = "retained and corrected" if problem.corrected else "retained"
        problem.log.notes.append(f"influence from {m} {kept} examples{self._told(solution, m)}")
        return named.scale(solution.need(), m)

    def _solver(self) -> Woodbury | Cg:
        rtol = RTOL[self.solve] if self.rtol is None else self.rtol
        return Woodbury(rtol) if self.solve == "gram" else Cg(rtol, self.max_iter)

    def reference(self, model: nn.Module, problem: Problem, v: Named) -> Named:
        """The published recursion, from the inner products s with the first gradient and t with v alone."""
        data = problem.edited
        given = data.take(torch.arange(min(self.samples + 2, len(data))))
        objective = Objective.of(model, given, problem.recipe, problem.free)
        first = weighted_sum(objective.on(given.take(torch.tensor([0]))))
        s, t = directional(objective, first).tolist(), directional(objective, v).tolist()
        along, left = 0.0, 1.0
        for of_first, of_v in zip(s[1:], t[1:], strict=True):
            tau = left * of_first
            along -= (of_v + along * of_first) / (self.samples + tau) * left
            left -= tau / (self.samples + tau) * left
        return named.add(v, first, along)

    def _told(self, solution: Solution, m: int) -> str:
        whole = f", all there are of the {self.samples} asked for" if m < self.samples else ""
        work = f" after {solution.iterations} products" if self.solve == "cg" else ""
        return f"{whole}; relative residual {solution.residual:.1e}{work}"

    def _drawn(self, problem: Problem) -> Source:
        data = problem.edited
        if len(data) <= self.samples:
            return data
        return data.take(torch.randperm(len(data), generator=generator_of(problem.seed, "hessian"))[: self.samples])


def removal_gradient(model: nn.Module, problem: Problem) -> Named:
    """v, 0 on weights that may not move."""
    forget = Objective.of(model, problem.forget, problem.recipe, problem.free)
    before, after = len(problem.forget) + len(problem.retain), len(problem.edited)
    v = named.scale(weighted_sum(forget), 1.0 / before)
    if after < before and problem.retain:
        v = named.add(v, weighted_sum(forget.on(problem.retain)), -(before - after) / (before * after))
    if problem.corrected:
        v = named.add(v, weighted_sum(forget.on(problem.corrected)), -1.0 / after)
    return v
