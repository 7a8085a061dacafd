"""A few numbers of every method, score, pruner and training on the toy problems: what a change of the house must leave.

``python -m tests.rules.numbers`` writes them anew; do that only where a change of numbers is meant, and say why.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

import lacunar
from lacunar.catalog import registry
from lacunar.sparsity.prune_and_train import train_pruned
from lacunar.unlearning.problem import Problem
from tests import problems

FILE = Path(__file__).with_name("numbers.json")


def summary(tensors: Mapping[str, Tensor]) -> list[float]:
    """The norm of all entries and their product with a fixed random vector: any other draw or order changes it."""
    vector = torch.cat([t.detach().double().reshape(-1) for t in tensors.values()])
    fixed = torch.randn(len(vector), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return [float(vector.norm()), float(vector @ fixed / fixed.norm())]


def made() -> Iterator[tuple[str, list[float]]]:
    """The numbers, by the name of what makes them."""
    yield from _methods()
    yield from _scores()
    yield from _pruners()


def _problem(case: str, masked: bool = False) -> Problem:
    """The toy problem in float32: sums in bfloat16 depend on what the process computed before."""
    given = problems.problem(case, masked)
    recipe = dataclasses.replace(given.recipe, precision="float32")
    whole = given.retain + given.forget
    examples = whole.take(torch.argsort(whole.ids))
    model = recipe.fit(examples, 0, mask=given.mask)
    return Problem.of(model, examples, given.forget.ids, recipe, device="cpu", mask=given.mask)


def _methods() -> Iterator[tuple[str, list[float]]]:
    for name in registry.names("methods"):
        for case, masked in problems.CASES:
            problem = _problem(case, masked)
            settings = {k: v for k, v in {"epochs": 2, "batch_size": 8}.items() if k in _fields("methods", name)}
            try:
                outcome = registry.find("methods", name, **settings)(problem)
            except lacunar.NotApplicable:
                continue
            yield f"methods/{name}/{case}/{'masked' if masked else 'dense'}", summary(dict(outcome.model.state_dict()))


def _fields(kind: str, name: str) -> set[str]:
    return set(registry.plugin_class(kind, name)().settings())


def _scores() -> Iterator[tuple[str, list[float]]]:
    for name in registry.names("importance"):
        yield f"importance/{name}", summary(_problem("vectors").scores(registry.find("importance", name)))


def _pruners() -> Iterator[tuple[str, list[float]]]:
    problem = _problem("images")
    for name in registry.names("pruners"):
        pruner = registry.find("pruners", name, sparsity=0.5)
        try:
            model, mask = train_pruned(problem.recipe, problem.retain, pruner, "init", 3)
        except lacunar.NotApplicable:
            continue
        yield f"pruners/{name}", [*summary(dict(model.state_dict())), float(sum(m.sum() for m in mask.values()))]


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    FILE.write_text(json.dumps(dict(made()), indent=1) + "\n", encoding="utf-8")
