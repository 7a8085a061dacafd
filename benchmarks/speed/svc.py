"""The SVC attack of published tables: one direct call against rounded rows, equal ones merged.

``python -m benchmarks.speed.svc`` (ten minutes on one thread, needs LACUNAR_DATA) replaces svc.jsonl and svc.md; with
the word ``table`` it only renews the latter. The attacked net is a real one, trained until it fits; predictions are
compared before anything is timed.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.svm import SVC
from tests.oracles import svc_attack

from benchmarks import timing
from lacunar.catalog.registry import parse
from lacunar.data.examples import Source
from lacunar.evaluators.attacks.legacy_mia import LegacyMia
from lacunar.training.recipe import Recipe

RESULTS, PAGE = (Path(__file__).with_name(f"svc.{ending}") for ending in ("jsonl", "md"))
JUDGED, SIZES = 4500, (2000, 10_000)
PUBLIC, OURS, SOLVED = "direct call", "ours", "direct call, tolerance 1e-6"
ALIKE = 0.999
"""The least share of predictions that ours must share with either direct call."""
ABOUT = """# What does the SVC attack of published tables cost?

A support vector machine, `SVC(C=3, gamma="auto", kernel="rbf")`, is fitted on the probability of the true label of as
many training as test examples, and calls {judged:,} forgotten ones members or not. The direct call is
`tests/oracles/svc_attack.py`; ours is the evaluator `legacy_mia`, which rounds the probabilities to {rounding:g},
gives equal ones to the machine once, with their number as weight (the same optimum for rounded inputs), solves to a
tolerance of 1e-4 instead of 1e-3, and asks about each distinct judged value once. The direct call at a tolerance of
1e-6 tells which answer is the right one where the two differ; it is not timed. Processor seconds of fit and
predictions, one thread; how many times cheaper: median and range over {rounds} interleaved rounds. "Original" was
trained on the forgotten examples, "retrained" was not. Made by `python -m benchmarks.speed.svc` from svc.jsonl, whose
first line holds versions, processor and load.

{table}
"""

Array = np.ndarray[Any, Any]
Rows = list[dict[str, Any]]


class Attack(NamedTuple):
    """Confidences of one attacked net: training rows, test rows, and those to be judged."""

    members: Array
    others: Array
    judged: Array


def confidences(model: torch.nn.Module, source: Source, recipe: Recipe) -> Array:
    """The probability of the true label, ``[n]`` float64."""
    p = recipe.predict(model, source).double().softmax(1)
    return np.asarray(p.gather(1, source.y.cpu()[:, None]).squeeze(1).numpy())


def attacks() -> Iterator[tuple[str, Attack]]:
    """Fashion-MNIST nets that fit their training set, one that saw the judged examples and one that did not."""
    largest = max(SIZES)
    data = parse("datasets", f"fashion_mnist:n_train={largest + JUDGED},n_test={largest}").load()
    every = torch.arange(len(data.train))
    retain, forget = data.train.take(every[:largest]), data.train.take(every[largest:])
    build = parse("models", "mlp").shaped(data.train)
    recipe = Recipe(build, epochs=40, lr=0.1, weight_decay=0.0, normalize=data.normalize, precision="float32")
    for name, seen in (("original", data.train), ("retrained", retain)):
        model = recipe.fit(seen, 0)
        yield name, Attack(*(confidences(model, part, recipe) for part in (retain, data.test, forget)))


def solved(attack: Attack) -> Array:
    """The direct call, so exact that solving it further changes nothing."""
    machine = SVC(C=3, gamma="auto", kernel="rbf", tol=1e-6)
    labels = np.repeat([1, 0], [len(attack.members), len(attack.others)])
    machine.fit(np.concatenate([attack.members, attack.others])[:, None], labels)
    return np.asarray(machine.predict(attack.judged[:, None]) == 1)


def measure(name: str, attack: Attack) -> Rows:
    """Check that the ways agree on the judged rows, then time them; one row of what they say, then one per run."""
    ways: dict[str, Callable[[], Array]] = {
        PUBLIC: lambda: svc_attack.called_members(*attack),
        OURS: lambda: LegacyMia().called_members(*attack),
    }
    called = {**{way: call() for way, call in ways.items()}, SOLVED: solved(attack)}
    same = {f"{a} = {b}": int((called[a] == called[b]).sum()) for a, b in itertools.combinations(called, 2)}
    if min(same[f"{PUBLIC} = {OURS}"], same[f"{OURS} = {SOLVED}"]) < ALIKE * len(attack.judged):
        raise SystemExit(f"{name}: of {len(attack.judged)} predictions only these are the same: {same}")
    efficacy = {way: 100 * float(np.mean(~found)) for way, found in called.items()}
    rows: Rows = [{"what": "predictions", "judged": len(attack.judged), "same": same, "efficacy": efficacy}]
    found = timing.race({way: timing.here(call) for way, call in ways.items()})
    rows += [{"what": "runs", **row} for row in found]
    return [{"net": name, "rows": len(attack.members) + len(attack.others), **row} for row in rows]


def page(rows: Rows) -> str:
    """The tables with what must be said about them."""
    head = ["net", "rows", "direct call, s", "ours, s", "times cheaper", "efficacy, direct call", "efficacy, ours"]
    speed = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    alike: list[str] = []
    for said in (row for row in rows if row["what"] == "predictions"):
        case = {"net": said["net"], "rows": said["rows"]}
        runs = [row for row in rows if row["what"] == "runs" and {key: row[key] for key in case} == case]
        name = f"{said['net']} | {said['rows']:,}"
        seconds = " | ".join(f"{timing.median(runs, way):.3f}" for way in (PUBLIC, OURS))
        efficacy = " | ".join(f"{said['efficacy'][way]:.2f} %" for way in (PUBLIC, OURS))
        speed.append(f"| {name} | {seconds} | {timing.ratio(runs, PUBLIC, OURS)} | {efficacy} |")
        if not alike:
            alike = [f"| net | rows | {' | '.join(said['same'])} |", f"|{' --- |' * (2 + len(said['same']))}"]
        shares = [f"{n:,} of {said['judged']:,}" for n in said["same"].values()]
        alike.append(f"| {name} | {' | '.join(shares)} |")
    table = "\n".join([*speed, "", "Judged examples that two ways call the same:", "", *alike])
    return ABOUT.format(judged=JUDGED, rounds=timing.ROUNDS, rounding=LegacyMia().rounding, table=table)


def main(arguments: list[str]) -> None:
    """Measure on one thread, or with ``table`` only renew the page."""
    torch.set_num_threads(1)
    rows: Rows = []
    for name, whole in () if arguments else attacks():
        for n in SIZES:
            rows += measure(name, Attack(whole.members[:n], whole.others[:n], whole.judged))
    timing.renew(RESULTS, PAGE, rows, page)


if __name__ == "__main__":
    main(sys.argv[1:])
