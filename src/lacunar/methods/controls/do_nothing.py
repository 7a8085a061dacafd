"""Control: leave the model as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem


@dataclass(frozen=True)
class DoNothing(Method):
    r"""Return the model unchanged: :math:`\theta_u = \theta_o`. A control that every audit must be able to fail."""

    paper: ClassVar[str] = "control"
    needs: ClassVar[frozenset[str]] = frozenset()

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        return model
