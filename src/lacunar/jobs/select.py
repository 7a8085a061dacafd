"""``select``: choose the weights that unlearning may move, saved as a mask with a record beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from shlex import join
from typing import Any

from lacunar.catalog.registry import filled, parse
from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.core.files import read_json, temporaries, write_json
from lacunar.core.masks import Mask
from lacunar.core.rng import generator_of
from lacunar.core.weights import load_mask, save_mask
from lacunar.jobs.posing import problem_of
from lacunar.jobs.request import Request
from lacunar.jobs.run_folder import spare
from lacunar.jobs.told import Told
from lacunar.jobs.words import Given, needed, read
from lacunar.sparsity.amount import Count, Share
from lacunar.sparsity.scope import Scope
from lacunar.sparsity.score import Score
from lacunar.unlearning.problem import Problem

FORMAT = "lacunar-selection-1"
_MADE = ("notes", "mask_sha256")
"""What a record says of the result; all else in it says what was asked."""


@dataclass(frozen=True)
class Pick:
    """Which ranks are taken, as ``--pick`` names it; see :class:`~lacunar.sparsity.scope.Scope`.

    Attributes:
        share: of the candidates, in (0, 1].
        count: exactly so many weights instead of a share.
    """

    share: float = 0.05
    count: int | None = None
    order: str = "largest"
    level: str = "global"
    norms: bool = True
    biases: bool = True
    last_layers: int | None = None
    layers: tuple[str, ...] = ()

    def scope(self) -> Scope:
        """The weights that these settings choose."""
        kinds = {name: getattr(self, name) for name in ("norms", "biases", "last_layers", "layers")}
        amount = Share(self.share) if self.count is None else Count(self.count)
        return Scope("all", amount, self.level, self.order, **kinds)


@dataclass(frozen=True, eq=False)
class Selecting:
    """A checked request to choose weights.

    Attributes:
        asked, given: the request as it was typed, and what it names.
        problem: whose model the weights belong to.
        score, pick: what ranks them, and which ranks are taken.
    """

    asked: Request
    given: Given
    problem: Problem
    score: Score
    pick: Pick

    def record(self) -> dict[str, Any]:
        """What was asked, as JSON values."""
        return {
            "format": FORMAT,
            "score": self.score.spec(),
            "selection": asdict(self.pick) | {"layers": list(self.pick.layers)},
            "seed": self.problem.seed,
            "seen": self.given.seen,
        }

    def do(self) -> Mask:
        """The selected weights; notes of the score go to the problem's log."""
        scores = self.problem.scores(self.score)
        rng = generator_of(self.problem.seed, "select")
        return self.pick.scope().chosen(self.problem.model, scores, rng, self.problem.mask)

    def save(self, path: Path, mask: Mask) -> None:
        """Write what the mask is and how it was made beside it as JSON, and then the mask."""
        made = {"notes": list(self.problem.log.notes), "mask_sha256": named.digest(mask)}
        write_json(beside(path), {**self.record(), **made})
        save_mask(path, mask)

    def tell(self, path: Path) -> Told:
        """What is said of a mask that is saved."""
        run = path.with_name(f"{path.stem}-fine_tune")
        what = ["--where", str(path), "--method", "fine_tune", "--out", str(run)]
        return describing(path, f"next: {join(['lacunar', 'unlearn', *self.asked.options(), *what])}")


def check(request: Request, score: str, pick: Mapping[str, Any]) -> Selecting:
    """Check a request to choose weights.

    Raises:
        BadInput: anything that can be known to be wrong.
    """
    rule, ranks = parse("importance", score), filled(Pick, "pick", pick)
    scope = ranks.scope()
    needed(request.weights, "--weights")
    given = read(request.insisting("seed"))
    problem = problem_of(given)
    scope.candidates(problem.model, problem.mask)
    return Selecting(request, given, problem, rule, ranks)


def perform(job: Selecting, path: Path, *, force: bool = False) -> Told:
    """Choose and save, or go on after a kill, or read what is there already.

    Raises:
        BadInput: as :func:`claim`.
    """
    finished = claim(job, path, force=force)
    for left in (*temporaries(path), *temporaries(beside(path))):
        left.unlink(missing_ok=True)
    if not finished:
        job.save(path, job.do())
    return job.tell(path)


def claim(job: Selecting, path: Path, *, force: bool = False) -> bool:
    """Whether the mask of this request is there already, in a file that may be written, with its record beside it.

    Args:
        force: replace what is there, but never an input of the request.

    Raises:
        BadInput: a file that is there and not of this request, or an input that would be lost.
    """
    vacant(path, job.given.request)
    if force:
        return False
    note = _note(path)
    if {key: value for key, value in note.items() if key not in _MADE} == job.record():
        if not path.exists():
            return False
        if note.get("mask_sha256") == named.digest(load_mask(path)):
            return True
    for file in (path, beside(path)):
        if file.exists():
            raise BadInput(f"{str(file)!r} is there already; choose another --out, or replace it with --force")
    return False


def vacant(path: Path, request: Request) -> None:
    """Raise :class:`BadInput` unless a mask may have this name, and neither it nor its record is an input."""
    if path.suffix != ".safetensors":
        raise BadInput(f"a mask is written as .safetensors, got --out {path}")
    spare((path, beside(path)), vars(request))


def beside(path: Path) -> Path:
    """Where the record of a mask is."""
    return path.with_suffix(".json")


def read_mask(path: Path) -> tuple[Mask, dict[str, Any]]:
    """A mask, and the record beside it: empty if there is none.

    Raises:
        BadInput: no mask, or a record of another one.
    """
    mask, record = load_mask(path), _note(path)
    if record and record.get("mask_sha256") != named.digest(mask):
        raise BadInput(
            f"{str(beside(path))!r} describes another mask than {str(path)!r} holds; remove it or select again"
        )
    return mask, record


def _note(path: Path) -> dict[str, Any]:
    # Another file of that name is the user's own, and says nothing about the mask.
    found = read_json(beside(path)) if beside(path).is_file() else {}
    return found if isinstance(found, dict) and found.get("format") == FORMAT else {}


def describing(path: Path, hint: str = "") -> Told:
    """What a mask selects and how it was made.

    Raises:
        BadInput: as :func:`read_mask`.
    """
    mask, record = read_mask(path)
    *tensors, everything = masks.describe(mask)
    lines = [f"{row['weight']}: {row['selected']} of {row['of']} ({row['share']:.2%})" for row in masks.describe(mask)]
    if record:
        lines.append(f"score: {record['score']['name']} {record['score']['settings']}")
    lines += [f"note: {note}" for note in record.get("notes", [])]
    return Told({"weights": tensors, "all": everything, **record}, lines, hint=hint)
