"""Edit only the weights along which the loss is sharpest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.importance.ggn_diagonal import GgnDiagonal
from lacunar.methods.closed_form.newton_edit import NewtonEdit
from lacunar.sparsity.amount import Share, total
from lacunar.sparsity.scope import Scope
from lacunar.sparsity.score import Score
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem

SHARPEST, ONE_STEP = GgnDiagonal(), NewtonEdit()


@dataclass(frozen=True)
class SharpnessSelect(Method):
    """Run ``edit`` on the floor(rho P) of P weights that have the largest diagonal curvature; no other moves.

    In piecewise linear nets the diagonals of Hessian and Gauss-Newton matrix are equal. Under softmax cross-entropy the
    score does not depend on labels: it cannot tell which labels were wrong. It can be made before any request by
    ``score.precompute``, and given as ``Problem(state=)``.

    Attributes:
        rho: share of the weights, in (0, 1].
        score: what ranks them; "forget_newton" is the predicted gain of each weight.
        edit: what is done on the selected weights; any method.
        order: "largest" as the abstract says; "smallest" and "random" are ablations.
        level: rank all weights together, or take the share of each tensor, rounded down: small ones may give none.
        last_layers: only the last so many layers; with ``rho=1`` the ablations "last layer" and, with None, "all".
        draw: number of the random mask under ``order="random"``, so that one seed can be judged under several.

    Departures from the paper: only its abstract was at hand, so this is the selection rule of the abstract; the share,
    the estimator (one Rademacher probe of the Gauss-Newton diagonal) and the default edit are ours.
    """

    paper: ClassVar[str] = "Malekmohammadi et al., Sharpness-Aware Parameter Selection, 2025, arXiv:2504.06398"
    needs: ClassVar[frozenset[str]] = frozenset({"forget"})

    rho: float = 0.05
    score: Score = SHARPEST
    edit: Method = ONE_STEP
    order: Literal["largest", "smallest", "random"] = "largest"
    level: Literal["global", "layer"] = "global"
    last_layers: int | None = None
    draw: int = 0

    def __post_init__(self) -> None:
        self._scope()
        if self.draw and self.order != "random":
            raise BadInput(
                f"draw={self.draw} numbers random masks, but order={self.order!r} selects one mask only: leave draw at "
                'its default or set order="random"'
            )

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        self.edit.check(problem)
        scope = self._scope()
        free = scope.candidates(model, problem.free)
        if total(scope.counts(model, problem.free)) == 0:
            part = f"{masks.count(free)} weights is not even one" + " of any layer" * (self.level == "layer")
            raise NotApplicable(f"rho={self.rho:g} of {part}; raise rho")
        scores = problem.scores(self.score, model)
        rng = generator_of(problem.seed, "select", self.draw)
        where = scope.chosen(model, scores, rng, problem.free)
        problem.log.notes.append(f"{masks.count(where)} of {named.count(where)} weights were selected to move")
        return problem.hand_to(self.edit, model, where=where)

    def _scope(self) -> Scope:
        return Scope("all", Share(self.rho), self.level, self.order, last_layers=self.last_layers)
