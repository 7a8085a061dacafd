"""Prune before training, without data, so that no layer is cut off."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.masks import Mask
from lacunar.core.named import Named
from lacunar.data.examples import Source
from lacunar.sparsity.amount import Counts
from lacunar.sparsity.pruner import Pruner, Retraining
from lacunar.sparsity.scope import Scope
from lacunar.training import forward
from lacunar.training.recipe import Recipe


@dataclass(frozen=True)
class Synflow(Pruner):
    r"""Keep the weights of largest synaptic flow :math:`|w \cdot \partial R / \partial w|`, in many small rounds.

    R is the sum of the outputs, for an input of ones, of the net whose parameters and running means are replaced by
    their absolute values. Round t of n keeps a share :math:`\rho^{t/n}` of the weights in scope, where
    :math:`\rho` is the density asked for, and scores again. No data are looked at but the shape of an input; the ones
    enter after normalisation.

    Attributes:
        rounds: n.
        others: as in ``Pruner``.

    Departures from the paper: float64 throughout, since products over many layers leave the range of float32.
    """

    paper: ClassVar[str] = "Tanaka et al., Pruning neural networks without any data, NeurIPS 2020, arXiv:2006.05467"
    scores: ClassVar[str] = "initial"
    needs: ClassVar[frozenset[str]] = frozenset({"examples"})

    sparsity: float = 0.95
    rounds: int = 100
    scope: str | tuple[str, ...] = "conv"
    level: str = "global"
    allow_empty: bool = True

    def __post_init__(self) -> None:
        Scope.of(self)
        if self.rounds < 1:
            raise BadInput(f"rounds must be at least 1, got {self.rounds}")

    def mask(
        self,
        model: nn.Module,
        examples: Source | None = None,
        rng: torch.Generator | None = None,
        counts: Counts | None = None,
        *,
        recipe: Recipe | None = None,
        within: Mapping[str, Tensor] | None = None,
        retrain: Retraining | None = None,
    ) -> Mask:
        scope, net = Scope.of(self), absolute(model)
        ones = _ones(net, examples)
        room, target = scope.room(model, within), scope.resolve(model, counts, within)
        live = masks.full(named.parameters(model), True) if within is None else dict(within)
        for t in range(1, self.rounds + 1):
            live = scope.live(net, flow(net, ones), _shrunk(room, target, t / self.rounds), live)
            named.write(net, masks.keep(named.weights(net), live))
        return live


def absolute(model: nn.Module) -> nn.Module:
    """A float64 copy in eval mode with the absolute values of all parameters and running means."""
    net = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        for name, value in [*net.named_parameters(), *net.named_buffers()]:
            if isinstance(value, nn.Parameter) or name.endswith("running_mean"):
                value.abs_()
    return net


def flow(net: nn.Module, ones: Tensor) -> Named:
    """The synaptic flow of every trainable weight of an :func:`absolute` net."""
    with torch.enable_grad():
        gradient = named.gradient(forward.logits(net, ones).sum(), net)
    return named.apply(lambda w, g: (w * g).abs(), named.weights(net), gradient)


def _ones(net: nn.Module, examples: Source | None) -> Tensor:
    assert examples is not None
    x = examples.inputs_at(torch.tensor([0]))
    if isinstance(x, dict):
        raise NotApplicable("synflow feeds the net an input of ones, which has no meaning for inputs by keyword")
    # uint8 are pixels, which become fractions before the net sees them; any other whole numbers are names of things.
    if not x.is_floating_point() and x.dtype != torch.uint8:
        raise NotApplicable(
            "synflow feeds the net an input of ones, which has no meaning for whole numbers such as tokens; "
            "take a pruner that looks at the weights alone, e.g. global_magnitude"
        )
    return torch.ones(x.shape, dtype=torch.float64, device=next(net.parameters()).device)


def _shrunk(room: dict[str, int], target: int | dict[str, int], share: float) -> int | dict[str, int]:
    if isinstance(target, int):
        return _between(sum(room.values()), target, share)
    return {name: _between(room[name], kept, share) for name, kept in target.items()}


def _between(start: int, target: int, share: float) -> int:
    return target if share >= 1 or start == 0 else max(target, round(start * (target / start) ** share))
