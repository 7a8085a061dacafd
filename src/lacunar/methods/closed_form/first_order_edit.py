"""Correct or delete rows by one gradient step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.curvature.edit_gradient import edit_gradient, full_gradient
from lacunar.curvature.objective import Objective
from lacunar.curvature.update_search import least, step_lengths
from lacunar.methods.closed_form._last_layer import on_head
from lacunar.methods.closed_form._sample import subset
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem


@dataclass(frozen=True)
class FirstOrderEdit(Method):
    r"""Move by :math:`-\tau G`, :math:`G = \sum_{\tilde Z} \nabla\ell - \sum_Z \nabla\ell` the gradient of the edit.

    Along the sharpest weight only :math:`\tau < 2 / \max_i H_{ii}` is safe: selecting the sharpest weights and moving
    all by one :math:`\tau` is unfavourable, use ``newton_edit`` there. Weights outside ``where`` stay bit-equal.

    Attributes:
        tau: step length in the scale of the sum, or "auto": the one of a grid, each 1.6 times the one before, with the
            least loss on the corrected training data (at most 2,000 rows of them).
        gradient: "edit" takes G, "full" the whole gradient on the edited data.
        head_only: update the last linear layer, on features that are computed once.

    Departures from the paper: the grid; published lengths were tuned by hand, 2e-5 to 1e-3.
    """

    paper: ClassVar[str] = "Warnecke et al., Machine Unlearning of Features and Labels, NDSS 2023, arXiv:2108.11577"
    needs: ClassVar[frozenset[str]] = frozenset({"forget"})

    tau: float | Literal["auto"] = "auto"
    gradient: Literal["edit", "full"] = "edit"
    head_only: bool = False

    def __post_init__(self) -> None:
        if self.tau != "auto" and not self.tau >= 0:
            raise BadInput(f'tau is a step length >= 0, or "auto", got {self.tau}')

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        if self.head_only:
            return on_head(replace(self, head_only=False), model, problem)
        few = Objective.of(model, subset(problem.edited, problem.seed), problem.recipe, problem.free)
        if self.gradient == "full":
            gradient = full_gradient(few.on(problem.edited))
        else:
            gradient = edit_gradient(few.on(problem.forget), problem.corrected)
        lengths = step_lengths(few, gradient) if self.tau == "auto" else [self.tau]
        tau, update = least(few, ((tau, named.scale(gradient, -tau)) for tau in lengths))
        problem.log.notes.append(f"one gradient step of length tau={tau:.3g}, {len(lengths)} tried")
        return problem.move(model, update)
