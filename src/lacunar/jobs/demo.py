"""The demonstration: wrong labels that a net has memorized are deleted in several ways, and each way is audited."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch

from lacunar.auditing.audit import Audit, audit
from lacunar.auditing.oracles import train_oracles
from lacunar.catalog.registry import parse
from lacunar.core.rng import generator_of
from lacunar.data.data_set import Splits
from lacunar.data.examples import Source
from lacunar.jobs.job import Say
from lacunar.jobs.told import Told
from lacunar.machine.memory import keep_memory
from lacunar.report.evidence import Item
from lacunar.report.table import Table
from lacunar.training.recipe import Recipe
from lacunar.training.trainer import PlainTrainer
from lacunar.unlearning.problem import Problem

# The settings of l1_sparse suit this net and this request; those of the others are what one would try first.
METHODS = (
    "do_nothing",
    "fine_tune:epochs=5,lr=0.05,batch_size=16,weight_decay=0.002",
    "random_label:epochs=10,lr=0.02,batch_size=32,weight_decay=0.002",
    "l1_sparse:epochs=20,lr=0.1,batch_size=32,weight_decay=0.002,gamma=0.004,finetune_share=0.3",
    "retrain",
)
SHOWN = "l1_sparse"
EXAMPLES, WRONG = 600, 48


@dataclass(frozen=True)
class Demonstration:
    """What the demonstration found.

    Attributes:
        table: one row per method, and one for the retrained models.
        audits: by method.
    """

    table: Table
    audits: dict[str, Audit]

    def save(self, folder: Path) -> Path:
        """Write the report of each method into a folder of its own; returns that of ``SHOWN``."""
        for name, found in self.audits.items():
            found.save(folder / name / "report.html")
        return folder / SHOWN / "report.html"


def perform(out: Path, *, seed: int = 0, oracles: int = 5, say: Say | None = None) -> Told:
    """Carry out the demonstration, and write a report for each method.

    Args:
        out: folder of the reports.
        say: is told what happens; None to be quiet.
    """
    keep_memory()
    torch.set_num_threads(1)  # nets this small only wait for further threads
    found = demonstrate(seed, oracles, say or (lambda line: None))
    report, shown = found.save(out), found.audits[SHOWN]
    rows = [dict(zip(found.table.columns, row, strict=True)) for row in found.table.rows]
    lines = (f"{SHOWN}: {shown.verdict}: {shown.reason}", f"report: {report}")
    return Told({"report": str(report), "rows": rows}, lines, (found.table,))


def demonstrate(seed: int = 0, oracles: int = 5, say: Say = lambda line: None) -> Demonstration:
    """Train a net on digits of which some carry wrong labels, delete those, and compare with retrained nets.

    Args:
        oracles: how many nets are retrained without the wrong labels; all methods are compared with the same ones.
        say: is told what happens.
    """
    splits = parse("datasets", f"digits:n_train={EXAMPLES}").load()
    problem = _problem(splits, seed, say)
    say(f"retraining {oracles} nets without them, for comparison")
    retrained = [oracle.model for oracle in train_oracles(problem, oracles, PlainTrainer())]
    audits: dict[str, Audit] = {}
    for line in METHODS:
        method = parse("methods", line)
        say(f"deleting with {method.line()}, and auditing the result")
        audits[method.name()] = audit(method(problem), splits.test, oracles=retrained, seed=seed)
    return Demonstration(_table(audits), audits)


def _problem(splits: Splits, seed: int, say: Say) -> Problem:
    train, wrong = _mislabelled(splits.train, seed)
    build = parse("models", "mlp:hidden=128").shaped(train)
    recipe = Recipe(build, epochs=30, lr=0.1, batch_size=16, weight_decay=0.002, normalize=splits.normalize)
    say(f"training a net on {len(train)} digits, {len(wrong)} of them with wrong labels: the ones to delete")
    return Problem.of(recipe.fit(train, seed), train, wrong, recipe, seed, device="cpu")


def _mislabelled(train: Source, seed: int) -> tuple[Source, torch.Tensor]:
    generator = generator_of(seed, "wrong labels")
    chosen = torch.randperm(len(train), generator=generator)[:WRONG].sort().values
    classes = len(train.class_counts())
    y = train.y.clone()
    y[chosen] = (y[chosen] + torch.randint(1, classes, (WRONG,), generator=generator)) % classes
    return train.labelled(y), train.ids[chosen]


def _table(audits: dict[str, Audit]) -> Table:
    items = {name: {item.name: item for item in found.items} for name, found in audits.items()}
    rows = [_row(name, items[name], audits[name]) for name in audits]
    return Table(
        f"Deleting {WRONG} wrong labels that a net has memorized",
        ("method", "forget acc.", "retain acc.", "test acc.", "MIA AUC", "verdict", "seconds"),
        (*rows, _oracle_row(items[SHOWN])),
        "acc. in %; forget: as labelled (wrongly), so a clean model is low; MIA AUC: forgotten against never-seen "
        "examples; every number should be that of the retrained models",
    )


def _row(name: str, item: dict[str, Item], found: Audit) -> tuple[str, ...]:
    ua, ra, ta, auc = (item[key].value for key in ("ua", "ra", "ta", "auc_forget_vs_control"))
    verdict = f"{found.verdict} ({code})" if (code := _code(found)) else found.verdict
    numbers = (_number(None if ua is None else 100 - ua), _number(ra), _number(ta), _number(auc, 3))
    return (name, *numbers, verdict, _number(found.cost["seconds"]))


def _code(found: Audit) -> str:
    return next((i.code for i in found.items if i.mandatory and i.verdict == found.verdict and i.code), "")


def _oracle_row(item: dict[str, Item]) -> tuple[str, ...]:
    ua, ra, ta, auc = (mean(item[key].oracles) for key in ("ua", "ra", "ta", "auc_forget_vs_control"))
    k = len(item["ua"].oracles)
    return (f"mean of {k} retrained", _number(100 - ua), _number(ra), _number(ta), _number(auc, 3), "", "")


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
