"""The outcome that ``unlearn`` has left in a folder, read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.files import read_json
from lacunar.core.weights import load_mask, load_model, model_state
from lacunar.jobs.run_folder import MASK, MODEL, OUTCOME
from lacunar.unlearning.method import Method, Outcome
from lacunar.unlearning.problem import Problem


def read_outcome(folder: Path, problem: Problem, method: Method) -> Outcome:
    """The outcome that a run left, on the problem that was posed again.

    Raises:
        BadInput: an unfinished run, or files that were changed since.
    """
    if not (folder / OUTCOME).is_file():
        raise BadInput(f"the run in {str(folder)!r} is not finished; repeat its lacunar unlearn command to go on")
    found = _read_left(folder / OUTCOME)
    model = load_model(folder / MODEL, problem.recipe.fresh(0)).to(problem.device).eval()
    if found.weights_after_sha256 != named.digest(model_state(model)):
        raise BadInput(f"{MODEL} and {OUTCOME} in {str(folder)!r} do not belong together; run lacunar unlearn again")
    mask = load_mask(folder / MASK) if (folder / MASK).is_file() else None
    if mask is not None:
        named.same_keys(named.parameters(model), mask)
    kept = ("seconds", "cpu_seconds", "peak_bytes", "examples_seen", "steps", "history", "facts")
    return Outcome(
        problem=problem,
        method=method,
        model=model,
        mask=mask,
        notes=tuple(note for note in found.notes if note not in problem.notes),
        **{name: getattr(found, name) for name in kept},
    )


@dataclass(frozen=True)
class _Left:
    # What is read of an outcome.json; its other entries are for readers.

    weights_after_sha256: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int | None
    examples_seen: int
    steps: int
    history: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    facts: dict[str, Any]


def _read_left(path: Path) -> _Left:
    try:
        return TypeAdapter(_Left).validate_python(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its top"
        raise BadInput(f"{str(path)!r} is damaged at {where}: {first['msg']}; run lacunar unlearn again") from error
