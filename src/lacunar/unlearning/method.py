"""What a method is (settings, what it needs, one verb) and what it leaves behind (Outcome)."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from lacunar.catalog.needs import require
from lacunar.catalog.plugin import Plugin
from lacunar.core import named
from lacunar.core.errors import Diverged, LacunarError, sample_of
from lacunar.core.files import write_json
from lacunar.core.masks import Mask
from lacunar.core.rng import as_found, isolated
from lacunar.core.weights import model_state, save_mask, save_model
from lacunar.data.ids import ids_digest
from lacunar.machine.meter import metered
from lacunar.training.log import Log
from lacunar.training.watch import Watch
from lacunar.unlearning.problem import Problem, copied


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method leaves: the model, and what it took to make it.

    Attributes:
        problem, method: what was asked and what was run.
        model: in eval mode.
        mask: live weights of the model; None when it is dense.
        seconds: wall-clock time of the method, judging excluded.
        cpu_seconds: processor time of the same stretch.
        peak_bytes: highest memory meanwhile; None where the system does not tell.
        examples_seen, steps: work done by the training loop.
        history: one row per epoch.
        notes: what a reader should know.
        facts: what the method measured of its own work, as JSON values: densities, seconds per phase.
    """

    problem: Problem
    method: Method
    model: nn.Module = field(repr=False)
    mask: Mask | None = field(default=None, repr=False)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int | None = None
    examples_seen: int = 0
    steps: int = 0
    history: tuple[dict[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def with_model(self, model: nn.Module) -> Outcome:
        """The same outcome with another model: how a judge looks at an oracle through the same path."""
        return replace(self, model=model)

    def summary(self) -> dict[str, Any]:
        """Everything but tensors, as JSON values; the forgotten ids appear as count and hash only."""
        return {
            "format": "lacunar-outcome-1",
            "method": self.method.spec(),
            "seed": self.problem.seed,
            "recipe": self.problem.recipe.settings(),
            "forget": {"count": len(self.problem.forget), "ids_sha256": ids_digest(self.problem.forget.ids)},
            "retain": {"count": len(self.problem.retain)},
            "weights_before_sha256": named.digest(model_state(self.problem.model)),
            "weights_after_sha256": named.digest(model_state(self.model)),
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "peak_bytes": self.peak_bytes,
            "examples_seen": self.examples_seen,
            "steps": self.steps,
            "history": list(self.history),
            "notes": [*self.problem.notes, *self.notes],
            "facts": dict(self.facts),
        }

    def save(self, folder: Path | str) -> Path:
        """Write ``model.safetensors``, ``outcome.json`` and, for a sparse model, ``mask.safetensors``."""
        place = Path(folder)
        save_model(place / "model.safetensors", self.model)
        if self.mask is not None:
            save_mask(place / "mask.safetensors", self.mask)
        write_json(place / "outcome.json", self.summary())
        return place


class Method(Plugin):
    """A way to unlearn. Implementations are frozen dataclasses, one file each in ``methods/``.

    Class attributes:
        paper: where it comes from.
        needs: what a problem must offer, keys of :data:`lacunar.catalog.needs.NEEDS`.
        keeps_mask: whether pruned weights stay pruned unless the method says what its new mask is.
        adds_weights: whether the model may come back with further weights, such as adapters.
    """

    kind: ClassVar[str] = "methods"
    verb: ClassVar[str] = "unlearn"
    paper: ClassVar[str]
    needs: ClassVar[frozenset[str]]
    keeps_mask: ClassVar[bool] = True
    adds_weights: ClassVar[bool] = False

    @abstractmethod
    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        """The unlearned model. ``model`` is a copy that may be changed and returned; ``problem`` may not."""

    def check(self, problem: Problem) -> None:
        """Raise :class:`NotApplicable` unless the problem offers all that this method needs."""
        require(self.kind, self.name(), self.needs, {"problem": problem})

    def keeps_contract(self, problem: Problem, result: nn.Module) -> None:
        """Raise unless ``result`` is finite, has the weights of the original, and moved only those that may move.

        Raises:
            Diverged: a weight or a buffer is NaN or infinite.
            LacunarError: other weights, or one outside ``mask`` or ``where`` that has moved.
        """
        _finite(self, result)
        _same_weights(self, problem, result)
        _still_held(self, problem, result)

    def __call__(self, problem: Problem, watch: Watch | None = None) -> Outcome:
        """Check, copy, seed, unlearn, measure. The given model and all global state are left as found.

        Raises:
            NotApplicable: the problem lacks something that the method needs.
            Diverged: a weight or a buffer of the result is NaN or infinite.
            LacunarError: the method broke its contract: a weight outside ``mask`` or ``where`` has moved.
        """
        self.check(problem)
        log = Log(identity=json.dumps([self.spec(), problem.recipe.settings()], sort_keys=True))
        watch = watch or problem.watch
        model = copied(problem.model).to(problem.device)
        with as_found(), isolated(problem.seed, "method", self.name()), metered(problem.device) as meter:
            result = self.unlearn(model, replace(problem, watch=watch, log=log))
        if watch.checkpoints is not None:
            watch.checkpoints.clear()
        self.keeps_contract(replace(problem, log=log), result)
        return Outcome(
            problem=problem,
            method=self,
            model=result.eval(),
            mask=problem.mask if log.mask is None else log.mask,
            seconds=meter.seconds,
            cpu_seconds=meter.cpu_seconds,
            peak_bytes=meter.peak_bytes,
            examples_seen=log.examples_seen,
            steps=log.steps,
            history=tuple(log.history),
            notes=(*log.notes, *_unmoved(self, problem, result)),
            facts=dict(log.facts),
        )


def _unmoved(method: Method, problem: Problem, result: nn.Module) -> list[str]:
    before, after = model_state(problem.model), model_state(result)
    if before.keys() != after.keys() or any(not torch.equal(t.cpu(), after[name].cpu()) for name, t in before.items()):
        return []
    return [f"{method.name()} changed no weight at all: the result is the original model"]


def _finite(method: Method, result: nn.Module) -> None:
    if bad := named.not_finite(model_state(result)):
        raise Diverged(
            f"{method.name()} ended in NaN or infinity in {sample_of(bad, 3)}: there is no result; take smaller steps"
        )


def _same_weights(method: Method, problem: Problem, result: nn.Module) -> None:
    after, before = named.parameters(result).keys(), named.parameters(problem.model).keys()
    if not before <= after or (after > before and not method.adds_weights):
        raise LacunarError(f"{method.name()} returned a model with other weights than it was given")


def _still_held(method: Method, problem: Problem, result: nn.Module) -> None:
    after, before = named.parameters(result), named.parameters(problem.model)
    mask = problem.log.mask or (problem.mask if method.keeps_mask else None) or {}
    for name, live in mask.items():
        if bool((after[name].detach() != 0)[~live.to(after[name].device)].any()):
            raise LacunarError(f"{method.name()} moved a pruned weight in {name}")
    for name, free in (problem.where or {}).items():
        held, now = ~free.to(after[name].device), after[name].detach()
        if not torch.equal(now[held], before[name].detach().to(now.device)[held]):
            raise LacunarError(f"{method.name()} moved a weight in {name} that lies outside where=")
