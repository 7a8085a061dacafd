"""A certified model as one file: arrays as safetensors, the rest as JSON in its header; nothing is unpickled."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from scipy.sparse import csr_array
from torch import Tensor

from lacunar.core import chain, named
from lacunar.core.errors import BadInput
from lacunar.core.weights import load_tensors, save_tensors
from lacunar.exact_unlearners._linear import Array, ConvexLoss, Labels, Rows
from lacunar.unlearning.certificate import Budget, Release

Normalize = tuple[tuple[float, ...], tuple[float, ...]]
FORMAT = "lacunar-certified-linear-2"
CLOSE = 1e-12
SPARSE = ("data", "indices", "indptr")


@dataclass(frozen=True, eq=False)
class State:
    r"""What a certified model holds once it is fitted.

    Attributes:
        objective: of the current data; theta: its noiseless minimiser; ids: of its rows, in order.
        classes: number of classes.
        beta: :math:`\beta`; sigma: of the noise.
        secret: seed of the noise, and digest of the data of the first fit.
        budget, record: what is left, and how it was spent.
        width: columns of the input, the constant one not counted.
        normalize: how inputs are normalised, as in :class:`~lacunar.training.recipe.Recipe`; None for not at all.
    """

    objective: ConvexLoss
    theta: Array
    ids: Labels
    classes: int
    beta: float
    sigma: float
    secret: tuple[int, str]
    budget: Budget
    record: tuple[Release, ...]
    width: int
    normalize: Normalize | None


def write(path: Path | str, settings: Mapping[str, Any], state: State) -> Path:
    """Write a state and the settings of its model, atomically, under a seal over all of it."""
    of, tensors = state.objective, _arrays(state)
    content = {
        "format": FORMAT,
        "settings": dict(settings),
        "classes": state.classes,
        "beta": state.beta,
        "secret": list(state.secret),
        "width": state.width,
        "normalize": state.normalize,
        "l2": of.l2,
        "record": [dataclasses.asdict(entry) for entry in state.record],
        "tensors": named.digest(tensors),
    }
    return save_tensors(path, tensors, {"state": json.dumps({**content, "seal": _seal(content)}, allow_nan=False)})


def read(path: Path | str) -> tuple[dict[str, Any], State]:
    """The settings and the state of a file.

    Raises:
        BadInput: a file of another kind, or one in which anything was changed: an array, a setting, an entry of the
            record or what it says was spent.
    """
    tensors, content = load_tensors(path), _content(path)
    seal = content.pop("seal", None)
    if seal != _seal(content) or content.get("tensors") != named.digest(tensors):
        raise BadInput(f"{str(path)!r} was changed after it was saved: its seal does not fit; use another copy")
    try:
        record = tuple(Release(**{k: _frozen(v) for k, v in entry.items()}) for entry in content["record"])
        chain.verify(record)
        _check_spent(record)
        return content["settings"], _state(content, tensors, record)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadInput(f"{str(path)!r} does not hold together: {error!r}") from error


def _content(path: Path | str) -> dict[str, Any]:
    with safe_open(path, framework="pt") as opened:
        text = (opened.metadata() or {}).get("state", "null")
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BadInput(f"{str(path)!r} is not a certified model that this version has saved")
    return content


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _check_spent(record: tuple[Release, ...]) -> None:
    spent = 0.0
    for i, entry in enumerate(record):
        spent = math.hypot(spent, entry.mu)
        if not math.isclose(spent, entry.spent, rel_tol=CLOSE):
            raise BadInput(
                f"entry {i} of the record says that {entry.spent:g} was spent, but the entries add to {spent:g}"
            )


def _arrays(state: State) -> dict[str, Tensor]:
    of = state.objective
    x = {f"x.{part}": getattr(of.x, part) for part in SPARSE} if isinstance(of.x, csr_array) else {"x": of.x}
    arrays = {**x, "y": of.y, "b": of.b, "free": of.free, "theta": state.theta, "ids": state.ids}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _state(content: Mapping[str, Any], tensors: Mapping[str, Tensor], record: tuple[Release, ...]) -> State:
    arrays = {name: t.numpy() for name, t in tensors.items()}
    theta, y = arrays["theta"], arrays["y"]
    settings, x = content["settings"], _rows(arrays, (len(y), len(theta)))
    shapes = (theta.shape, x.shape, arrays["free"].shape, arrays["ids"].shape)
    if shapes != (arrays["b"].shape, (len(y), len(theta)), (len(theta),), y.shape):
        raise ValueError(f"arrays of shapes {shapes} do not fit one another")
    objective = ConvexLoss(x, y, content["l2"], arrays["b"], arrays["free"])
    return State(
        objective,
        theta,
        arrays["ids"],
        content["classes"],
        content["beta"],
        record[0].sigma,
        (content["secret"][0], content["secret"][1]),
        Budget(settings["epsilon"], settings["delta"], record[-1].spent),
        record,
        content["width"],
        _frozen(content["normalize"]),
    )


def _rows(arrays: Mapping[str, Any], shape: tuple[int, int]) -> Rows:
    if "x" in arrays:
        return arrays["x"]
    rows = csr_array(tuple(arrays[f"x.{part}"] for part in SPARSE), shape=shape)
    rows.check_format(full_check=True)
    return rows


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
