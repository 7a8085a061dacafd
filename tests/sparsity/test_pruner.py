from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.rng import generator_of
from lacunar.sparsity.pruner import Pruner
from lacunar.sparsity.scope import Scope


@dataclass(frozen=True)
class Lowest(Pruner):
    """A third party's pruner: the lowest weights go, negative ones first."""

    paper: ClassVar[str] = "none"
    scores: ClassVar[str] = "trained"

    sparsity: float = 0.5
    scope: str | tuple[str, ...] = ("*.weight",)
    level: str = "global"
    allow_empty: bool = True

    def mask(self, model, examples, rng, counts=None, *, recipe=None, within=None, retrain=None):
        return Scope.of(self).live(model, named.weights(model), counts, within)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2))


def pruned(pruner, **more):
    return pruner.mask(net(), None, generator_of(0), **more)


def test_counts_are_those_of_the_scope():
    assert Lowest(0.5).counts(net()) == Scope.of(Lowest(0.5)).counts(net())
    by_layer = Lowest(0.5, level="layer")
    live = {name: int(m.sum()) for name, m in pruned(by_layer).items()}
    assert by_layer.counts(net()) == {name: live[name] for name in ("0.weight", "1.weight")}


@pytest.mark.parametrize("level", ["global", "layer"])
def test_a_mask_meets_all_sparsities_up_to_its_own(level):
    mask = pruned(Lowest(0.5, level=level))
    assert all(Lowest(s, level=level).is_met(net(), mask) for s in (0.0, 0.3, 0.5))
    assert not Lowest(0.6, level=level).is_met(net(), mask)


def test_by_layer_every_layer_counts():
    mask = pruned(Lowest(0.5, level="layer"))
    mask["1.weight"] = torch.ones_like(mask["1.weight"])
    mask["0.weight"] = torch.zeros_like(mask["0.weight"])
    assert Lowest(0.5, level="global").is_met(net(), mask) and not Lowest(0.5, level="layer").is_met(net(), mask)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"sparsity": 1.0}, r"in \[0, 1\)"), ({"level": "row"}, "level"), ({"scope": "x"}, "scope")],
)
def test_settings_are_those_of_a_scope_and_checked_as_such(settings, sentence):
    with pytest.raises(BadInput, match=sentence):
        Lowest(**settings)
