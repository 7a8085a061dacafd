"""A coherent part of one class must go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Source
from lacunar.scenarios._draws import deletion, members
from lacunar.unlearning.scenario import Posed, Scenario


@dataclass(frozen=True)
class Subclass(Scenario):
    """One cluster of the examples of a class: harder than a random part of it, for nothing alike remains.

    Clusters are those of k-means on the flattened raw inputs. Where a data set has finer labels of its own (the hundred
    of CIFAR-100 under its twenty), give the ids of one of them to ``ids`` instead.

    Attributes:
        label: the class.
        parts: how many clusters.
        part: which of them goes, counted from 0 for the largest.
    """

    label: int = 0
    parts: int = 5
    part: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.part < self.parts or self.parts < 2:
            raise BadInput(f"part is one of 0 to parts - 1, and parts at least 2, got {self.part} of {self.parts}")

    def pose(self, train: Source, rng: torch.Generator) -> Posed:
        ids = members(train, self.label)
        x = train.inputs_at(train.positions(ids).to(train.y.device))
        if not isinstance(x, Tensor):
            raise NotApplicable("clusters are found by distances of inputs, and these are a dict; use part_of_class")
        flat = x.reshape(len(ids), -1).double().cpu().numpy()
        if len(np.unique(flat, axis=0)) < self.parts:
            raise BadInput(f"class {self.label} has fewer than {self.parts} different examples; ask for fewer parts")
        state = int(torch.randint(1 << 31, (), generator=rng))
        found = torch.as_tensor(KMeans(self.parts, n_init=4, random_state=state).fit_predict(flat)).long()
        sizes = torch.bincount(found, minlength=self.parts)
        chosen = torch.argsort(sizes, descending=True, stable=True)[self.part]
        listed = ", ".join(str(n) for n in sorted(sizes.tolist(), reverse=True))
        note = f"class {self.label} falls into {self.parts} clusters of {listed} examples; number {self.part} goes"
        return deletion(train, ids[found == chosen].sort().values, (note,))
