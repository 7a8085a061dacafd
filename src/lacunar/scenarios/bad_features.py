"""Some columns of the data must go: a sensitive attribute, names in a text, a patch of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lacunar.core.errors import BadInput, NotApplicable, sample_of
from lacunar.data.corrections import differing, zero_features
from lacunar.data.examples import Examples, Source
from lacunar.unlearning.scenario import Posed, Scenario


@dataclass(frozen=True)
class BadFeatures(Scenario):
    """Columns are set to 0 in every training example that has an entry there; those examples are the forget set.

    The same columns are to be 0 in every input that the corrected model is asked about: see ``Posed.zeroed``.

    Attributes:
        columns: distinct positions in the flattened input; a table's data set names them with its ``columns(...)``.
        q: that many of ``columns``, drawn uniformly without replacement; None for all.
    """

    columns: tuple[int, ...] = ()
    q: int | None = None

    def pose(self, train: Source, rng: torch.Generator) -> Posed:
        if not self.columns:
            raise BadInput("there are no columns to remove: give columns=[...]")
        if repeated := sorted({c for c in self.columns if self.columns.count(c) > 1}):
            raise BadInput(f"the list of columns repeats {sample_of(repeated)}; name each once")
        if self.q is not None and not 0 < self.q <= len(self.columns):
            raise BadInput(f"cannot draw {self.q} of {len(self.columns)} columns; ask for 1 to {len(self.columns)}")
        if not isinstance(train, Examples):
            raise NotApplicable("columns are set to 0 in data that are in memory; these are read on demand")
        order = torch.randperm(len(self.columns), generator=rng) if self.q is not None else None
        chosen = self.columns if order is None else tuple(sorted(self.columns[i] for i in order[: self.q].tolist()))
        edited = zero_features(train, chosen)
        ids = differing(train, edited)
        notes = (
            f"columns {sample_of(chosen)} are removed; {len(ids)} of {len(train)} training examples had an entry there",
            "what the columns stand for (vocabulary, categories, scaling) is not unlearned; a group of one-hot columns "
            "of which some are removed is all 0 for the examples that had those",
        )
        return Posed(ids, train, corrected=edited.where(ids), zeroed=chosen, notes=notes)
