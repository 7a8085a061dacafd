"""How much of the edited loss a Newton step along one weight alone would remove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.named import Named
from lacunar.curvature import ggn
from lacunar.curvature.edit_gradient import edit_gradient, penalty
from lacunar.curvature.objective import Objective
from lacunar.sparsity.score import Basis, Score


@dataclass(frozen=True)
class ForgetNewton(Score):
    r""":math:`G_i^2 / (C_{ii} + \lambda + n\mu)`, twice the predicted decrease of the loss after the edit.

    G is the gradient of the edit (see :mod:`lacunar.curvature.edit_gradient`), C the Gauss-Newton matrix of the n rows
    that stay, :math:`\lambda = n \cdot` weight decay of the recipe; all in sum scale.

    Attributes:
        damping: :math:`\mu \ge 0`, per example.
        probes: of the estimate of :math:`C_{ii}`.
    """

    paper: ClassVar[str] = (
        "after Warnecke et al., Machine Unlearning of Features and Labels, NDSS 2023, arXiv:2108.11577"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"examples", "forget"})

    damping: float = 0.1
    probes: int = 1

    def __post_init__(self) -> None:
        if not self.damping >= 0:
            raise BadInput(f"damping must be >= 0, got {self.damping}")

    def of(self, basis: Basis) -> Named:
        kept = basis.kept()
        forget = Objective.of(basis.model, basis.gone(), basis.recipe)
        gradient = edit_gradient(forget, basis.corrected)
        diagonal = ggn.diagonal(forget.on(kept), probes=self.probes, seed=basis.seed)
        floor = penalty(basis.recipe, len(kept)) + len(kept) * self.damping
        return named.apply(lambda g, c: g.square() / (c + floor).clamp(min=1e-30), gradient, diagonal)
