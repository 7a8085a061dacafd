"""A curvature matrix of an objective: products, counted, and what a solver may ask for beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from lacunar.core.masks import Mask
from lacunar.core.named import Named
from lacunar.curvature.finite import finite
from lacunar.curvature.objective import Objective
from lacunar.curvature.solvers.woodbury import Rows
from lacunar.data.batches import Batch


@dataclass(eq=False)
class Matrix(ABC):
    """A symmetric matrix C as a function ``Named -> Named``, the same at every call: ``v -> m * C (m * v)``.

    m are the free weights. What is stored of it is made once, when it is first asked for.

    Attributes:
        made: how many products were made so far, whoever asked for them.
    """

    objective: Objective
    made: int = field(default=0, init=False)

    @abstractmethod
    def product(self, batch: Batch, direction: Named) -> Named:
        """The product with the share of one prepared batch; call inside ``objective.open()``."""

    @abstractmethod
    def diagonal_estimate(self) -> Named:
        """A non-negative estimate of the diagonal."""

    @abstractmethod
    def block(self) -> Tensor:
        """The block of the free weights, ``[s, s]`` float64, in the order of ``named.flat``."""

    @abstractmethod
    def factor(self) -> Rows:
        r"""R with :math:`C = R^\top R`."""

    def __call__(self, v: Mapping[str, Tensor]) -> Named:
        """C v; raises ``NotApplicable`` where it is not finite."""
        of = self.objective
        direction, totals = of.tangent(v), of.zeros()
        self.made += 1
        with of.open():
            for batch in of.batches():
                for name, part in self.product(batch, direction).items():
                    totals[name] += part
        return finite(of, of.result(totals))

    @property
    def free(self) -> Mask | None:
        """The weights whose block it is, None for all."""
        return self.objective.free

    @cached_property
    def diagonal(self) -> Named:
        """:meth:`diagonal_estimate`, kept."""
        return self.diagonal_estimate()

    @cached_property
    def dense(self) -> Tensor:
        """:meth:`block`, kept: for few weights."""
        return self.block()

    @cached_property
    def root(self) -> Rows:
        """:meth:`factor`, kept: for few rows."""
        return self.factor()
