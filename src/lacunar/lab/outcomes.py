"""What methods left, kept by the store: a judge that comes later looks at the same model, and no method runs again."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lacunar.catalog.source_code import plugin_digest
from lacunar.core import named
from lacunar.core.store import Kept, Made, Store
from lacunar.core.weights import model_state
from lacunar.data.ids import as_ids
from lacunar.training.trainer import facts as facts_of_training
from lacunar.unlearning.method import Method, Outcome
from lacunar.unlearning.problem import Problem, copied

_ROOMS = "core data training curvature sparsity unlearning memorization language importance pruners exact_unlearners"
ROOMS = tuple(f"lacunar.{room}" for room in _ROOMS.split())
"""What a method may be made of, beside its own shelf: its outcome is made again when any of it that it uses changes."""

TOOK = ("seconds", "cpu_seconds", "peak_bytes", "examples_seen", "steps")
"""The fields of an outcome that say what it cost."""


def outcome_of(store: Store, method: Method, problem: Problem) -> tuple[Outcome, bool]:
    """What ``method`` leaves of ``problem``, and whether it was run now.

    A model that is not the original with other weights (adapters were added, say) is not kept, but made by each call.
    """
    ran: list[Outcome] = []

    def make(scratch: Path) -> Made:
        ran.append(method(problem))
        return _kept(ran[0])

    kept = store.keep(facts(method, problem), make)
    if not ran and kept.about["whole"]:
        return _again(method, problem, kept), False
    return ran[0] if ran else method(problem), True


def facts(method: Method, problem: Problem) -> dict[str, Any]:
    """Everything that an outcome depends on, as JSON values: its key in the store."""
    parts = {"corrected": problem.corrected, "tuning": problem.tuning}
    return {
        **facts_of_training(problem.recipe, problem.seen, problem.seed, problem.mask),
        "kind": "outcome",
        "method": method.spec(),
        "method_code": plugin_digest(method, ROOMS),
        "original": named.digest(model_state(problem.model)),
        "where": None if problem.where is None else named.digest(problem.where),
        "forget": named.digest({"ids": as_ids(problem.forget_ids)}),
        **{name: None if part is None else part.digest() for name, part in parts.items()},
    }


def _kept(outcome: Outcome) -> Made:
    whole = _rebuildable(outcome)
    state = {f"model/{name}": t for name, t in model_state(outcome.model).items()} if whole else {}
    mask = {f"mask/{name}": t for name, t in (outcome.mask or {}).items()}
    about = {name: getattr(outcome, name) for name in TOOK}
    about |= {"history": outcome.history, "notes": outcome.notes, "facts": dict(outcome.facts)}
    return {**state, **mask}, {**_as_json(about), "whole": whole, "masked": outcome.mask is not None}


def _rebuildable(outcome: Outcome) -> bool:
    problem, state = outcome.problem, model_state(outcome.model)
    form = {name: (t.shape, t.dtype) for name, t in state.items()}
    if form != {name: (t.shape, t.dtype) for name, t in model_state(problem.model).items()}:
        return False
    few = problem.seen.take(torch.arange(min(4, len(problem.seen))))
    again = _with_state(problem, state)
    left, right = (problem.recipe.predict(model, few) for model in (outcome.model, again))
    return torch.allclose(left, right, equal_nan=True)


@torch.no_grad()
def _with_state(problem: Problem, state: Mapping[str, Tensor]) -> nn.Module:
    model = copied(problem.model).to(problem.device).eval()
    for name, value in model_state(model).items():
        value.copy_(state[name])
    return model


def _again(method: Method, problem: Problem, kept: Kept) -> Outcome:
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "mask": {}}
    for name, t in kept.tensors.items():
        kind, _, rest = name.partition("/")
        parts[kind][rest] = t
    about = kept.about
    return Outcome(
        problem,
        method,
        _with_state(problem, parts["model"]),
        {name: t.to(problem.device) for name, t in parts["mask"].items()} if about["masked"] else None,
        **{name: about[name] for name in TOOK},
        history=tuple(about["history"]),
        notes=tuple(about["notes"]),
        facts=about["facts"],
    )


def _as_json(value: Any) -> Any:
    # A loss that was NaN for an epoch is no reason to lose the model.
    if isinstance(value, Mapping):
        return {name: _as_json(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value
