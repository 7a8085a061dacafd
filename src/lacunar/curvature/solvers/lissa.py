"""LiSSA: an inverse-curvature product by stochastic fixed-point steps, for comparison with published results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.named import Named
from lacunar.core.rng import seed_of
from lacunar.curvature.matrix import Matrix
from lacunar.curvature.objective import Objective
from lacunar.curvature.solvers._vectors import check_damping
from lacunar.curvature.solvers.solution import Solution
from lacunar.data.batches import Batch


@dataclass(frozen=True)
class Lissa:
    r"""Richardson's iteration on one batch at a time: :math:`x \leftarrow x + \eta\,(b - (c H_B + \alpha I)\,x)`.

    It starts at :math:`\eta b` and diverges unless :math:`\eta` is below 2 over the largest eigenvalue; conjugate
    gradients need no step and far fewer products. The recursion as published,
    :math:`u \leftarrow b + (1-d)u - H_B u / s` with :math:`x = u/s`, is ``step=1/s`` at the damping d*s: it mixes the
    knobs that are apart here. Koh and Liang, Understanding Black-box Predictions, ICML 2017, arXiv:1703.04730; in the
    form of Warnecke et al., Machine Unlearning of Features and Labels, NDSS 2023, arXiv:2108.11577.

    Departures from the paper: the last partial batch is used, and a run that diverges or stops short of ``rtol`` is
    reported as not converged.

    Attributes:
        step: :math:`\eta > 0`.
        normalisation: "batch" takes the sum over a batch as it is (as published: the answer depends on the batch size),
            "data" scales it up to all examples, c = n/B.
        batch_size: B.
        max_iter: batch products; None for 100 passes over the data.
        patience: stop when the L1 norm of the change has not fallen for so many steps.
        repetitions: independent runs to average over.
        rtol: largest residual :math:`\|b - (\bar c H + \alpha I)x\| / \|b\|` of a result, :math:`\bar c` the mean of
            c times the share of a batch; one more product over all examples measures it.
        seed: of the order of the batches.

    Raises:
        BadInput: a step that is not > 0, or no repetition.
    """

    step: float
    normalisation: Literal["batch", "data"] = "batch"
    batch_size: int = 1024
    max_iter: int | None = None
    patience: int = 20
    repetitions: int = 1
    rtol: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.step > 0 or self.repetitions < 1:
            raise BadInput(f"step must be > 0 and repetitions >= 1, got {self.step} and {self.repetitions}")

    def solve(self, matrix: Matrix, b: Mapping[str, Tensor], damping: float) -> Solution:
        r"""The mean of the runs; ``iterations`` counts batch products.

        Args:
            matrix: H.
            damping: :math:`\alpha \ge 0`, in the units of the normalised curvature.

        Raises:
            BadInput: a negative damping.
        """
        check_damping(damping)
        of = matrix.objective
        right = of.result(of.tangent(b))
        total, made = named.scale(right, 0.0), 0
        for repetition in range(self.repetitions):
            with of.open():
                x, steps = self._run(matrix, right, damping, seed_of(self.seed, "lissa", repetition))
            total, made = named.add(total, x, 1.0 / self.repetitions), made + steps
        residual = self._residual(matrix, right, total, damping)
        return Solution(total, made, residual, residual <= self.rtol)

    def _residual(self, matrix: Matrix, right: Named, x: Named, damping: float) -> float:
        length, size = named.norm(x), named.norm(right)
        if not math.isfinite(length):
            return math.inf  # it diverged, and a product with it would say nothing about the matrix
        share = 1.0 if self.normalisation == "data" else 1.0 / matrix.objective.examples.steps(self.batch_size)
        unit = named.scale(x, 1.0 / length) if length else x
        there = named.add(named.scale(matrix(unit), share * length), x, damping)
        found = named.norm(named.add(right, there, -1.0)) / size if size else 0.0
        return found if math.isfinite(found) else math.inf

    def _run(self, matrix: Matrix, b: Named, damping: float, seed: int) -> tuple[Named, int]:
        of = matrix.objective
        x, best, since, made = named.scale(b, self.step), math.inf, 0, 0
        for batch in self._batches(of, seed):
            scale = len(of.examples) / len(batch) if self.normalisation == "data" else 1.0
            curved = of.result(matrix.product(batch, of.tangent(x)))
            there = named.add(named.scale(curved, scale), x, damping)
            change = named.scale(named.add(b, there, -1.0), self.step)
            x, made = named.add(x, change), made + 1
            moved = float(sum(t.abs().sum(dtype=torch.float64) for t in change.values()))
            best, since = (moved, 0) if moved < best else (best, since + 1)
            if since >= self.patience or moved == 0:
                break
        return x, made

    def _batches(self, objective: Objective, seed: int) -> Iterator[Batch]:
        per_pass = objective.examples.steps(self.batch_size)
        most = 100 * per_pass if self.max_iter is None else self.max_iter
        for batch in objective.examples.batches(self.batch_size, -(-most // per_pass), seed):
            if batch.step == most:
                return
            yield replace(batch, x=objective.prepared(batch.x))
