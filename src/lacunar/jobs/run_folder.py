"""What a run folder holds, and how it is read back: words and numbers, never code.

A folder of ``train`` holds request.json and base.safetensors; one of ``prune`` or ``compact`` adds what makes the model
sparse, pruned.json and mask.safetensors, or small, compact.json. One of ``unlearn`` holds request.json,
model.safetensors, outcome.json, perhaps mask.safetensors, and after an audit report.html and report.json. All hold
checkpoints/ while they are not finished.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from lacunar.catalog.registry import filled
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.files import read_json, write_json
from lacunar.core.weights import load_mask, load_model, model_state
from lacunar.jobs.words import is_code
from lacunar.training.callbacks import Callback, Loop
from lacunar.unlearning.method import Method, Outcome
from lacunar.unlearning.problem import Problem

FORMAT = "lacunar-request-1"
REQUEST, BASE, MODEL, MASK, OUTCOME, PRUNED, COMPACT = (
    "request.json",
    "base.safetensors",
    "model.safetensors",
    "mask.safetensors",
    "outcome.json",
    "pruned.json",
    "compact.json",
)
REPORTS = ("report.html", "report.json")
CHECKPOINTS = "checkpoints"

FILES = ("weights", "forget", "mask", "where", "compact")
"""The fields of a request that name files."""

_CODE = {"model": "models", "data": "datasets", "test": "datasets", "method": "methods", "scenario": "scenarios"}


@dataclass(frozen=True)
class Request:
    """What was asked of a verb, as words and numbers.

    Attributes:
        model, data, test: catalog lines or import strings; without ``test``, the test part of ``data``.
        recipe: settings of the recipe, or the import string of one.
        weights: the file of the trained model.
        forget, id_column: the file of the ids that must go, and the column to read.
        scenario, scenario_seed: a rule that says what must go instead, and the seed of its draw.
        method, settings: what unlearns, and its settings.
        pruner, rewind: what makes the model sparse, and where weights go back to (an epoch, "init" or "none").
        finetune: settings of the training under the mask without a rewind, over those of the recipe; empty for none.
        mask: the file of a pruned model's mask.
        where: the file of a mask of the weights that may move.
        compact: the file that says which channels are cut out of the model.
        seed: of all other random choices.
        device: "auto" is CUDA where there is one.
        typed: the fields that were given explicitly, default or not; never part of a record.
    """

    model: str | None = None
    data: str | None = None
    test: str | None = None
    recipe: str | dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    forget: str | None = None
    id_column: str | None = None
    scenario: str | None = None
    scenario_seed: int = 0
    method: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    pruner: str | None = None
    rewind: str = "none"
    finetune: dict[str, Any] = field(default_factory=dict)
    mask: str | None = None
    where: str | None = None
    compact: str | None = None
    seed: int = 0
    device: str = "auto"
    typed: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    @classmethod
    def read(cls, folder: Path | str) -> Self:
        """The request that a run folder records, as information: nothing that it names is imported here.

        Raises:
            BadInput: not a run folder, or one with a damaged request.
        """
        return filled(cls, REQUEST, record_in(Path(folder))["asked"])

    def over(self, recorded: Request) -> Request:
        """This request, typed by the user, with what it leaves out taken from a folder's record.

        A list of ids replaces a recorded scenario, and the other way round.

        Raises:
            BadInput: the record names code for something that the user has not repeated.
        """
        if self.forget is not None or self.scenario is not None:
            recorded = replace(recorded, forget=None, id_column=None, scenario=None, scenario_seed=0)
        changed = self.typed | {f.name for f in fields(self) if getattr(self, f.name) != getattr(type(self)(), f.name)}
        for name in (f.name for f in fields(self) if f.name not in changed):
            value = getattr(recorded, name)
            if (name == "recipe" and isinstance(value, str)) or (
                name in _CODE and value is not None and is_code(_CODE[name], value)
            ):
                raise BadInput(
                    f"the folder names code, --{name} {value}, which is never taken from a folder; "
                    f"if you trust it, repeat --{name} on the command line"
                )
        return replace(recorded, **{name: getattr(self, name) for name in changed})


def record(request: Request, seen: Mapping[str, str]) -> dict[str, Any]:
    """What request.json holds: what was asked, and the digests of what it was asked about."""
    return {"format": FORMAT, "asked": {k: v for k, v in asdict(request).items() if k != "typed"}, "seen": dict(seen)}


def record_in(folder: Path) -> dict[str, Any]:
    """The content of request.json.

    Raises:
        BadInput: no such folder, no request in it, or one of another form.
    """
    if not (folder / REQUEST).is_file():
        raise BadInput(f"{str(folder)!r} is not a run folder: it holds no {REQUEST}")
    found = read_json(folder / REQUEST)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadInput(f"{str(folder / REQUEST)!r} was not written by this version of lacunar")
    if not isinstance(found.get("asked"), dict) or not isinstance(found.get("seen"), dict):
        raise BadInput(f"{str(folder / REQUEST)!r} is damaged; start the run again")
    return found


def claim(folder: Path, wanted: Mapping[str, Any], result: str, *, force: bool = False) -> bool:
    """Whether the run is finished already (the file ``result`` is there), in a folder that it may use.

    A run may use a folder that is empty or not there, or that holds the very same run. Nothing is written; see
    :class:`Begin`.

    Args:
        wanted: what :func:`record` made.
        force: take a folder of another run, and remove what that run left.

    Raises:
        BadInput: the folder holds something else, or (``force``) an input of the run would be removed.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{str(folder)!r} is a file; give a folder")
    if force:
        spare(_left_in(folder), wanted["asked"])
        _empty(folder)
    elif (folder / REQUEST).is_file() and read_json(folder / REQUEST) == wanted:
        return (folder / result).is_file()
    elif folder.is_dir() and any(folder.iterdir()):
        raise BadInput(
            f"{str(folder)!r} is not empty and holds no run of this request; choose another folder, or replace the run "
            "in it with --force"
        )
    return False


@dataclass
class Begin(Callback):
    """Writes the request when the first step is about to be made, so that a request that fails leaves nothing."""

    folder: Path
    wanted: Mapping[str, Any]

    def on_start(self, loop: Loop) -> None:
        self.write()

    def write(self) -> None:
        """Write request.json."""
        write_json(self.folder / REQUEST, dict(self.wanted))

    def undo(self) -> None:
        """Remove request.json, and the folder if nothing else is in it."""
        (self.folder / REQUEST).unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def spare(files: Iterable[Path], asked: Mapping[str, Any]) -> None:
    """Refuse to lose an input: raise unless none of ``files``, which are to be replaced, is one that a request names.

    Args:
        asked: the fields of a request; a folder of weights stands for all that is read from it.

    Raises:
        BadInput: an input is among the files.
    """
    lost = {path.resolve(): path for path in files}
    for name in (name for name in FILES if asked.get(name)):
        place = Path(asked[name]).resolve()
        for read in [place / part for part in (REQUEST, BASE, MASK, COMPACT)] if place.is_dir() else [place]:
            if read in lost:
                raise BadInput(
                    f"{str(lost[read])!r} would be replaced, but this command reads it (--{name}); choose another --out"
                )


def _left_in(folder: Path) -> list[Path]:
    return [folder / name for name in (REQUEST, BASE, MODEL, MASK, OUTCOME, PRUNED, COMPACT, *REPORTS)]


def _empty(folder: Path) -> None:
    for path in _left_in(folder):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def file_digest(path: Path | str) -> str:
    """The SHA-256 of a file."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


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
