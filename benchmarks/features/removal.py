"""Certified removal of columns against retraining: residual, noise, utility of what is released, time, budget.

``python -m benchmarks.features.removal run`` writes results.jsonl and environment.json beside this file;
``... tables`` writes removal.md from what is there. Data come from the folder that LACUNAR_DATA names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, log_loss

from benchmarks import timing
from lacunar.catalog.registry import find
from lacunar.core.files import write_text
from lacunar.core.rng import numpy_generator
from lacunar.data.corrections import blank
from lacunar.data.data_set import Splits
from lacunar.data.examples import Examples
from lacunar.exact_unlearners.certified_linear import CertifiedLinear
from lacunar.lab.pages import plus_minus
from lacunar.lab.table import Estimate
from lacunar.report.table import Table, markdown
from lacunar.training.recipe import Recipe

HERE = Path(__file__).parent
SETTINGS = {"l2": 1.0, "epsilon": 0.1, "delta": 0.01, "releases": 20}
SEEDS, ROUNDS, REQUESTS = range(5), 3, 20
ADULT = [
    "marital-status=Never-married",
    "marital-status=Divorced",
    "marital-status=Separated",
    "marital-status=Widowed",
    "marital-status=Married-spouse-absent",
    "marital-status=Married-AF-spouse",
    "relationship=Not-in-family",
    "relationship=Own-child",
    "relationship=Unmarried",
    "relationship=Wife",
    "relationship=Other-relative",
    "race=Black",
    "race=Asian-Pac-Islander",
    "race=Amer-Indian-Eskimo",
    "race=Other",
]
"""The sensitive columns of arXiv:2108.11577."""


@dataclass(frozen=True)
class Case:
    """A data set and which columns can be asked for; ``sizes`` of them are drawn by seed, None for all."""

    dataset: str
    names: Callable[[], Sequence[str]]
    sizes: tuple[int | None, ...]


CASES = (
    Case("adult", lambda: ADULT, (None,)),
    Case("pima", lambda: ("Pregnancies", "BMI", "Age"), (None,)),
    Case("enron", lambda: (HERE / "names.txt").read_text(encoding="utf-8").split(), (1, 10, 50, 100)),
)


def measured(data: Splits, columns: Sequence[int], seed: int, rounds: int = ROUNDS, **settings: Any) -> dict[str, Any]:
    """One request: what it took, what it left, and what the released model is worth, beside retraining."""
    train = data.train
    assert isinstance(train, Examples) and isinstance(data.test, Examples)
    fresh = CertifiedLinear(**{**SETTINGS, **settings})
    original = fresh.fit(train, Recipe(), seed)
    # A model that was not trained to the end would make every edit look good.
    assert original.residual < 1e-8 * len(train)
    edited_train, edited_test = blank(train, columns), blank(data.test, columns)
    edited = original.edit(columns=columns)
    retrained = fresh.fit(edited_train, Recipe(), seed)
    start = _weights(original)
    uses = timing.race(
        {
            "edit": timing.here(lambda: original.edit(columns=columns)),
            "retrain, newton": timing.here(lambda: fresh.fit(edited_train, Recipe(), seed)),
            "retrain, l-bfgs": timing.here(lambda: _lbfgs(edited_train, fresh.l2, None)),
            "retrain warm, l-bfgs": timing.here(lambda: _lbfgs(edited_train, fresh.l2, start)),
        },
        rounds,
    )
    entry = edited.record[-1]
    return {
        "columns": len(columns),
        "seed": seed,
        "touched": int((train.x != edited_train.x).reshape(len(train), -1).any(1).sum()),
        "residual_unchanged": _residual(edited_train, start, fresh.l2),
        "residual_edit": entry.residual,
        "residual_lbfgs": _residual(edited_train, _lbfgs(edited_train, fresh.l2, None), fresh.l2),
        "residual_lbfgs_warm": _residual(edited_train, _lbfgs(edited_train, fresh.l2, start), fresh.l2),
        "sigma": entry.sigma,
        "mu": entry.mu,
        "released": _utility(edited, edited_test),
        "retrained": _utility(retrained, edited_test),
        "occluded": _utility(original, edited_test),
        "majority": float(data.test.y.bincount().max() / len(data.test)),
        "seconds": {name: timing.median(uses, name) for name in ("edit", *sorted({u["variant"] for u in uses}))},
    }


def spent(data: Splits, columns: Sequence[int], seed: int, requests: int = REQUESTS) -> dict[str, Any]:
    """The budget after as many requests of one column each as the noise was made for, and what the next one meets."""
    model = CertifiedLinear(**{**SETTINGS, "releases": requests}).fit(data.train, Recipe(), seed)
    order = numpy_generator(seed, "requests").permutation(len(columns))[:requests]
    for place in order:
        model = model.edit(columns=[columns[place]])
    residuals = [entry.residual for entry in model.record[1:]]
    last = model.record[-1]
    return {
        "seed": seed,
        "requests": len(order),
        "residual_quantiles": np.quantile(residuals, [0.5, 0.9, 1.0]).tolist(),
        "tolerance": last.tolerance,
        "spent": last.spent,
        "left": last.left,
        "retrainings": sum(entry.what == "retrain" for entry in model.record),
    }


def _weights(model: CertifiedLinear) -> np.ndarray[Any, Any]:
    assert model._state is not None
    return model._state.theta[:, 0]


def _rows(examples: Examples) -> Any:
    x = examples.x
    assert isinstance(x, torch.Tensor)
    flat = np.concatenate([x.double().numpy(), np.ones((len(x), 1))], 1)
    return csr_array(flat) if np.count_nonzero(flat) < 0.2 * flat.size else flat


def _lbfgs(examples: Examples, l2: float, start: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
    model = LogisticRegression(C=1 / l2, fit_intercept=False, tol=1e-6, max_iter=1000, warm_start=start is not None)
    if start is not None:
        model.classes_, model.coef_ = np.array([0, 1]), start[None].copy()
    found: np.ndarray[Any, Any] = model.fit(_rows(examples), examples.y.numpy()).coef_[0]
    return found


def _residual(examples: Examples, weights: np.ndarray[Any, Any], l2: float) -> float:
    x = _rows(examples)
    return float(np.linalg.norm(x.T @ (expit(x @ weights) - examples.y.numpy()) + l2 * weights))


def _utility(model: CertifiedLinear, test: Examples) -> dict[str, float]:
    z, y = model.predict(test.x), test.y.numpy()
    score = (z[:, 1] - z[:, 0]).numpy()
    return {
        "accuracy": float(((score > 0) == y).mean()),
        "macro_f1": float(f1_score(y, score > 0, average="macro")),
        "pr_auc": float(average_precision_score(y, score)),
        "loss": float(log_loss(y, expit(score))),
    }


def rows(cases: Sequence[Case] = CASES, seeds: Sequence[int] = SEEDS, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Every case, size and seed, for both mechanisms; and the budget after many requests where there are enough."""
    found = []
    for case in cases:
        source = find("datasets", case.dataset)
        data, columns = source.load(), source.columns(*case.names())
        for size in case.sizes:
            for seed in seeds:
                drawn = numpy_generator(seed, "columns", size).permutation(len(columns))[:size]
                chosen = [columns[place] for place in sorted(drawn)]
                for mechanism in ("output", "objective"):
                    row = measured(data, chosen, seed, rounds, mechanism=mechanism)
                    found.append({"what": "request", "dataset": case.dataset, "mechanism": mechanism, **row})
        if len(columns) >= REQUESTS:
            found += [{"what": "budget", "dataset": case.dataset, **spent(data, columns, seed)} for seed in seeds]
    return found


def page(found: Sequence[dict[str, Any]]) -> str:
    """The tables as Markdown."""
    requests = [row for row in found if row["what"] == "request"]
    groups: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for row in requests:
        groups.setdefault((row["dataset"], row["columns"], row["mechanism"]), []).append(row)
    tables = [_certificates(groups), _utilities(groups), _budgets([row for row in found if row["what"] == "budget"])]
    return "\n".join(markdown(table) for table in tables if table.rows)


Groups = dict[tuple[str, int, str], list[dict[str, Any]]]
RESIDUALS = ("unchanged", "edit", "lbfgs", "lbfgs_warm")
TIMES = ("edit", "retrain, newton", "retrain, l-bfgs", "retrain warm, l-bfgs")


def _case(key: tuple[str, int, str]) -> tuple[str, ...]:
    return key[0], str(key[1]), key[2]


def _certificates(groups: Groups) -> Table:
    rows = []
    for key, part in groups.items():
        residuals = (f"{np.median([row[f'residual_{name}'] for row in part]):.1e}" for name in RESIDUALS)
        worst = f"{max(row['residual_edit'] for row in part):.1e}"
        seconds = (f"{np.median([row['seconds'][name] for row in part]):.2g}" for name in TIMES)
        rows.append((*_case(key), *residuals, worst, f"{np.median([row['sigma'] for row in part]):.1e}", *seconds))
    heads = ("data", "columns", "noise", "unchanged", "edit", "L-BFGS", "warm L-BFGS", "edit, worst", "sigma")
    times = ("edit, s", "Newton, s", "L-BFGS, s", "warm L-BFGS, s")
    note = "Norm of the gradient on the edited data (medians over seeds, and the worst edit), and processor seconds."
    return Table("Residual and time", (*heads, *times), tuple(rows), note)


def _utilities(groups: Groups) -> Table:
    rows = []
    for key, part in groups.items():

        def told(of: Callable[[dict[str, Any]], float], part: Sequence[dict[str, Any]] = part) -> str:
            return plus_minus(Estimate.of(of(row) for row in part))

        cells = [
            told(lambda row, model=model, name=name: row[model][name])
            for name in ("macro_f1", "accuracy", "pr_auc")
            for model in ("released", "retrained", "occluded")
        ]
        gap = told(lambda row: row["released"]["loss"] - row["retrained"]["loss"])
        rows.append((*_case(key), *cells, f"{part[0]['majority']:.3f}", gap))
    names = [
        f"{name}: {model}"
        for name in ("macro-F1", "accuracy", "PR-AUC")
        for model in ("released", "retrained", "occluded")
    ]
    heads = ("data", "columns", "noise", *names, "accuracy of the majority", "loss: released - retrained")
    n = len(next(iter(groups.values()), []))
    return Table(
        "Worth of the models on edited test data",
        heads,
        tuple(rows),
        f"Mean and half of a 95 % interval, n = {n} seeds.",
    )


def _budgets(found: Sequence[dict[str, Any]]) -> Table:
    rows = tuple(
        (
            row["dataset"],
            str(row["seed"]),
            str(row["requests"]),
            *(f"{q:.1e}" for q in row["residual_quantiles"]),
            f"{row['tolerance']:.1e}",
            f"{row['spent']:.4f}",
            f"{row['left']:.4f}",
            str(row["retrainings"]),
        )
        for row in found
    )
    residuals = ("residual, median", "90 %", "largest", "tolerance")
    heads = ("data", "seed", "requests", *residuals, "mu spent", "mu left", "retrainings")
    return Table("The budget after many requests of one column each", heads, rows)


def main(arguments: Sequence[str]) -> None:
    """``run`` or ``tables``."""
    if list(arguments) not in (["run"], ["tables"]):
        raise SystemExit(__doc__)
    if arguments[0] == "run":
        torch.set_num_threads(1)
        timing.write(HERE, rows(), timing.conditions())
    print(write_text(HERE / "removal.md", "# Removing columns\n\n" + page(timing.read(HERE))))


if __name__ == "__main__":
    main(sys.argv[1:])
