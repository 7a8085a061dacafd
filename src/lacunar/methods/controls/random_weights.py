"""Control: throw the model away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from lacunar.methods.controls._fresh_weights import fresh_like
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem


@dataclass(frozen=True)
class RandomWeights(Method):
    r"""Return freshly initialised weights: everything is forgotten, the task included.

    A control: an audit that passes it does not look at utility.
    """

    paper: ClassVar[str] = "control"
    needs: ClassVar[frozenset[str]] = frozenset({"retraining"})

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        return fresh_like(model, problem, "random_weights")
