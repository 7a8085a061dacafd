"""Requests to choose weights: checked before anything is computed, saved as a mask with a record beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lacunar.catalog.registry import filled, parse
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.files import read_json, write_json
from lacunar.core.named import Mask
from lacunar.core.rng import generator_of
from lacunar.core.weights import load_mask, save_mask
from lacunar.jobs import check
from lacunar.jobs.run_folder import Request, spare
from lacunar.sparsity.score import Score
from lacunar.sparsity.selection import Selection, describe
from lacunar.unlearning.problem import Problem

FORMAT = "lacunar-selection-1"


@dataclass(frozen=True)
class Selecting:
    """A checked request to choose weights.

    Attributes:
        problem: whose model the weights belong to.
        score, selection: what ranks them, and which ranks are taken.
        seen: digests of the data, the ids and the weights.
    """

    problem: Problem
    score: Score
    selection: Selection
    seen: dict[str, str]

    def make(self) -> Mask:
        """The selected weights; notes of the score go to the problem's log."""
        scores = self.problem.scores(self.score)
        rng = generator_of(self.problem.seed, "select")
        return self.selection.mask(self.problem.model, scores, rng, self.problem.mask)

    def save(self, path: Path, mask: Mask) -> dict[str, Any]:
        """Write the mask, and beside it as JSON what it is and how it was made; the record is returned."""
        record = {
            "format": FORMAT,
            "score": self.score.spec(),
            "selection": asdict(self.selection),
            "seed": self.problem.seed,
            "seen": self.seen,
            "notes": list(self.problem.log.notes),
            "mask_sha256": named.digest(mask),
        }
        save_mask(path, mask)
        write_json(beside(path), record)
        return record


def selecting(request: Request, score: str, selection: Mapping[str, Any]) -> Selecting:
    """Check a request to choose weights.

    Raises:
        BadInput: anything that can be known to be wrong.
    """
    rule, ranks = parse("importance", score), filled(Selection, "pick", selection)
    ready = check.unlearning(replace(request, method="do_nothing"))
    ranks.candidates(ready.problem.model, ready.problem.mask)
    return Selecting(ready.problem, rule, ranks, ready.seen)


def vacant(path: Path, request: Request, *, force: bool) -> None:
    """Check that a mask may be written to a file, and its record beside it.

    Args:
        force: replace what is there, but never an input of the request.

    Raises:
        BadInput: a name that is no mask's, a file that is there, an input that would be lost.
    """
    if path.suffix != ".safetensors":
        raise BadInput(f"a mask is written as .safetensors, got --out {path}")
    files = (path, beside(path))
    spare(files, vars(request))
    for file in files:
        if file.exists() and not force:
            raise BadInput(f"{str(file)!r} is there already; choose another --out, or replace it with --force")


def beside(path: Path) -> Path:
    """Where the record of a mask is."""
    return path.with_suffix(".json")


def read(path: Path) -> tuple[Mask, dict[str, Any]]:
    """A mask, and the record beside it: empty if there is none.

    Raises:
        BadInput: no mask, or a record of another one.
    """
    mask, note = load_mask(path), beside(path)
    record = read_json(note) if note.is_file() else {}
    if record and (not isinstance(record, dict) or record.get("mask_sha256") != named.digest(mask)):
        raise BadInput(f"{str(note)!r} describes another mask than {str(path)!r} holds; remove it or select again")
    return mask, record


def facts(mask: Mask, record: Mapping[str, Any]) -> dict[str, Any]:
    """What a mask selects and how it was made, as JSON values."""
    *tensors, everything = describe(mask)
    return {"weights": tensors, "all": everything, **record}
