"""Logistic and softmax regression from which rows and columns can be removed with an (epsilon, delta) certificate."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lacunar.catalog import registry
from lacunar.core.chain import sealed
from lacunar.core.errors import BadInput, Diverged, NotApplicable, sample_of
from lacunar.core.rng import numpy_generator
from lacunar.data.batches import Inputs
from lacunar.data.examples import Examples, Source
from lacunar.data.ids import Ids, as_ids
from lacunar.exact_unlearners import _file
from lacunar.exact_unlearners._file import Normalize, State
from lacunar.exact_unlearners._linear import Array, ConvexLoss, Labels, Rows, check_rows, newton, rows_of
from lacunar.training import forward
from lacunar.training.recipe import Recipe
from lacunar.unlearning.certificate import Budget, Release, noise_for, objective_factor, residual
from lacunar.unlearning.exact import ExactUnlearner

EXACT = 1e-10
"""Gradient norm per example to which a model is trained from the start."""
TRAINING_STEPS, EDIT_STEPS = 100, 40
SLACK = 2.0
"""How far rounding on another machine may take a residual above its tolerance."""


@dataclass(frozen=True)
class CertifiedLinear(ExactUnlearner):
    r"""L2-regularised logistic (two classes) or softmax regression; edits are Newton steps, checked by their residual.

    Minimise :math:`L_b(\theta; D) = \sum_n \ell + \frac{\lambda}{2}\|\theta\|^2 + b^\top\theta` to a gradient norm of
    1e-10 n. An edit to D' repeats :math:`\theta \leftarrow \theta - (H(\theta; D') + \lambda I)^{-1} \nabla L_b(\theta;
    D')` until the residual :math:`r = \|\nabla L_b(\theta; D')\| \le \beta`, measured exactly on all of D'. The loss is
    :math:`\lambda`-strongly convex, so the weights are within :math:`r/\lambda` of retrained ones. A removed column
    has the known weight :math:`-b_j/\lambda`.

    ``mechanism="output"``: b = 0, and each released :math:`\theta` gets fresh Gaussian noise that covers
    :math:`\beta/\lambda`; all releases together are (epsilon, delta), also when requests depend on earlier releases.
    ``mechanism="objective"``: :math:`b \sim N(0, \sigma^2 I)` is drawn once before training; each release by itself is
    (epsilon, delta) for requests that were fixed beforehand, and nothing is said about several together.

    Attributes:
        l2: :math:`\lambda > 0`, in the scale of the sum over examples; the bias is regularised too.
        epsilon, delta: what is promised; fixed, with the noise, before training.
        tolerance: :math:`\beta / n` at the first fit.
        releases: edits that the output noise is made for; more are refused.
        on_exhausted: what an edit does that the budget or the tolerance does not allow: "refuse", or "retrain" from the
            current weights to 1e-10 n, which costs little of the budget.
        bias: add a constant column.
        classes: number of classes; None for the largest label + 1.

    Departures from the paper: exact residuals instead of bounds, each request checked instead of their mean; Newton-CG
    for training too, and instead of a stored inverse; output noise is our default, its condition exact for every
    epsilon.
    """

    paper: ClassVar[str] = (
        "Warnecke et al., Machine Unlearning of Features and Labels, NDSS 2023, arXiv:2108.11577; "
        "Guo et al., Certified Data Removal, ICML 2020, arXiv:1911.03030"
    )

    l2: float = 1.0
    epsilon: float = 1.0
    delta: float = 1e-5
    tolerance: float = 1e-9
    releases: int = 100
    mechanism: Literal["output", "objective"] = "output"
    on_exhausted: Literal["refuse", "retrain"] = "refuse"
    bias: bool = True
    classes: int | None = None
    _state: State | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("l2", "tolerance"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise BadInput(f"{name} must be a finite number > 0, got {getattr(self, name)}")
        noise_for(self.epsilon, self.delta, releases=self.releases)

    def fit(self, examples: Source, recipe: Recipe, seed: int) -> Self:
        """Train on ``examples``. The seed decides the noise: keep it as secret as the noiseless weights.

        Of the recipe, the preparation of inputs counts; it must not augment, and its loss must be cross-entropy.
        """
        if recipe.loss != "cross_entropy" or recipe.augment != "none":
            raise NotApplicable(
                f"certified_linear minimises cross_entropy on the inputs as they are, and this recipe has loss="
                f"{recipe.loss}, augment={recipe.augment}"
            )
        x, y = self._rows(examples, recipe.normalize, self.classes)
        classes = self.classes or max(int(y.max()) + 1, 2)
        shape = (x.shape[1], 1 if classes == 2 else classes)
        beta = self.tolerance * len(y)
        if self.mechanism == "output":
            # Room for one release more than was asked for, so that a retraining still fits when all are used.
            sigma, b = noise_for(self.epsilon, self.delta, beta / self.l2, self.releases + 1), np.zeros(shape)
        else:
            sigma = objective_factor(self.delta) * beta / self.epsilon
            b = sigma * numpy_generator(seed, "objective").standard_normal(shape)
        objective = ConvexLoss(x, y, self.l2, b, np.ones(shape[0], dtype=bool))
        theta, reached = _trained(objective, np.zeros(shape))
        budget = Budget(self.epsilon, self.delta)
        entry = Release("fit", (), (), (), reached, EXACT * len(y), sigma, 0.0, 0.0, budget.left)
        ids, secret, width = examples.ids.cpu().numpy(), (seed, examples.digest()), x.shape[1] - self.bias
        return self._with(
            State(
                objective,
                theta,
                ids,
                classes,
                beta,
                sigma,
                secret,
                budget,
                (sealed(entry, ()),),
                width,
                recipe.normalize,
            )
        )

    def delete(self, ids: Ids) -> Self:
        """The model as if these ids had never been there, with a new release."""
        return self.edit(delete=ids)

    def edit(self, delete: Ids = (), corrected: Examples | None = None, columns: Ids = ()) -> Self:
        """The model of the edited data, with a new release.

        Args:
            delete: ids that go.
            corrected: rows as they should have been, matched by id.
            columns: columns of the flattened input that go, from all rows and from everything that is predicted.

        Raises:
            BadInput: nothing to do, unknown ids or columns, rows of another width or with NaN, or nothing left.
            NotApplicable: the budget is spent or the tolerance was not reached, and ``on_exhausted`` is "refuse".
        """
        before, deleted, dropped = self._fitted(), as_ids(delete), _positions(columns)
        gone, ids = _asked(before, deleted, corrected, dropped)
        rows = self._rows(corrected, before.normalize, before.classes, before.width) if corrected else None
        objective = before.objective.edited(gone, rows) if gone.any() else before.objective
        if dropped:
            objective = objective.without_columns(list(dropped))
        done = self._solved(before, objective)
        given = () if corrected is None else tuple(corrected.ids.tolist())
        entry = Release(
            done.what,
            tuple(deleted.tolist()),
            given,
            dropped,
            done.reached,
            done.tolerance,
            before.sigma,
            self._mu(before, done.tolerance),
            done.budget.spent,
            done.budget.left,
        )
        after = dataclasses.replace(before, objective=objective, theta=done.theta, ids=ids, budget=done.budget)
        return self._with(dataclasses.replace(after, record=(*before.record, sealed(entry, before.record))))

    def release(self) -> Tensor:
        """The weights that may be published, ``[columns (+ 1 for the bias), logits]`` float64: the same at every call.

        With output noise the weights of removed columns are exactly 0, as a retrained model's would be.
        """
        state = self._fitted()
        theta = state.theta
        if self.mechanism == "output":
            # Keyed by data and request: two models under one seed, or two edits of one model, must not share noise.
            seed, data = state.secret
            noise = numpy_generator(seed, "release", data, state.record[-1].digest).standard_normal(theta.shape)
            theta = np.where(state.objective.free[:, None], theta + state.sigma * noise, 0.0)
        return torch.from_numpy(theta.copy())

    def predict(self, x: Inputs) -> Tensor:
        """Logits ``[n, classes]`` of the released weights, for inputs as in the data; removed columns do not count.

        Raises:
            BadInput: no tensor, rows of another width than those trained on, NaN or infinity.
        """
        state = self._fitted()
        if not isinstance(x, Tensor):
            raise BadInput(f"a linear model takes one tensor of inputs, not a {type(x).__name__}")
        check_rows(x, state.width)
        rows = rows_of(_prepared(x, state.normalize), self.bias)
        return forward.two_sided(torch.from_numpy(np.asarray(rows @ self._used().numpy())))

    def as_module(self) -> nn.Module:
        """The released weights as a linear layer on flattened, prepared inputs, in float32; see ``predict``."""
        state, weights = self._fitted(), forward.two_sided(self._used())
        # On no device: nothing is drawn from the global generator.
        linear = nn.Linear(state.width, weights.shape[1], bias=self.bias, device="meta").to_empty(device="cpu")
        with torch.no_grad():
            linear.weight.copy_(weights[: state.width].T)
            if self.bias:
                linear.bias.copy_(weights[-1])
        return nn.Sequential(OrderedDict(flatten=nn.Flatten(), linear=linear)).eval()

    def save(self, path: Path | str) -> Path:
        """Write settings, data, weights and record to one file, atomically; it loads bit-equal.

        The file holds the data, the noiseless weights and the seed: all of it is secret.
        """
        return _file.write(path, self.settings(), self._fitted())

    @classmethod
    def load(cls, path: Path | str, digest: str | None = None) -> Self:
        """A saved model, checked: the seal, the chain of the record, what was spent, and that the weights fit the data.

        Args:
            digest: of the last entry of ``record``, noted elsewhere. Without it a whole file can be put in the place of
                another, such as an older copy of which less was spent.

        Raises:
            BadInput: a file of another kind, one that was changed, or not the one with this digest.
        """
        settings, state = _file.read(path)
        if digest is not None and digest != state.record[-1].digest:
            raise BadInput(f"the record of {str(path)!r} does not end in {digest}: it is another or an older model")
        model = registry.filled(cls, cls.name(), settings)._with(state)
        if not model.residual <= SLACK * state.record[-1].tolerance:
            raise BadInput(f"the weights of {str(path)!r} do not fit its data: the residual is {model.residual:.3g}")
        return model

    @property
    def record(self) -> tuple[Release, ...]:
        """What was asked for, measured and spent, entry by entry; see :mod:`lacunar.unlearning.certificate`."""
        return self._fitted().record

    @property
    def residual(self) -> float:
        """The gradient norm of the noiseless weights on the current data."""
        state = self._fitted()
        return residual(state.objective.gradient(state.theta))

    @property
    def limits(self) -> tuple[str, ...]:
        """What the certificate does not say."""
        own = {
            "output": "the promise is for all releases together",
            "objective": "the promise is for each release by itself, and for requests that were fixed beforehand",
        }[self.mechanism]
        return (
            own,
            "the noiseless weights, the seed and the data must stay secret",
            "each fitted model is edited once: two edits of the same one are charged as if the other had not been made",
            "nothing is said about preparation fitted on the data (vocabulary, scaling), other models, logs, or "
            "rounding below 1e-10 per example",
        )

    def _used(self) -> Tensor:
        return torch.where(torch.from_numpy(self._fitted().objective.free)[:, None], self.release(), 0.0)

    def _rows(
        self, examples: Source, normalize: Normalize | None, classes: int | None, width: int | None = None
    ) -> tuple[Rows, Labels]:
        x, y = examples.inputs_at(torch.arange(len(examples), device=examples.y.device)), examples.y.cpu()
        if not isinstance(x, Tensor) or y.ndim != 1 or y.is_floating_point() or len(y) == 0 or int(y.min()) < 0:
            raise NotApplicable("a certified linear model needs one tensor of inputs and classes 0, 1, ... as labels")
        if classes is not None and int(y.max()) >= classes:
            raise BadInput(f"labels run to {int(y.max())}, but the model has {classes} classes")
        check_rows(x, width)
        return rows_of(_prepared(x, normalize), self.bias), y.numpy()

    def _solved(self, before: State, objective: ConvexLoss) -> _Solved:
        theta, reached = newton(objective, before.theta, before.beta, EDIT_STEPS)
        try:
            if not reached <= before.beta:
                raise NotApplicable(
                    f"Newton's method stalled at a residual of {reached:.3g}, above the tolerance {before.beta:.3g}; "
                    "retrain, or fit with a larger tolerance"
                )
            mu = self._mu(before, before.beta)
            budget = before.budget.charged(mu)
            budget.charged(mu)  # what is kept back for a retraining
            return _Solved("edit", before.beta, theta, reached, budget)
        except NotApplicable:
            if self.on_exhausted == "refuse":
                raise
        theta, reached = _trained(objective, before.theta)
        tolerance = EXACT * len(objective)
        return _Solved("retrain", tolerance, theta, reached, before.budget.charged(self._mu(before, tolerance)))

    def _mu(self, state: State, tolerance: float) -> float:
        return tolerance / (self.l2 * state.sigma) if self.mechanism == "output" else 0.0

    def _fitted(self) -> State:
        if self._state is None:
            raise BadInput("this model is not trained yet; call fit first")
        return self._state

    def _with(self, state: State) -> Self:
        made = dataclasses.replace(self)
        object.__setattr__(made, "_state", state)
        return made


def _prepared(x: Tensor, normalize: Normalize | None) -> Tensor:
    prepared = Recipe(normalize=normalize).prepare(x)
    assert isinstance(prepared, Tensor)
    return prepared


class _Solved(NamedTuple):
    what: str
    tolerance: float
    theta: Array
    reached: float
    budget: Budget


def _trained(objective: ConvexLoss, start: Array) -> tuple[Array, float]:
    theta, reached = newton(objective, start, EXACT * len(objective), TRAINING_STEPS)
    if not reached <= EXACT * len(objective):
        raise Diverged(f"training stopped at a gradient norm of {reached:.3g}, above {EXACT:g} per example; raise l2")
    return theta, reached


def _positions(columns: Ids) -> tuple[int, ...]:
    given = np.atleast_1d(np.asarray(columns))
    if given.size and (given.ndim > 1 or given.dtype.kind not in "iu"):
        raise BadInput(f"columns are positions, a list of whole numbers, got {sample_of(given.reshape(-1).tolist())}")
    return tuple(given.tolist())


def _asked(
    state: State, delete: Tensor, corrected: Examples | None, columns: tuple[int, ...]
) -> tuple[NDArray[np.bool_], Labels]:
    """Which rows go, and the ids of the rows afterwards."""
    new = np.zeros(0, dtype=np.int64) if corrected is None else corrected.ids.cpu().numpy()
    given = np.concatenate([delete.numpy(), new])
    if len(given) == 0 and not columns:
        raise BadInput("nothing to change: give ids to delete, corrected rows or columns")
    if len(np.unique(given)) != len(given):
        raise BadInput("an id is named twice in one request; delete it or correct it, once")
    if len(unknown := np.setdiff1d(given, state.ids)):
        raise BadInput(f"ids {sample_of(unknown.tolist())} are not in the data of this model")
    free = state.objective.free
    if wrong := [c for c in columns if not 0 <= c < state.width or not free[c] or columns.count(c) > 1]:
        raise BadInput(f"columns {sample_of(wrong)} are unknown, repeated or removed already; there are {state.width}")
    gone = np.isin(state.ids, given)
    ids = np.concatenate([state.ids[~gone], new])
    if len(ids) == 0:
        raise BadInput("all examples of this model are to be deleted: nothing is left")
    return gone, ids
