"""Training throughput and accuracy: ``Recipe.fit`` against the public way.

``python -m benchmarks.speed.training time`` measures throughput (about ten minutes on a quiet machine),
``... accuracy`` trains both ways for a few seeds; each replaces its own rows of results.jsonl and the tables of
README.md. CIFAR-10 and Fashion-MNIST come from the folder that LACUNAR_DATA names.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from benchmarks.speed import parts
from benchmarks.speed.cases import CASES, WAYS, Case, agreement, restore, save
from benchmarks.speed.table import page

from benchmarks import timing
from lacunar.core.files import write_text
from lacunar.data.data_set import Splits
from lacunar.machine.memory import keep_memory

HERE = Path(__file__).parent
MODULE = "benchmarks.speed.training"
MARKS = ("<!-- tables: made by training.py -->\n", "<!-- end of tables -->\n")
INPUTS_APART, WEIGHTS_APART = 1e-6, 1e-9
SEEDS = range(3)
STEPS_OF = ("resnet8, CIFAR-10",)

Rows = list[dict[str, Any]]


def agree(case: Case, data: Splits) -> Rows:
    """Check that both ways do the same thing when nothing is random; nothing else is worth timing."""
    with contextlib.redirect_stdout(None):
        found = agreement(case.recipe(data), data.train)
    if found["inputs"] > INPUTS_APART or found["weights"] > WEIGHTS_APART:
        raise SystemExit(f"{case}: the two ways do not do the same thing: {found}")
    return [{"what": "agreement", **found}]


@contextlib.contextmanager
def workers(name: str, data: Splits) -> Iterator[dict[str, timing.Variant]]:
    """Both ways with both settings of the allocator, each in its own process."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder) / "examples.npz"
        save(data, CASES[name].n, path)
        yield {
            f"{way}, malloc {malloc}": stack.enter_context(
                timing.Elsewhere("-m", MODULE, "serve", name, way, malloc, str(path))
            )
            for way in WAYS
            for malloc in ("found", "kept")
        }


def serve(name: str, way: str, malloc: str, path: str) -> None:
    """A worker: one whole training per request."""
    if malloc == "kept":
        keep_memory()
    data = restore(Path(path))
    recipe = CASES[name].recipe(data)
    timing.serve(lambda: WAYS[way](recipe, data.train, 0))


def throughput(name: str, data: Splits) -> Rows:
    """Agreement, then interleaved whole trainings, the input pipeline alone, and the shares of a step."""
    case = CASES[name]
    recipe, examples = case.recipe(data), data.train.take(torch.arange(case.n))
    rows = agree(case, data)
    with workers(name, data) as variants:
        rows += [{"what": "training", "examples": case.n * case.epochs, **row} for row in timing.race(variants)]
    rows += parts.inputs(recipe, examples)
    if name in STEPS_OF:
        rows += parts.steps(recipe, examples)
    return [*rows, parts.shares(recipe, examples)]


def accuracy(name: str, data: Splits) -> Rows:
    """Test accuracy of both ways: the same initialisations and settings, augmentation on, a few seeds."""
    case = CASES[name]
    recipe = replace(case.recipe(data), epochs=case.accuracy_epochs)
    rows: Rows = []
    for seed in SEEDS:
        for way, train in WAYS.items():
            with contextlib.redirect_stdout(None):
                model = train(recipe, data.train, seed)
            right = recipe.predict(model, data.test).argmax(1) == data.test.y
            rows.append({"what": "accuracy", "variant": way, "seed": seed, "value": float(right.double().mean())})
    return rows


def measure(names: Sequence[str], what: str) -> None:
    """Replace the rows that are measured, case by case, keep the others, and renew the tables."""
    for name in names:
        rows = {"time": throughput, "accuracy": accuracy}[what](name, CASES[name].load())
        record([{"case": name, **row} for row in rows])
        print(f"{name}: done", flush=True)
    renew_tables(timing.read(HERE))


def record(made: Rows) -> None:
    """Put rows in the place of those of the same kind and case."""
    replaced = {(row["what"], row["case"]) for row in made}
    kept = timing.read(HERE) if (HERE / "results.jsonl").is_file() else []
    rows = [row for row in kept if (row["what"], row["case"]) not in replaced] + made
    rows.sort(key=lambda row: list(CASES).index(row["case"]))
    timing.write(HERE, rows, timing.conditions())


def renew_tables(rows: Rows) -> None:
    """Write the tables into README.md."""
    readme = HERE / "README.md"
    pattern = re.compile(re.escape(MARKS[0]) + ".*" + re.escape(MARKS[1]), re.DOTALL)
    text = pattern.sub(lambda _: MARKS[0] + page(rows) + MARKS[1], readme.read_text(encoding="utf-8"))
    write_text(readme, text)


def main(arguments: Sequence[str]) -> None:
    """``time | accuracy [case, ...]``, ``tables``, or ``serve ...`` for a worker."""
    torch.set_num_threads(1)
    verb, rest = arguments[0], list(arguments[1:])
    if verb == "serve":
        serve(*rest)
    elif verb == "tables":
        renew_tables(timing.read(HERE))
    else:
        measure(rest or list(CASES), verb)


if __name__ == "__main__":
    main(sys.argv[1:])
