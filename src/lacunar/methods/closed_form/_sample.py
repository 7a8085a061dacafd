"""A small part of the data, by seed: what step lengths and dampings are chosen on."""

from __future__ import annotations

import torch

from lacunar.core.rng import generator_of
from lacunar.data.examples import Source

MOST = 2000


def subset(data: Source, seed: int) -> Source:
    """At most 2,000 examples, drawn uniformly without replacement; all of them if there are no more."""
    if len(data) <= MOST:
        return data
    return data.take(torch.randperm(len(data), generator=generator_of(seed, "subset"))[:MOST])
