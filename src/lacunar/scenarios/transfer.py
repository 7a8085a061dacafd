"""Classes of a source data set must go before its features are used on another one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.data_set import DataSource
from lacunar.data.examples import Source
from lacunar.scenarios._draws import deletion, members
from lacunar.unlearning.scenario import Posed, Scenario


@dataclass(frozen=True)
class Transfer(Scenario):
    """Whole classes of the source set are forgotten; ``linear_probe`` then judges what is left of use downstream.

    Whether a new head is trained on the features as they are, or the whole net, is that evaluator's ``mode``.

    Attributes:
        remove: the classes.
        count: without ``remove``, that many classes that are least like the downstream set: those whose mean has the
            lowest maximal cosine with any downstream class mean.
        downstream: the set that the features are for; needed for ``count`` only.

    Departures from the paper: how its classes were ranked is unknown. Means are of raw inputs about the source mean,
    not of features, since a scenario comes before any training.
    """

    remove: tuple[int, ...] = ()
    count: int = 0
    downstream: DataSource | None = None

    def pose(self, train: Source, rng: torch.Generator) -> Posed:
        if bool(self.remove) == bool(self.count):
            raise BadInput("say which classes go, either remove=[...] or count= of the least similar ones")
        classes = self.remove or self._least_similar(train)
        ids = torch.cat([members(train, label) for label in dict.fromkeys(classes)]).sort().values
        note = f"classes {', '.join(str(c) for c in classes)} of {len(train.class_counts())} go"
        return deletion(train, ids, (note,))

    def _least_similar(self, train: Source) -> tuple[int, ...]:
        if self.downstream is None:
            raise BadInput("count= ranks classes by a downstream set: give downstream=, or name the classes in remove=")
        labels, means = _class_means(train)
        if self.count >= len(labels):
            raise BadInput(f"cannot remove {self.count} of {len(labels)} classes: at least one must stay")
        _, others = _class_means(self.downstream.load().train)
        if means.shape[1] != others.shape[1]:
            raise BadInput(f"inputs have {means.shape[1]} values here and {others.shape[1]} in {self.downstream}")
        centre = means.mean(0)
        likeness = (normalize(means - centre) @ normalize(others - centre).T).max(1).values
        return tuple(sorted(labels[torch.argsort(likeness, stable=True)[: self.count]].tolist()))


def _class_means(source: Source) -> tuple[Tensor, Tensor]:
    labels, means = torch.unique(source.y.cpu()), []
    for label in labels:
        x = source.inputs_at((source.y == label).nonzero().reshape(-1))
        if not isinstance(x, Tensor):
            raise NotApplicable("classes are compared by mean inputs, and these are a dict; name them in remove=")
        mean = x.double().reshape(len(x), -1).mean(0).cpu()
        means.append(mean / 255 if x.dtype == torch.uint8 else mean)
    return labels, torch.stack(means)
