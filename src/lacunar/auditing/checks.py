"""What is checked before anything is trained, and the facts about a model that need no oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from lacunar.auditing.trial import Trial
from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable, sample_of
from lacunar.core.rng import generator_of
from lacunar.core.weights import model_state
from lacunar.data.duplicates import prints
from lacunar.data.examples import Source
from lacunar.data.stream import load
from lacunar.report.evidence import Item
from lacunar.unlearning.method import Outcome
from lacunar.unlearning.problem import Problem
from lacunar.unlearning.rebuilding import check_build

FEWEST_ORACLES = 3
TOLERATED = 0.05
PLAIN = {
    "weights_finite": "Weights that are not numbers",
    "mask_kept": "Pruned weights that came back",
    "where_kept": "Weights that moved although they may not",
    "copies_left": "Exact copies of deleted examples that were retained",
    "held_out_unseen": "Examples for judging that were trained on",
}
"""The items of tier 0 in words for readers who do not know the formulas."""


def trial_of(
    outcome: Outcome, test: Any, held_out: Any, forgotten_classes: Sequence[int] | None, seed: int
) -> tuple[Trial, list[str]]:
    """The checked trial of an audit without its oracles, and notes for the reader.

    Without ``held_out`` the test set is halved, class by class: controls and attacks get one half, utility the other.

    Raises:
        BadInput: ids that are in training and in test or held out, inputs or labels that the model cannot take.
    """
    problem, notes = outcome.problem, []
    first = 1 + int(torch.cat([problem.retain.ids, problem.forget.ids]).max())
    judged = _loaded(test, "test", first, problem)
    if held_out is None:
        if len(judged) < 4:
            raise BadInput(f"a test set of {len(judged)} examples cannot be halved; give held_out= as well")
        held_out, judged = _halves(judged, seed)
        notes.append(
            f"No held-out set was given: {len(held_out)} of the test examples served as controls and for attacks, "
            f"the other {len(judged)} for utility."
        )
    else:
        held_out = _loaded(held_out, "held-out", max(first, 1 + int(judged.ids.max())), problem)
        _disjoint(held_out, judged, "held-out", "test")
    vanished = set(problem.forget.class_counts()) - set(problem.edited.class_counts())
    classes = tuple(sorted(vanished if forgotten_classes is None else set(forgotten_classes)))
    return Trial(outcome, judged, held_out, forgotten_classes=classes, seed=seed), notes


def _loaded(given: Any, name: str, first_id: int, problem: Problem) -> Source:
    source = load(given, first_id=first_id).to(problem.device)
    if len(source) == 0:
        raise BadInput(f"the {name} set is empty")
    _disjoint(source, problem.forget, name, "forget")
    _disjoint(source, problem.retain, name, "retain")
    if problem.tuning is not None:
        _disjoint(source, problem.tuning, name, "method's tuning")
    wanted, got = (_shapes(s) for s in (problem.forget, source))
    if wanted != got:
        raise BadInput(f"the {name} inputs have shape {got}, the training inputs {wanted}; prepare them the same way")
    known = problem.recipe.predict(problem.model, _few(source, problem.model)).shape[-1]
    counts = source.class_counts()
    if known > 1 and counts and not 0 <= min(counts) <= max(counts) < known:
        raise BadInput(
            f"the {name} labels run from {min(counts)} to {max(counts)}, but the model has {known} logits "
            f"(classes 0 to {known - 1})"
        )
    return source


def _few(source: Source, model: nn.Module) -> Source:
    return source.take(torch.arange(min(2, len(source)))).to(next(model.parameters()).device)


def _shapes(source: Source) -> Any:
    x = source.inputs_at(torch.tensor([0]))
    return {k: tuple(v.shape[1:]) for k, v in x.items()} if isinstance(x, dict) else tuple(x.shape[1:])


def _disjoint(a: Source, b: Source, name_a: str, name_b: str) -> None:
    shared = a.ids.cpu()[b.has(a.ids)]
    if len(shared):
        raise BadInput(
            f"{len(shared)} ids are in the {name_a} set and in the {name_b} set: {sample_of(shared.tolist())}; a judge "
            "needs examples of its own, so leave these out, or give other examples other ids"
        )


def _halves(source: Source, seed: int) -> tuple[Source, Source]:
    """Two halves with the class mix of the whole, the first one never larger; in stored order."""
    shuffled = torch.randperm(len(source), generator=generator_of(seed, "halves"))
    labels = source.y.cpu() if source.class_counts() else torch.zeros(len(source))
    ordered = shuffled[torch.sort(labels[shuffled], stable=True).indices]
    return source.take(ordered[1::2].sort().values), source.take(ordered[0::2].sort().values)


def given_oracles(oracles: int | Sequence[nn.Module], problem: Problem) -> tuple[int, list[nn.Module]]:
    """How many oracles there will be, and those that are there already.

    Raises:
        BadInput: one or two, a model with other weights than the original, or a recipe that makes such models or
            returns a trained one.
        NotApplicable: they are to be trained, but the recipe cannot.
    """
    k = oracles if isinstance(oracles, int) else len(oracles)
    if k < 0 or 0 < k < FEWEST_ORACLES:
        raise BadInput(f"{k} retrained models show no spread; ask for 0 (no verdict but a fail) or at least 3")
    if isinstance(oracles, int):
        if k and problem.recipe.build is None:
            raise NotApplicable("oracles cannot be trained: the recipe has no build=; give trained ones, or oracles=0")
        if k:
            check_build(problem.model, problem.recipe)
        return k, []
    wanted = {n: (tuple(t.shape), t.dtype) for n, t in model_state(problem.model).items()}
    for i, oracle in enumerate(oracles):
        found = {n: (tuple(t.shape), t.dtype) for n, t in model_state(oracle).items()}
        wrong = sorted(n for n in set(wanted) | set(found) if wanted.get(n) != found.get(n))
        if wrong:
            raise BadInput(f"oracle {i + 1} has other weights than the model at {sample_of(wrong, 3)}: not its recipe")
        if oracle is problem.model:
            raise BadInput(f"oracle {i + 1} is the original model itself, which was trained on the forgotten examples")
    return k, list(oracles)


@dataclass(frozen=True)
class Duplicates:
    """Exact copies of inputs, whatever their ids.

    Attributes:
        retained: retained examples that equal a forgotten one; forgotten: forgotten ones that have such a copy.
        held_out, test: held-out and test examples that equal a training example.
    """

    retained: int
    forgotten: int
    held_out: int
    test: int


def duplicates(trial: Trial) -> Duplicates:
    """Count exact copies; reads every example once."""
    gone, stays = (list(prints(trial.part(s))) for s in ("forget", "retain"))
    seen = {*gone, *stays}
    return Duplicates(
        len(_among(stays, set(gone))),
        len(_among(gone, set(stays))),
        len(_among(prints(trial.part("held_out")), seen)),
        len(_among(prints(trial.part("test")), seen)),
    )


def _among(prints: Any, known: set[bytes]) -> list[bytes]:
    return [p for p in prints if p in known]


def invariants(outcome: Outcome, trial: Trial, found: Duplicates) -> list[Item]:
    """The items of tier 0: what must hold of any unlearned model, and of the examples that judge it."""
    problem, state = outcome.problem, model_state(outcome.model)
    held = [trial.part(s) for s in ("held_out", "test")]
    items = [
        _item("weights_finite", len(named.not_finite(state)), "tensors with NaN or infinity"),
        _item("mask_kept", _outside(outcome.mask, outcome.model, None), "non-zero weights outside the mask"),
        _item("where_kept", _outside(problem.where, outcome.model, problem.model), "moved weights outside where="),
    ]
    left = f"{found.retained} retained examples are exact copies of forgotten ones"
    seen = (
        f"{found.held_out} of {len(held[0])} held-out and {found.test} of {len(held[1])} test examples are exact copies"
    )
    return [
        *(i for i in items if i is not None),
        _doubt("copies_left", found.retained, "DUPLICATES", left, found.forgotten > TOLERATED * len(problem.forget)),
        _doubt(
            "held_out_unseen",
            found.held_out + found.test,
            "CONTROL_BROKEN",
            f"{seen} of training examples",
            found.held_out > TOLERATED * len(held[0]) or found.test > TOLERATED * len(held[1]),
        ),
    ]


def _item(name: str, count: int | None, what: str) -> Item | None:
    if count is None:
        return None
    formula = f"number of {what}; in [0, inf); lower"
    base = Item(name, "pass", "", f"no {what}", True, 0, float(count), formula=formula, plain=PLAIN[name])
    return base if count == 0 else replace(base, verdict="fail", code="INVARIANT", reason=f"{count} {what}")


def _doubt(name: str, count: int, code: str, what: str, too_many: bool) -> Item:
    formula = f"number of exact copies; in [0, inf); lower is better; inconclusive above {100 * TOLERATED:.0f} %"
    base = Item(name, "pass", "", what, True, 0, float(count), direction="lower", formula=formula, plain=PLAIN[name])
    return replace(base, verdict="inconclusive", code=code) if too_many else base


def _outside(mask: masks.Mask | None, model: nn.Module, before: nn.Module | None) -> int | None:
    if mask is None:
        return None
    now = named.weights(model)
    was = None if before is None else named.weights(before)
    return sum(
        int((t.cpu() != (0 if was is None else was[name].cpu()))[~mask[name].cpu()].sum()) for name, t in now.items()
    )
