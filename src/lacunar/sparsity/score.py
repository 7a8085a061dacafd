"""What an importance score is: a number for every weight."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from lacunar.catalog.needs import NEEDS
from lacunar.catalog.plugin import Plugin
from lacunar.core import named
from lacunar.core.errors import LacunarError, NotApplicable, sample_of
from lacunar.core.named import Named
from lacunar.core.rng import generator_of
from lacunar.core.weights import model_state
from lacunar.data.examples import Source
from lacunar.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Basis:
    """What a score may look at.

    Attributes:
        examples: what the model is to keep: retained and corrected rows.
        forget: the rows that must go, as the model saw them.
        corrected: what takes their place; None means deletion.
        seed: of everything random.
        notes: filled by scores with what a reader of the mask should know.
    """

    model: nn.Module
    recipe: Recipe
    examples: Source | None
    forget: Source | None
    corrected: Source | None
    seed: int
    notes: list[str] = field(default_factory=list)

    def kept(self) -> Source:
        """``examples``, which the score has declared to need."""
        assert self.examples is not None
        return self.examples

    def gone(self) -> Source:
        """``forget``, which the score has declared to need."""
        assert self.forget is not None
        return self.forget


class Score(Plugin):
    """A way to rank weights; higher is more important. One frozen dataclass per file in ``importance/``.

    Class attributes:
        paper: where it comes from.
        needs: what it must be given, keys of :data:`lacunar.catalog.needs.NEEDS`.
    """

    kind: ClassVar[str] = "importance"
    verb: ClassVar[str] = "of"
    paper: ClassVar[str]
    needs: ClassVar[frozenset[str]]

    @abstractmethod
    def of(self, basis: Basis) -> Named:
        """The scores, keyed as the trainable weights; all that ``needs`` names is there."""

    def scores(
        self,
        model: nn.Module,
        examples: Source | None,
        recipe: Recipe,
        rng: torch.Generator,
        *,
        forget: Source | None = None,
        corrected: Source | None = None,
        notes: list[str] | None = None,
    ) -> Named:
        """The scores of all trainable weights.

        Args:
            examples, forget, corrected: see :class:`Basis`.
            notes: a list to which the score adds what a reader of the mask should know.

        Raises:
            NotApplicable: something that the score needs is missing.
            LacunarError: a score that is not finite, which no rank can be made of.
        """
        seed = int(torch.randint(0, 1 << 62, (), generator=rng))
        values = self.of(Basis(model, recipe, examples, forget, corrected, seed, [] if notes is None else notes))
        named.same_keys(named.parameters(model), values)
        if bad := named.not_finite(values):
            raise LacunarError(f"{self.name()} is not finite in {sample_of(bad)}; the model has diverged")
        return values

    def precompute(self, model: nn.Module, examples: Source, recipe: Recipe, seed: int = 0) -> dict[str, Tensor]:
        """The scores before any request: a state that goes to a file by ``save_tensors``, and to ``Problem(state=)``.

        ``Problem.scores`` takes them from there, as long as weights and buffers are the same. They are of all
        ``examples``, so that rows which a later request deletes or corrects have a part in them.

        Raises:
            NotApplicable: a score that looks at the forgotten examples.
        """
        if "forget" in self.needs:
            raise NotApplicable(f"{self.name()} needs {NEEDS['forget'].words}, which nobody knows before a request")
        values = self.scores(model, examples, recipe, generator_of(seed, "scores", self.name()))
        return {self._key(): _fingerprint(model), **{self._key(name): t.cpu() for name, t in values.items()}}

    def precomputed(self, state: Mapping[str, Tensor], model: nn.Module) -> tuple[Named | None, str]:
        """The scores that a state of :meth:`precompute` holds for these weights, or None; and a note for the reader.

        The note is empty when the state has none of this score.
        """
        if self._key() not in state:
            return None, ""
        keys = {name: self._key(name) for name in named.parameters(model)}
        same = torch.equal(state[self._key()].cpu(), _fingerprint(model))
        if not same or not state.keys() >= set(keys.values()):
            return None, f"the {self.line()} scores of the state are of other weights: they were made anew"
        found = {name: state[key] for name, key in keys.items()}
        return found, f"{self.line()} scores were made before the request, on data with the forgotten rows"

    def _key(self, weight: str = "") -> str:
        return f"scores/{self.line()}/{weight}"


def _fingerprint(model: nn.Module) -> Tensor:
    return torch.tensor(list(bytes.fromhex(named.digest(model_state(model)))), dtype=torch.uint8)
