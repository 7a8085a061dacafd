"""How often the audit passes, fails or decides nothing, on models whose truth is known.

``python -m benchmarks.audit_operating_curve.run`` trains what is needed, audits and appends to results.jsonl beside
this file, going on where it stopped; ``... page`` writes table.md from what is there.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from benchmarks.audit_operating_curve.attackers import ATTACKERS, Attacker, by_method
from benchmarks.timing import environment
from sklearn.datasets import load_digits
from torch import nn

from lacunar.auditing.audit import audit
from lacunar.catalog.registry import find, parse
from lacunar.core.files import write_json, write_text
from lacunar.core.stats import clopper_pearson
from lacunar.data.examples import Examples
from lacunar.report.table import Table, markdown
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Outcome
from lacunar.unlearning.problem import Problem

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results.jsonl", HERE / "table.md"
ORIGINALS, ORACLES, AUDITS = 12, 24, 30
SIZES = (5, 10, 3)
TRAIN, WRONG = 600, 48
REQUESTS = ("random", "mislabelled", "class", "mixed")

HONEST: dict[str, Attacker] = {
    "do_nothing": by_method("do_nothing"),
    "retrain": lambda model, problem, oracles, test: problem.recipe.fit(problem.retain, problem.seed + 5000),
    "fine_tune": by_method("fine_tune", epochs=10, lr=0.02, batch_size=32),
    "random_label": by_method("random_label", epochs=10, lr=0.02, batch_size=32),
}
MODELS = {**HONEST, **ATTACKERS}


@dataclass(frozen=True)
class World:
    """A request with everything that audits of it share."""

    problem: Problem
    test: Examples
    originals: tuple[nn.Module, ...]
    oracles: tuple[nn.Module, ...]


def data() -> tuple[Examples, Examples]:
    """600 digits of which the first 48 have wrong labels, and all other digits."""
    x, y = load_digits(return_X_y=True)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    inputs, labels = torch.tensor(x / 16, dtype=torch.float32)[order], torch.tensor(y)[order]
    train = Examples.of(inputs[:TRAIN], labels[:TRAIN].clone())
    train.y[:WRONG] = (train.y[:WRONG] + 1 + torch.arange(WRONG) % 9) % 10
    return train, Examples.of(inputs[TRAIN:], labels[TRAIN:], ids=torch.arange(TRAIN, len(inputs)))


def asked(request: str, train: Examples) -> torch.Tensor:
    """The ids of a request."""
    some = WRONG + torch.randperm(TRAIN - WRONG, generator=torch.Generator().manual_seed(1))
    return {
        "random": some[:60],
        "mislabelled": torch.arange(WRONG),
        "class": train.ids[train.y == 3],
        "mixed": torch.cat([torch.arange(24), some[:36]]),
    }[request]


def world(request: str, originals: int = ORIGINALS, oracles: int = ORACLES) -> World:
    """The request with its models, trained now."""
    train, test = data()
    build = parse("models", "mlp:hidden=64").shaped(train)
    recipe = Recipe(build, epochs=60, lr=0.1, batch_size=16, weight_decay=0.0, precision="float32")
    models = tuple(recipe.fit(train, seed) for seed in range(originals))
    problem = Problem.of(models[0], train, asked(request, train), recipe, device="cpu")
    return World(problem, test, models, tuple(recipe.fit(problem.retain, 1000 + i) for i in range(oracles)))


def cell(given: World, name: str, k: int, audits: int = AUDITS) -> dict[str, Any]:
    """The verdicts on one kind of model under audits with ``k`` oracles, drawn anew for each."""
    verdicts: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for trial in range(audits):
        drawn = random.Random(trial).sample(range(len(given.oracles)), k)
        oracles = [given.oracles[i] for i in drawn]
        original = given.originals[trial % len(given.originals)]
        problem = replace(given.problem, model=original, seed=trial)
        model = MODELS[name](original, problem, oracles, given.test)
        outcome = Outcome(problem, find("methods", "do_nothing"), model.eval())
        found = audit(outcome, given.test, oracles=oracles, procedure_on_oracle=0, seed=trial)
        verdicts[found.verdict] += 1
        codes.update({item.code for item in found.items if item.mandatory and item.code})
    return {"verdicts": dict(verdicts), "codes": dict(codes), "audits": audits}


def known() -> list[dict[str, Any]]:
    """The lines of results.jsonl."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def run() -> None:
    """Every cell that is not there yet."""
    torch.set_num_threads(1)
    write_json(HERE / "environment.json", environment())
    done = {(row["request"], row["model"], row["k"]) for row in known()}
    worlds: dict[str, World] = {}
    for k, request, name in product(SIZES, REQUESTS, MODELS):
        if (request, name, k) in done:
            continue
        if request not in worlds:
            worlds[request] = world(request)
        row = {"request": request, "model": name, "k": k, **cell(worlds[request], name, k)}
        with RESULTS.open("a") as handle:
            handle.write(json.dumps(row) + "\n")
        print(request, name, k, row["verdicts"], flush=True)


def tables(rows: list[dict[str, Any]]) -> Iterator[Table]:
    """One table per request: verdicts in %, with the 95 % interval of the rate that must be small or large."""
    for request in REQUESTS:
        here = sorted((row for row in rows if row["request"] == request), key=lambda row: row["k"])
        lines = [_line(row) for name in MODELS for row in here if row["model"] == name]
        if lines:
            columns = ("model", "oracles", "pass %", "95 %", "fail %", "inconclusive %", "codes that occurred")
            yield Table(f"Request: {request}", columns, tuple(lines))


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    n, verdicts = row["audits"], row["verdicts"]
    rate = clopper_pearson(verdicts.get("pass", 0), n)
    shares = [f"{100 * verdicts.get(word, 0) / n:.0f}" for word in ("pass", "fail", "inconclusive")]
    codes = ", ".join(code for code, _ in sorted(row["codes"].items(), key=lambda pair: -pair[1]))
    ends = f"{100 * rate.low:.0f} .. {100 * rate.high:.0f}"
    return (row["model"], str(row["k"]), shares[0], ends, shares[1], shares[2], codes)


def page() -> Path:
    """Write table.md."""
    return write_text(PAGE, "\n".join(markdown(table) for table in tables(known())))


if __name__ == "__main__":
    print(page()) if sys.argv[1:] == ["page"] else run()
