"""Where the numbers of an audit come from, what they cost, and what they do not prove."""

from __future__ import annotations

import shlex
import statistics
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lacunar.auditing.checks import Duplicates
from lacunar.auditing.compared import Rule, oracles_needed
from lacunar.auditing.oracles import oracle_seed
from lacunar.auditing.trial import Trial
from lacunar.core import masks, named
from lacunar.core.weights import model_state
from lacunar.data.ids import ids_digest
from lacunar.machine.environment import hardware, versions
from lacunar.machine.precision import resolve_precision
from lacunar.report.evidence import Item
from lacunar.unlearning.method import Outcome

LIMITS = (
    "The claim is on average over the forgotten examples; single examples may still leave a trace.",
    "It rests on one recipe: a model trained in another way could be told apart.",
    "It covers the attacks that were run; a better one may see more.",
    "The operator is taken to be honest: whoever controls the models and the data could deceive any such test.",
    "It says nothing about copies of the data, backups, or models derived from the original.",
)

SPARSER = (
    "The method made the model sparser than the oracles are: what differs because of that alone is not told from what "
    "is left of the forgotten examples."
)


def asked(trial: Trial, found: Duplicates) -> dict[str, Any]:
    """What was to be forgotten; no samples and no raw ids."""
    problem = trial.outcome.problem
    forget = problem.forget
    return {
        "count": len(forget),
        "of": len(forget) + len(problem.retain),
        "class_mix": {str(label): n for label, n in forget.class_counts().items()},
        "ids_sha256": ids_digest(forget.ids),
        "exact_duplicates_left": found.retained,
        "forgotten_classes": list(trial.forgotten_classes),
        "corrected": 0 if problem.corrected is None else len(problem.corrected),
    }


def ran(outcome: Outcome, oracles: int, trained: bool, procedure: int) -> dict[str, Any]:
    """What was run, every resolved setting included."""
    problem = outcome.problem
    return {
        "method": outcome.method.spec(),
        "paper": outcome.method.paper,
        "seed": problem.seed,
        "recipe": problem.recipe.settings(),
        "oracles": oracles,
        "oracle_seeds": [oracle_seed(problem.seed, i) for i in range(oracles)] if trained else [],
        "procedure_on_oracle": procedure,
        "notes": [*problem.notes, *outcome.notes],
    }


def cost(outcome: Outcome, retrain: Sequence[float], audit_seconds: float) -> dict[str, Any]:
    """What forgetting took, beside one retraining (the median of the oracles trained here) and the audit itself."""
    retrain_seconds = statistics.median(retrain) if retrain else None
    return {
        "seconds": outcome.seconds,
        "cpu_seconds": outcome.cpu_seconds,
        "steps": outcome.steps,
        "examples_seen": outcome.examples_seen,
        "peak_bytes": outcome.peak_bytes,
        "retrain_seconds": retrain_seconds,
        "ratio_to_retrain": outcome.seconds / retrain_seconds if retrain_seconds else None,
        "audit_seconds": audit_seconds,
    }


def environment(trial: Trial, command: str | None) -> dict[str, Any]:
    """Versions, hardware, and hashes of weights and data."""
    outcome = trial.outcome
    problem, here, made_by = outcome.problem, hardware(outcome.problem.device), versions()
    called = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv else ""
    return {
        "command": called if command is None else command,
        "python": made_by["python"],
        "torch": made_by["torch"],
        "lacunar": made_by["lacunar"],
        "platform": here["system"],
        "cpu": here["processor"],
        "threads": here["threads"],
        "precision": resolve_precision(problem.recipe.precision, outcome.model, problem.device),
        "weights_before_sha256": named.digest(model_state(problem.model)),
        "weights_after_sha256": named.digest(model_state(outcome.model)),
        "data_sha256": {s: trial.part(s).digest() for s in ("retain", "forget", "test", "held_out")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def limits(
    trial: Trial, notes: Sequence[str], found: Duplicates, *, trained: bool, procedure: int, weighted: bool
) -> tuple[str, ...]:
    """What this audit does not prove, sentence by sentence."""
    problem = trial.outcome.problem
    n, size = len(problem.forget), len(problem.forget) + len(problem.retain)
    doubts = {
        f"{found.retained} retained examples are exact copies of forgotten ones, so their content was not deleted.": (
            found.retained > 0
        ),
        "The oracles were given: that they were trained by this recipe without the data is taken on trust.": (
            bool(trial.oracles) and not trained
        ),
        "Without models that went through the method on other data, what the method does by itself is not told from "
        "what it forgets.": bool(trial.oracles) and procedure < 2,
        "No independent source says which examples are memorized, so all count alike and a trace of a few may drown.": (
            bool(trial.oracles) and not weighted
        ),
        "Controls have the right labels and inputs even where forgotten ones were wrong, unless corrected labels are "
        "given.": problem.corrected is None and not trial.forgotten_classes,
        SPARSER: _sparser_than_oracles(trial),
        f"{n} of {size} examples are to be forgotten, more than half: retraining is probably cheaper.": 2 * n > size,
    }
    return (*LIMITS, *notes, *(sentence for sentence, holds in doubts.items() if holds))


def made_sparser(outcome: Outcome) -> bool:
    """Whether the method pruned weights that were live before."""
    mask, given = outcome.mask, outcome.problem.mask
    return mask is not None and masks.density(mask) < (1.0 if given is None else masks.density(given))


def _sparser_than_oracles(trial: Trial) -> bool:
    """Whether the method pruned weights that were live before, and an oracle has some of them."""
    mask = trial.outcome.mask
    return (
        mask is not None
        and made_sparser(trial.outcome)
        and any(
            bool((weight[~mask[name].to(weight.device)] != 0).any())
            for oracle in trial.oracles
            for name, weight in named.weights(oracle).items()
            if name in mask
        )
    )


def claim(verdict: str, n: int, k: int) -> str:
    """What is claimed, in one sentence."""
    if verdict == "pass":
        return (
            f"On average over the {n} forgotten examples, this model is like {k} models that were retrained without "
            "them, as far as the statistics of tier 1 can tell."
        )
    if verdict == "fail":
        return f"This model is not like a model that was retrained without the {n} forgotten examples."
    return f"The evidence does not tell whether the {n} examples were forgotten."


def settles(verdict: str, item: Item | None, rule: Rule, seconds: Sequence[float]) -> str:
    """What would settle an inconclusive verdict."""
    if verdict != "inconclusive" or item is None:
        return ""
    if item.code in ("NO_POWER", "TOO_FEW"):
        k = oracles_needed(item, rule)
        if k is None:
            return (
                "Not more oracles: weights that say which examples are memorized (weights=), or attacks on single "
                "examples with shadow models."
            )
        return (
            f"About {k - item.k} more oracles{_duration((k - item.k) * statistics.median(seconds)) if seconds else ''}."
        )
    return {
        "NO_ORACLE": "At least 3 models retrained without the forgotten examples (oracles=5 is the default).",
        "CONFOUNDED": "Attacks on single examples with shadow models, or a method that moves the model less.",
        "UTILITY_OPEN": "More oracles, or more test examples.",
        "RECIPE_MISMATCH": "The recipe by which the original was really trained.",
        "MASKED": "Attacks on single examples with shadow models.",
        "CONTROL_BROKEN": "Oracles of one and the same recipe, and held-out examples that no model was trained on.",
        "DUPLICATES": "Forgetting the copies as well.",
    }.get(item.code, "Repairing what failed, see its reason.")


def _duration(seconds: float) -> str:
    return f", {seconds / 3600:.1f} h" if seconds > 3600 else f", {max(seconds / 60, 0.1):.1f} min"
