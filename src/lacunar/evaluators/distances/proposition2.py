"""Why sparsity should help: the terms of the paper's Proposition 2, and the distance that they are to explain."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import nn

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.trial import Trial
from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.core.masks import Mask
from lacunar.core.measurement import Measure, Measurement
from lacunar.core.named import Named
from lacunar.core.rng import generator_of, numpy_generator, seed_of
from lacunar.curvature.hessian import Hessian
from lacunar.curvature.objective import Objective
from lacunar.data.examples import Source
from lacunar.training.recipe import Recipe
from lacunar.training.settings import Descent
from lacunar.unlearning.problem import Problem

DENSE = 30
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Proposition2(PerTrial):
    r"""Both sides of :math:`\|\theta_u - \theta_r\| = O(\eta^2 t \, \|m \odot (\theta_t - \theta_0)\| \, \sigma(m))`.

    :math:`\theta_t` is the original after t steps at learning rate :math:`\eta` from :math:`\theta_0`,
    :math:`\theta_u` the unlearned model, :math:`\theta_r` a retraining from the same :math:`\theta_0` with the same
    batches, the forgotten examples left out. The right side is a scale and no bound: compare its rank over sparsities,
    and read the left side beside ``prop2_floor``, which another order of the same examples gives.

    The original must come from the problem's recipe and seed, since :math:`\theta_0` is made again from them.

    Attributes:
        examples: how many retained examples the Hessian is taken on, at most.

    Departures from the paper: singular values carry no coordinate, so :math:`\sigma(m)` is the spectral norm of the
    live block, :math:`\|diag(m) \nabla^2 L \, diag(m)\|_2`, of the mean loss in float64; published code takes the
    unmasked Hessian. :math:`\eta` is the root mean square of the rates, so that :math:`\eta^2 t` sums their squares.
    """

    paper: ClassVar[str] = "Jia et al., Model Sparsity Can Simplify Machine Unlearning, NeurIPS 2023, Proposition 2"
    needs: ClassVar[frozenset[str]] = frozenset({"retained", "retraining"})
    cost: ClassVar[str] = "two trainings, and some dozens of Hessian products"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "prop2_rate": Measure(
            "η: root mean square of the learning rates",
            "[0, inf)",
            "information",
            plain="Typical step size of the training",
        ),
        "prop2_steps": Measure("t: training steps", "[0, inf)", "information", plain="Number of steps of the training"),
        "prop2_travel": Measure(
            "‖m ⊙ (θ_t - θ_0)‖", "[0, inf)", "information", plain="How far training moved the weights"
        ),
        "prop2_sharpness": Measure(
            "σ(m): spectral norm of the live block of the Hessian",
            "[0, inf)",
            "information",
            plain="How sharply the loss rises around the model",
        ),
        "prop2_scale": Measure(
            "η² t ‖m ⊙ (θ_t - θ_0)‖ σ(m)",
            "[0, inf)",
            "information",
            plain="How large the theory expects the error of unlearning to be",
        ),
        "prop2_error": Measure(
            "‖θ_u - θ_r‖ from one start and order",
            "[0, inf)",
            "lower",
            plain="How far the weights are from those of a retraining with the same random choices",
        ),
        "prop2_floor": Measure(
            "‖θ_r - θ_r'‖ of two orders from one start",
            "[0, inf)",
            "information",
            plain="How far the weights of two retrainings are apart",
        ),
    }

    examples: int = 2000

    def __post_init__(self) -> None:
        if self.examples < 1:
            raise BadInput(f"examples must be at least 1, got {self.examples}")

    def one(self, trial: Trial) -> list[Measurement]:
        problem, mask = trial.outcome.problem, trial.outcome.mask
        whole = problem.retain + problem.forget
        whole = whole.take(torch.argsort(whole.ids))
        rate, steps = _training(problem.recipe, whole)
        live = None if mask is None else {name: m.cpu() for name, m in mask.items()}
        start = masks.keep(_weights(problem.recipe.fresh(problem.seed)), live)
        travel = _distance(masks.keep(_weights(problem.model), live), start)
        sharpness = self._sharpness(problem, mask, trial.seed)
        retrained, again = (_retrained(trial, whole, order) for order in (problem.seed, _other(problem.seed)))
        return [
            self.says("prop2_rate", rate),
            self.says("prop2_steps", float(steps)),
            self._number("prop2_travel", travel),
            self._number("prop2_sharpness", sharpness),
            self._number("prop2_scale", rate**2 * steps * travel * sharpness),
            self._number("prop2_error", _distance(_weights(trial.outcome.model), retrained)),
            self._number("prop2_floor", _distance(retrained, again)),
        ]

    def _number(self, name: str, value: float) -> Measurement:
        return self.says(name, value) if math.isfinite(value) else self.says(name, None, note="not a finite number")

    def _sharpness(self, problem: Problem, mask: Mask | None, seed: int) -> float:
        some = problem.retain
        if len(some) > self.examples:
            some = some.take(torch.randperm(len(some), generator=generator_of(seed, "prop2"))[: self.examples])
        return sharpness(problem.model, some, problem.recipe, mask, numpy_generator(seed, "prop2"))


def sharpness(model: nn.Module, examples: Source, recipe: Recipe, mask: Mask | None, rng: np.random.Generator) -> float:
    """The spectral norm of the Hessian of the mean loss, rows and columns of pruned weights left out; float64.

    NaN when the iteration does not converge.
    """
    exact = copy.deepcopy(model).double()
    weights = named.weights(exact)
    live = named.flat(masks.full(weights, True) if mask is None else mask).nonzero().reshape(-1)
    matrix = Hessian(Objective.of(exact, examples, recipe, mask))

    def product(v: Array) -> Array:
        spread = torch.zeros(named.count(weights), dtype=torch.float64, device=live.device)
        spread[live] = torch.as_tensor(v, device=live.device).reshape(-1).double()
        moved = named.flat(matrix(named.unflat(spread, weights)))[live]
        image: Array = moved.cpu().numpy() / len(examples)
        return image

    n = len(live)
    if n <= DENSE:
        return float(np.abs(np.linalg.eigvalsh(np.stack([product(unit) for unit in np.eye(n)]))).max())
    try:
        block = LinearOperator((n, n), matvec=product, dtype=np.float64)
        found = eigsh(block, k=1, which="LM", v0=rng.standard_normal(n), tol=1e-7, return_eigenvectors=False)
    except ArpackNoConvergence:
        return float("nan")
    return float(np.abs(found[0]))


def _weights(model: nn.Module) -> Named:
    return {name: w.cpu().double() for name, w in named.weights(model).items()}


def _distance(a: Named, b: Named) -> float:
    return named.norm(named.add(a, b, -1.0))


def _other(seed: int) -> int:
    return seed_of(seed, "prop2", "order")


def _training(recipe: Recipe, whole: Source) -> tuple[float, int]:
    how, steps = Descent.of(recipe, augment=True), whole.steps(recipe.batch_size) * recipe.epochs
    return math.sqrt(sum(how.rate(i / steps) ** 2 for i in range(steps)) / steps), steps


def _retrained(trial: Trial, whole: Source, order: int) -> Named:
    # Two trainings that are watched under one title would go on from each other's checkpoints.
    problem, mask = trial.outcome.problem, trial.outcome.mask
    trained = trial.trainer(
        problem.recipe,
        whole,
        problem.seed,
        mask,
        title=f"coupled retraining in order {order}",
        order_seed=order,
        skip=problem.forget.ids,
    )
    return _weights(trained.model)
