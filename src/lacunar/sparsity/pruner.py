"""What a pruner is: a rule that says which weights live."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from lacunar.catalog.plugin import Plugin
from lacunar.core.masks import Mask
from lacunar.data.batches import Inputs
from lacunar.data.examples import Source
from lacunar.sparsity.amount import Counts
from lacunar.sparsity.scope import Scope
from lacunar.training.recipe import Recipe

Retraining: TypeAlias = Callable[[nn.Module, Mask], nn.Module]
"""``(pruned model, mask) -> model trained again under the mask``: rewinding is up to who supplies it."""


class Pruner(Plugin):
    """A rule for a mask. Implementations are frozen dataclasses, one file each in ``pruners/``.

    Every pruner holds a :class:`~lacunar.sparsity.scope.Scope`, in four of its fields:

    Attributes:
        sparsity: share of the weights in scope to prune, in [0, 1). Of d weights round(sparsity * d) go.
        scope, level, allow_empty: ``weights``, ``level`` and ``allow_empty`` of the scope.

    Class attributes:
        paper: where it comes from.
        scores: which model the rule looks at, "trained" or "initial": whether to train before or after.
        needs: what the verb must be given, keys of :data:`lacunar.catalog.needs.NEEDS`.
        iterative: whether the rule trains between rounds, without which it would be another rule.
    """

    kind: ClassVar[str] = "pruners"
    verb: ClassVar[str] = "mask"
    paper: ClassVar[str]
    scores: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    iterative: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Scope.of(self)

    @abstractmethod
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
        """The live weights; ``model`` is left as found.

        Args:
            model: what is to be pruned.
            examples: raw examples, for rules that look at data or at the shape of inputs.
            rng: the only source of randomness, for rules that draw.
            counts: exactly how many weights in scope stay live, in all or per tensor, instead of ``sparsity``.
            recipe: how inputs are prepared and which loss counts, for rules that look at gradients.
            within: live weights of a model that is pruned already; none outside comes back.
            retrain: trains a pruned model again, for rules that work in rounds.

        Raises:
            BadInput: counts that cannot be kept; see :meth:`Scope.live`.
            NotApplicable: nothing in scope, or something is missing that the rule looks at.
        """

    def counts(self, model: nn.Module, example: Inputs | None = None) -> Counts:
        """How many weights of a dense model stay live: in all or per tensor, by ``level``.

        Structured pruners count channels instead of weights, here and in :meth:`counts_of`.

        Args:
            example: prepared inputs, for structured pruners of nets that must be run to be followed; see
                :func:`~lacunar.sparsity.channels.channels_of`.
        """
        return Scope.of(self).counts(model)

    def counts_of(self, model: nn.Module, mask: Mapping[str, Tensor], example: Inputs | None = None) -> Counts:
        """``counts`` for a mask as large as ``mask``."""
        return Scope.of(self).counts_of(model, mask)

    def is_met(self, model: nn.Module, mask: Mapping[str, Tensor], example: Inputs | None = None) -> bool:
        """Whether ``mask`` is at least as sparse as this pruner's would be, by its own count."""
        kept, asked = self.counts_of(model, mask, example), self.counts(model, example)
        if isinstance(kept, int) and isinstance(asked, int):
            return kept <= asked
        assert not isinstance(kept, int) and not isinstance(asked, int)
        return all(kept[name] <= most for name, most in asked.items())
