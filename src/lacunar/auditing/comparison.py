"""Every model of an audit, measured along one path: unlearned, original, retrained, and procedure-on-oracle."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from lacunar.auditing.evaluator import Evaluator, PerTrial
from lacunar.auditing.trial import Trial
from lacunar.core.errors import LacunarError
from lacunar.core.measurement import Measure, Measurement


@dataclass(frozen=True, eq=False)
class Panel:
    """The models of an audit as trials that differ in nothing but the model.

    Attributes:
        unlearned: the model that is judged.
        original: the one before unlearning, which an audit must be able to reject.
        oracles: retrained without the forgotten examples.
        procedure: oracles that went through the same method, which had nothing to forget there.
    """

    unlearned: Trial
    original: Trial
    oracles: tuple[Trial, ...] = ()
    procedure: tuple[Trial, ...] = ()

    @classmethod
    def of(cls, trial: Trial, procedure: Sequence[nn.Module]) -> Panel:
        """The panel of a trial that knows its oracles."""
        original = on_device(trial.outcome.problem.model, trial.outcome.problem.device)
        through = tuple(trial.seen_as(model) for model in procedure)
        return cls(trial, trial.seen_as(original), tuple(trial.oracle_trials()), through)


@dataclass(frozen=True)
class Row:
    """One number of every model of a panel.

    Attributes:
        unlearned: the measurement of the judged model.
        original, oracles, procedure: the same number of the others; None where it is undefined.
        measure, paper: what it is; None for a number that its evaluator does not list.
    """

    unlearned: Measurement
    original: float | None
    oracles: tuple[float | None, ...]
    procedure: tuple[float | None, ...]
    measure: Measure | None = None
    paper: str = ""

    @property
    def name(self) -> str:
        """The name of the measurement."""
        return self.unlearned.name


def rows(panel: Panel, evaluators: Sequence[Evaluator]) -> tuple[list[Row], list[Measurement]]:
    """What the evaluators say of every model, and one failed measurement for each evaluator that could not say it."""
    found: list[Row] = []
    failed: list[Measurement] = []
    for evaluator in evaluators:
        try:
            found += _rows(panel, evaluator)
        except Exception as error:  # noqa: BLE001 - whatever a judge raises is shown, never dropped
            failed.append(failure(evaluator, error))
    return found, failed


def single(panel: Panel, evaluators: Sequence[Evaluator]) -> list[Measurement]:
    """What the evaluators say of the unlearned model alone; one failed measurement for each that could not say it."""
    found: list[Measurement] = []
    for evaluator in evaluators:
        try:
            found += evaluator.measure([panel.unlearned])
        except Exception as error:  # noqa: BLE001 - whatever a judge raises is shown, never dropped
            found.append(failure(evaluator, error))
    return found


def failure(evaluator: Evaluator, error: Exception) -> Measurement:
    """The measurement that says that an evaluator failed, and why."""
    why = str(error) if isinstance(error, LacunarError) else f"{type(error).__name__}: {error}"
    return Measurement(evaluator.name(), None, direction="information", note=f"failed: {why}")


def comparable(evaluator: Evaluator) -> bool:
    """Whether it judges single models, so that oracles can go the same way."""
    return isinstance(evaluator, PerTrial)


def _rows(panel: Panel, evaluator: Evaluator) -> list[Row]:
    def values(trial: Trial) -> dict[str, float | None]:
        return {m.name: m.value for m in evaluator.measure([trial])}

    ours = evaluator.measure([panel.unlearned])
    original = values(panel.original)
    oracles, procedure = [values(t) for t in panel.oracles], [values(t) for t in panel.procedure]
    return [
        Row(
            m,
            original.get(m.name),
            tuple(o.get(m.name) for o in oracles),
            tuple(p.get(m.name) for p in procedure),
            evaluator.MEASURES.get(m.name.partition("[")[0]),
            evaluator.paper,
        )
        for m in ours
    ]


def on_device(model: nn.Module, device: torch.device) -> nn.Module:
    """``model`` itself if it is on ``device``, else a copy that is."""
    here = next(model.parameters()).device
    return model if here == device else copy.deepcopy(model).to(device)
