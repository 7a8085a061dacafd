"""The audit: is it gone, and does the model still work?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from lacunar import report
from lacunar.auditing import facts, mandatory
from lacunar.auditing.checks import duplicates, given_oracles, invariants, trial_of
from lacunar.auditing.compared import Rule, compared
from lacunar.auditing.comparison import (
    Panel,
    comparable,
    on_device,
    rows,
    single,
)
from lacunar.auditing.evaluator import Evaluator
from lacunar.auditing.oracles import train_oracles
from lacunar.auditing.plot_data import curves
from lacunar.auditing.rules import judged, overall
from lacunar.auditing.self_checks import self_checks
from lacunar.catalog import registry
from lacunar.core.errors import BadInput
from lacunar.core.measurement import Measurement
from lacunar.core.weights import model_state
from lacunar.report.evidence import Control, Evidence, Item
from lacunar.training.trainer import PlainTrainer, Trainer
from lacunar.training.watch import Watch, Watches
from lacunar.unlearning.method import Outcome
from lacunar.unlearning.problem import Problem

COMPARED = ("accuracy", "mia", "legacy_mia", "weight_distance")
BESIDE_ORACLES = ("clipped_margin", "per_example_z", "class_profile", "representation")
"""The default judges whose numbers are compared with those of oracles, beside ``forget_margins``."""


@dataclass(frozen=True)
class Audit(Evidence):
    """What :func:`audit` found; its fields are those of :class:`~lacunar.report.evidence.Evidence`."""

    @property
    def exit_code(self) -> int:
        """0 pass, 3 fail, 4 inconclusive."""
        return {"pass": 0, "fail": 3}.get(self.verdict, 4)

    def save(self, path: Path | str) -> Path:
        """Write the report, HTML or JSON by the file's ending; an HTML report gets its JSON twin beside it."""
        return report.save(self, Path(path))


def audit(
    outcome: Outcome,
    test: Any,
    *,
    oracles: int | Sequence[nn.Module] = 5,
    held_out: Any = None,
    forgotten_classes: Sequence[int] | None = None,
    seed: int = 0,
    alpha: float = 0.05,
    rho_star: float = 0.5,
    procedure_on_oracle: int = 3,
    weights: Mapping[int, float] | None = None,
    extra_evaluators: Sequence[Evaluator] = (),
    watch: Watches = lambda title: Watch(),
    trainer: Trainer | None = None,
    command: str | None = None,
) -> Audit:
    """Compare an unlearned model with retrained ones and say pass, fail or inconclusive.

    Tier 0 (no oracle) can fail a model but never pass it. Tier 1 passes when no mandatory statistic can be told from
    those of retrained models, although the original's can, and one average leaves a residual fraction surely below
    ``rho_star``; when utility is surely not worse by more than is tolerated; and when the original fits retained data
    as models of the recipe do. Mandatory are the clipped difference in differences and the AUC against class-matched
    controls, single examples (``log_rms_z``), ``residue_weighted`` where ``weights`` are given, and where a class is
    forgotten the mean, the profile of classes and the representation.

    Args:
        outcome: what a method left.
        test: held-out examples in any form that :func:`lacunar.data.stream.load` takes; utility is judged on them.
        oracles: how many models to retrain (0, or at least 3), or retrained models.
        held_out: further held-out examples for controls and attacks; None halves ``test``, class by class.
        forgotten_classes: left out of test accuracy; None means those that no retained example has.
        seed: of the judge's own draws.
        alpha: error rate, with Holm's correction over mandatory items.
        rho_star: the residual fraction that a pass must exclude, at most 0.5.
        procedure_on_oracle: how many oracles also go through the method (0, or at least 2): what it does by itself.
        weights: by id of a forgotten example, how much it can tell; from models that have no other part in the audit.
        extra_evaluators: their numbers are shown and do not count towards the verdict.
        watch: how each training is watched, from its title.
        trainer: how oracles, and models that judges need, are trained; None trains them anew, watched by ``watch``.
        command: what is recorded as the command; None takes the process's own.

    Raises:
        BadInput: test or held-out ids that were trained on, one or two oracles, oracles of another architecture,
            settings out of range; all before anything is computed.
        NotApplicable: oracles are asked for, but the recipe cannot train.
    """
    began = time.perf_counter()
    rule, problem = Rule(alpha, rho_star), outcome.problem
    k, models = given_oracles(oracles, problem)
    procedures = _procedures(procedure_on_oracle, k)
    residue = registry.find("evaluators", "forget_margins", weights=None if weights is None else dict(weights))
    trial, notes = trial_of(outcome, test, held_out, forgotten_classes, seed)
    found = duplicates(trial)
    seconds: list[float] = []
    trainer = trainer or PlainTrainer(watch)
    if k and not models:
        trained = train_oracles(problem, k, trainer)
        models, seconds = [t.model for t in trained], [t.about["seconds"] for t in trained]
    trial = replace(trial, oracles=tuple(on_device(m, problem.device) for m in models), trainer=trainer)
    through, trouble = trial.models.through(procedures, watch)
    panel = Panel.of(trial, through)
    items, controls, measurements = _evidence(panel, residue, extra_evaluators, seconds, rule)
    items = [*invariants(outcome, trial, found), *items]
    verdict, reason, hinge = overall(items)
    return Audit(
        verdict=verdict,
        tier=1 if k else 0,
        claim=facts.claim(verdict, len(problem.forget), k),
        reason=f"{reason[:1].upper()}{reason[1:]}.",
        settles=facts.settles(verdict, hinge, rule, seconds),
        items=tuple(items),
        controls=tuple(controls),
        measurements=tuple(measurements),
        asked=facts.asked(trial, found),
        ran=facts.ran(outcome, k, bool(seconds), len(through)),
        cost=facts.cost(outcome, seconds, time.perf_counter() - began),
        curves=curves(panel),
        limits=facts.limits(
            trial,
            [*notes, *trouble],
            found,
            trained=bool(seconds),
            procedure=len(through),
            weighted=weights is not None,
        ),
        environment=facts.environment(trial, command),
    )


def _evidence(
    panel: Panel, residue: Evaluator, extra: Sequence[Evaluator], seconds: Sequence[float], rule: Rule
) -> tuple[list[Item], list[Control], list[Measurement]]:
    """Every number of every model, with verdicts on those that count; numbers of one model alone, and what failed."""
    oracles = bool(panel.oracles)
    judges = [registry.parse("evaluators", line) for line in (*COMPARED, *BESIDE_ORACLES * oracles)]
    compare = [judges[0], residue, *judges[1:]]
    table, failed = rows(panel, [*compare, *(e for e in extra if comparable(e))])
    first_of_its_name = {row.name: row for row in reversed(table)}
    measured = [compared(row, rule) for row in table if row is first_of_its_name[row.name]]
    traces, utility = mandatory.traces(measured, panel.unlearned), mandatory.utility(panel.unlearned)
    items, controls = judged([*_missing(measured, (*traces, *utility)), *measured], traces, utility, rule)
    checks, checked = self_checks(panel, rule.alpha)
    cost = registry.find("evaluators", "cost", retrain_seconds=statistics.median(seconds) if seconds else None)
    alone = [cost, *[registry.parse("evaluators", "disparity")] * oracles]
    said = single(panel, [*alone, *(e for e in extra if not comparable(e))])
    return [*checks, *items], [*checked, *controls], [*said, *failed]


def _procedures(asked: int, k: int) -> int:
    if asked < 0 or asked == 1:
        raise BadInput(f"{asked} models through the procedure show no spread; ask for 0 or at least 2")
    return min(asked, k)


def _missing(items: Sequence[Item], wanted: Sequence[str]) -> list[Item]:
    """Items for mandatory statistics whose evaluator failed, so that no verdict goes without them."""
    names = {item.name for item in items}
    reason = "its evaluator failed, see the measurements"
    return [Item(name, reason=reason) for name in wanted if name not in names]


@dataclass(frozen=True)
class Forecast:
    """What an audit would train.

    Attributes:
        trainings: retrained oracles; procedures: oracles that go through the method.
        epochs: of all trainings together; examples: passes of single examples in them.
        bytes: memory of all these models.
        seconds: an estimate of the trainings, where the time of one is known.
    """

    trainings: int
    procedures: int
    epochs: int
    examples: int
    bytes: int
    seconds: float | None


def forecast(
    problem: Problem, oracles: int = 5, procedure_on_oracle: int = 3, seconds_per_training: float | None = None
) -> Forecast:
    """What :func:`audit` would train for this problem, before anything is trained.

    Raises:
        BadInput: as :func:`audit`.
    """
    k, _ = given_oracles(oracles, problem)
    procedures = _procedures(procedure_on_oracle, k)
    size = sum(t.numel() * t.element_size() for t in model_state(problem.model).values())
    epochs = k * problem.recipe.epochs
    seconds = None if seconds_per_training is None else k * seconds_per_training
    return Forecast(k, procedures, epochs, epochs * len(problem.retain), (k + procedures) * size, seconds)
