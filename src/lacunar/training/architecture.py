"""What a model architecture is: a value that builds fresh models."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from lacunar.catalog.plugin import Plugin
from lacunar.data.examples import Source


class Architecture(Plugin):
    """A model family with its settings; calling it returns a fresh model, so it serves as ``Recipe.build``.

    Implementations are frozen dataclasses with the fields ``inputs`` (shape of one input, channels first) and
    ``classes`` (number of logits), unless, as for text, neither depends on the data.
    """

    kind: ClassVar[str] = "models"

    @abstractmethod
    def build(self) -> nn.Module:
        """A fresh model, initialised from the global generators."""

    def __call__(self) -> nn.Module:
        return self.build()

    def shaped(self, examples: Source) -> Self:
        """The same architecture with ``inputs`` and ``classes`` taken from the data."""
        x = examples.inputs_at(torch.tensor([0]))
        known = {f.name for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        shape = tuple(x.shape[1:]) if isinstance(x, Tensor) else ()
        counts = examples.class_counts()
        found = {"inputs": shape, "classes": max(counts) + 1 if counts else 1}
        return dataclasses.replace(self, **{k: v for k, v in found.items() if k in known})  # type: ignore[type-var]
