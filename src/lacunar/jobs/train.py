"""``train``: a first training that ``unlearn`` can follow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from lacunar.auditing.signals import accuracy
from lacunar.core.weights import load_model, save_model
from lacunar.data.examples import Source
from lacunar.jobs import run_folder
from lacunar.jobs.job import Job
from lacunar.jobs.request import Request
from lacunar.jobs.run_folder import BASE
from lacunar.jobs.told import Told, unlearning_of
from lacunar.jobs.words import Given, read
from lacunar.training.recipe import Recipe
from lacunar.training.watch import Watch
from lacunar.unlearning.problem import check_head


@dataclass(frozen=True, eq=False)
class Training(Job[nn.Module]):
    """A checked request to train."""

    given: Given

    result: ClassVar[str] = BASE
    title: ClassVar[str] = "training"

    def record(self) -> dict[str, Any]:
        return run_folder.record(self.given.request, self.given.seen)

    def do(self, watch: Watch) -> nn.Module:
        given = self.given
        return given.recipe.fit(given.parts.train.to(given.device), given.request.seed, watch=watch)

    def save(self, folder: Path, made: nn.Module) -> None:
        save_model(folder / BASE, made)

    def tell(self, folder: Path) -> Told:
        given = self.given
        found = scores(given, load_model(folder / BASE, given.recipe.fresh(0)))
        lines = (f"weights: {folder / BASE}", *(f"{name}: {value:.3f}" for name, value in found.items()))
        return Told({"weights": str(folder / BASE), **found}, lines, hint=unlearning_of(folder, given.request))


def check(request: Request) -> Training:
    """Check a request to train.

    Raises:
        BadInput: anything that can be known to be wrong.
        NotApplicable: files of a data set that are not there.
    """
    given = read(request)
    check_fit(given)
    return Training(given)


def check_fit(given: Given) -> None:
    """Raise :class:`BadInput` unless a fresh model takes the training and test examples of a request."""
    named = (part for part in (given.parts.train, given.parts.test) if part is not None)
    check_head(given.recipe.fresh(given.request.seed), given.recipe, *named)


def scores(given: Given, model: nn.Module) -> dict[str, float]:
    """Accuracy on training and test examples, in [0, 1]; the mean loss where labels are not classes."""
    named = {"train": given.parts.train, "test": given.parts.test}
    there = model.to(given.device).eval()
    return dict(_score(given.recipe, there, part, name) for name, part in named.items() if part is not None)


def _score(recipe: Recipe, model: nn.Module, part: Source, name: str) -> tuple[str, float]:
    z, y = recipe.predict(model, part.to(next(model.parameters()).device)), part.y.cpu()
    if part.class_counts() and z.ndim == 2:
        return f"{name}_accuracy", accuracy(z, y)
    return f"{name}_loss", float(recipe.losses(z, y).mean())
