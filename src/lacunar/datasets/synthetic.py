"""Data made from a seed: Gaussian classes, as vectors or as images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lacunar.core.errors import BadInput
from lacunar.core.rng import generator_of
from lacunar.data.data_set import DataSource, Splits
from lacunar.data.examples import Examples
from lacunar.datasets._splits import numbered, splits

GREY, CONTRAST = 128.0, 32.0
COARSE = 4


@dataclass(frozen=True)
class Synthetic(DataSource):
    r"""Class c is :math:`N(\mu_c, I)`, all centres :math:`\mu_c` at distance ``separation`` from each other.

    Two classes can be told apart with error :math:`\Phi(-\text{separation} / 2)` and no better. Vectors are float32.
    Images are uint8, 128 + 32 times the value, clipped; their centres are smooth.

    Attributes:
        n_train, n_test: examples, classes as equal in number as can be, in random order.
        classes: at most the number of features (at most 16 per channel for images).
        shape: (features,) or (channels, height, width).
        separation: distance of two centres in standard deviations of the noise.
        validation: share of the training set to hold out for the judge, stratified.
        seed: of everything.
        tuning: share of the training set to hold out for methods, stratified.
    """

    n_train: int = 1000
    n_test: int = 500
    classes: int = 4
    shape: tuple[int, ...] = (20,)
    separation: float = 4.0
    validation: float = 0.0
    seed: int = 0
    tuning: float = 0.0

    def __post_init__(self) -> None:
        if len(self.shape) not in (1, 3) or min(self.shape) < 1:
            raise BadInput(f"shape is (features,) or (channels, height, width), sizes >= 1, got {self.shape}")
        most = self._directions()
        if not 2 <= self.classes <= most:
            raise BadInput(f"inputs of shape {self.shape} have room for 2 to {most} classes, got {self.classes}")
        if not self.separation >= 0:
            raise BadInput(f"separation must be >= 0, got {self.separation}")
        if min(self.n_train, self.n_test) < self.classes:
            raise BadInput(f"n_train and n_test must be at least the number of classes, {self.classes}")

    def load(self) -> Splits:
        centres = self._centres()
        return splits(
            self._drawn("train", self.n_train, centres, 0),
            self._drawn("test", self.n_test, centres, self.n_train),
            n_train=None,
            n_test=None,
            validation=self.validation,
            tuning=self.tuning,
            seed=self.seed,
            normalize=((GREY / 255,), (CONTRAST / 255,)) if len(self.shape) == 3 else None,
        )

    def _directions(self) -> int:
        if len(self.shape) == 1:
            return self.shape[0]
        return self.shape[0] * min(COARSE, self.shape[1]) * min(COARSE, self.shape[2])

    def _centres(self) -> Tensor:
        draw = torch.randn(
            self.classes, *self._coarse(), generator=generator_of(self.seed, "centres"), dtype=torch.float64
        )
        if len(self.shape) == 3:
            draw = interpolate(draw, size=self.shape[1:], mode="bilinear", align_corners=True)
        orthonormal: Tensor = torch.linalg.qr(draw.flatten(1).T).Q.T.float()
        return orthonormal * (self.separation / math.sqrt(2))

    def _coarse(self) -> tuple[int, ...]:
        return self.shape[:1] + tuple(min(COARSE, side) for side in self.shape[1:])

    def _drawn(self, part: str, n: int, centres: Tensor, first_id: int) -> Examples:
        generator = generator_of(self.seed, part)
        y = (torch.arange(n) % self.classes)[torch.randperm(n, generator=generator)]
        x = centres[y] + torch.randn(n, centres.shape[1], generator=generator)
        if len(self.shape) == 3:
            x = (GREY + CONTRAST * x).round().clamp(0, 255).to(torch.uint8)
        return numbered(x.reshape(n, *self.shape), y, first_id)
