"""Correct or delete rows by one Newton step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput, Diverged
from lacunar.core.named import Named
from lacunar.curvature.edit_gradient import edit_gradient, full_gradient
from lacunar.curvature.newton import CURVATURES, GridSolver, NewtonSystem
from lacunar.curvature.objective import Objective
from lacunar.curvature.solvers.cg import Cg
from lacunar.curvature.solvers.cholesky import Cholesky
from lacunar.curvature.solvers.diagonal import Diagonal
from lacunar.curvature.solvers.multi_shift_cg import MultiShiftCg
from lacunar.curvature.solvers.one_by_one import OneByOne, Solver
from lacunar.curvature.solvers.solution import Solution
from lacunar.curvature.solvers.woodbury import Woodbury
from lacunar.curvature.update_search import least
from lacunar.methods.closed_form._last_layer import on_head
from lacunar.methods.closed_form._sample import subset
from lacunar.methods.closed_form._wrong_predictions import of_errors
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem

PRODUCTS = "curvature_products"
"""Under which name an outcome's facts hold how many products with the curvature were made."""


@dataclass(frozen=True)
class NewtonEdit(Method):
    r"""Move by :math:`-(C + (\lambda + n\mu) I)^{-1} G`, C the curvature on the edited data, G the edit's gradient.

    :math:`G = \sum_{\tilde Z} \nabla\ell - \sum_Z \nabla\ell` over corrected and forgotten rows; deletion is the edit
    to nothing. Weights outside ``where`` stay bit-equal. A product with C costs 2 to 3 gradient passes: compare with
    fine-tuning on the corrected data at as many passes; the note of the result counts them.

    Attributes:
        damping: :math:`\mu` per example, or "auto": of 1e-3, ..., 10 the one with the least loss on the corrected
            training data (at most 2,000 rows of them).
        gradient: "edit" takes G; "full" the whole gradient on the edited data, which also finishes the training.
        steps: Newton steps; from the second on the full gradient is taken.
        iterate: "edit" is the problem's edit. "errors" is for comparison with the published code only: each step takes,
            instead of the rows that were seen with wrong labels, rows of the whole edited training set that the model
            now predicts wrongly, its own argmax as their label before and the corrected label after. That is not the
            formula of the paper, and it corrects errors that no wrong label caused.
        errors: most rows of one such step, drawn by seed.
        curvature: "ggn" is positive semi-definite; "hessian" can be indefinite, which is refused.
        solver: "cg"; "cholesky" for at most 3,000 weights; "woodbury" for more weights than rows times logits, and few
            of these: :math:`C = R^\top R` with R stored, Gauss-Newton only; "diagonal" drops all but the diagonal of C
            (a control).
        rtol, max_iter: of the linear system: relative residual, products of "cg".
        head_only: update the last linear layer, on features that are computed once.

    Departures from the paper: Gauss-Newton and conjugate gradients instead of Hessian and LiSSA, which needs a
    hand-tuned scale and can diverge (see ``lissa_edit``); steps > 1 are Newton iterations on the edited data.
    """

    paper: ClassVar[str] = "Warnecke et al., Machine Unlearning of Features and Labels, NDSS 2023, arXiv:2108.11577"
    needs: ClassVar[frozenset[str]] = frozenset({"forget"})

    damping: float | Literal["auto"] = "auto"
    gradient: Literal["edit", "full"] = "edit"
    steps: int = 1
    curvature: Literal["ggn", "hessian"] = "ggn"
    solver: Literal["cg", "cholesky", "woodbury", "diagonal"] = "cg"
    rtol: float = 1e-3
    max_iter: int = 200
    head_only: bool = False
    iterate: Literal["edit", "errors"] = "edit"
    errors: int = 1000

    def __post_init__(self) -> None:
        if self.damping != "auto" and not self.damping >= 0:
            raise BadInput(f'damping is a number >= 0 per example, or "auto", got {self.damping}')
        if self.steps < 1:
            raise BadInput(f"steps must be at least 1, got {self.steps}")
        if self.errors < 1:
            raise BadInput(f"errors must be at least 1, got {self.errors}")
        if self.iterate == "errors" and self.gradient == "full":
            raise BadInput('iterate="errors" takes the gradient of an edit: leave gradient at "edit"')

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        if self.head_only:
            return on_head(replace(self, head_only=False), model, problem)
        for step in range(self.steps):
            now = problem if self.iterate == "edit" else of_errors(problem, model, self.errors, step)
            if not now.forget:
                problem.log.notes.append(f"newton step {step + 1}: no row is predicted wrongly, so none is edited")
                break
            objective = Objective.of(model, now.edited, now.recipe, now.free)
            gradient = self._gradient(objective, now, step)
            system = NewtonSystem(CURVATURES[self.curvature](objective))
            mu, solution = self._solution(system, now, gradient)
            problem.log.facts[PRODUCTS] = problem.log.facts.get(PRODUCTS, 0) + system.matrix.made
            problem.move(model, named.scale(solution.x, -1.0))
            problem.log.notes.append(
                f"newton step {step + 1}: damping {mu:g} per example, {self._cost(system)}, relative residual "
                f"{solution.residual:.1e}, length {named.norm(solution.x):.3g}"
            )
        return model

    def _gradient(self, objective: Objective, problem: Problem, step: int) -> Named:
        if self.gradient == "full" or (step and self.iterate == "edit"):
            gradient = full_gradient(objective)
        else:
            gradient = edit_gradient(objective.on(problem.forget), problem.corrected)
        if bad := named.not_finite(gradient):
            raise Diverged(f"the gradient of the edit is not finite in {', '.join(bad)}")
        return gradient

    def _solution(self, system: NewtonSystem, problem: Problem, gradient: Named) -> tuple[float, Solution]:
        solver, grid = self._solvers()
        if self.damping != "auto":
            return self.damping, _needed(system.solved(gradient, self.damping, solver))
        found = dict(system.grid(gradient, grid))
        few = system.matrix.objective.on(subset(problem.edited, problem.seed))
        mu, _ = least(few, ((mu, named.scale(solution.x, -1.0)) for mu, solution in found.items()))
        return mu, _needed(system.checked(gradient, mu, found[mu], solver, self.rtol))

    def _solvers(self) -> tuple[Solver, GridSolver]:
        solvers: dict[str, Solver] = {
            "cg": Cg(self.rtol, self.max_iter),
            "cholesky": Cholesky(),
            "woodbury": Woodbury(self.rtol),
            "diagonal": Diagonal(),
        }
        solver = solvers[self.solver]
        # All dampings of a semi-definite matrix cost the products of the smallest one.
        shared = self.solver == "cg" and self.curvature == "ggn"
        return solver, MultiShiftCg(self.rtol, self.max_iter) if shared else OneByOne(solver)

    def _cost(self, system: NewtonSystem) -> str:
        if self.solver == "cg":
            return f"{system.matrix.made} curvature products (2 to 3 gradient passes each)"
        if self.solver == "diagonal":
            return "one probe of the diagonal (1 gradient pass)"
        each = "1 gradient pass per logit" if self.curvature == "ggn" else "1 curvature product per weight"
        return f"a stored matrix ({each})"


def _needed(solution: Solution) -> Solution:
    solution.need()
    return solution
