"""How many weights are exactly zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.trial import Trial
from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.core.measurement import Measure, Measurement
from lacunar.sparsity.scope import Scope


@dataclass(frozen=True)
class Sparsity(PerTrial):
    """The share of weights that are exactly zero: where a pruner works, over the whole net, and per layer.

    Small weights are not zeros: a sub-gradient l1 penalty leaves many of them and no zero at all.

    Attributes:
        scope: as of a pruner: "conv", "conv+linear", or patterns of weight names.
    """

    paper: ClassVar[str] = "Jia et al., Model Sparsity Can Simplify Machine Unlearning, NeurIPS 2023, arXiv:2304.04934"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "one pass over the weights"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "sparsity": Measure(
            "zeros / weights in scope", "[0, 1]", "information", plain="Weights that are zero where pruning works"
        ),
        "sparsity_net": Measure(
            "zeros / trainable weights of the whole net",
            "[0, 1]",
            "information",
            plain="Weights that are zero in the whole model",
        ),
        "sparsity_layer": Measure(
            "zeros / weights of one tensor in scope",
            "[0, 1]",
            "information",
            plain="Weights that are zero in one layer",
        ),
    }

    scope: str | tuple[str, ...] = "conv"

    def __post_init__(self) -> None:
        Scope(self.scope)

    def one(self, trial: Trial) -> list[Measurement]:
        model = trial.outcome.model
        weights = named.weights(model)
        net = self._share("sparsity_net", weights)
        try:
            names = Scope(self.scope).names(model)
        except NotApplicable as why:
            return [self.says("sparsity", None, note=str(why)), net]
        layers = [self._share("sparsity_layer", {name: weights[name]}, name) for name in names]
        return [self._share("sparsity", {name: weights[name] for name in names}), net, *layers]

    def _share(self, name: str, weights: Mapping[str, Tensor], key: object = None) -> Measurement:
        zeros = sum(int((w == 0).sum()) for w in weights.values())
        return self.says(name, zeros / named.count(weights), key=key, n=named.count(weights))
