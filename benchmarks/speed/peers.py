"""Two closed-form methods, called as users call them, against the public way of doing the same.

``python -m benchmarks.speed.peers`` (two minutes on a quiet machine, one thread) checks that results are equal,
measures, and writes peers.jsonl and peers.md; with the word ``table`` it only renews the latter. Nets are fresh and
images random, since time does not depend on them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from benchmarks.speed.curvature import Rows, equal, fresh, images, one_gradient, raced

from benchmarks import timing
from lacunar.core import named
from lacunar.core.named import Named
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import weighted_sum
from lacunar.methods.closed_form.fisher_forgetting import FisherForgetting
from lacunar.methods.closed_form.influence import Influence, removal_gradient
from lacunar.training import forward
from lacunar.unlearning.problem import Problem

RESULTS, PAGE = (Path(__file__).with_name(f"peers.{ending}") for ending in ("jsonl", "md"))
CASES = {"small_cnn, 1x28x28": ("small_cnn", (1, 28, 28)), "resnet8, 3x32x32": ("resnet:depth=8", (3, 32, 32))}
WALKED, SOLVED = 32, 256
ONE, WALK = "one example at a time", f"graph of a batch of {WALKED} walked per example"
ABOUT = """# Two methods against the public way

Processor milliseconds per retained example, one thread, and how many times cheaper: median and range over {rounds}
interleaved rounds. Ours is the whole call, `method(problem)`. Made by `python -m benchmarks.speed.peers` from
peers.jsonl, whose first line holds versions, processor and load.

{tables}
"""
SECTIONS = {
    "fisher_forgetting": (
        f"The default: every label of {WALKED} examples, weighted by its probability. The public ways make the same\n"
        "Fisher diagonal and stop there; ours adds the noise as well. The cost of a walk grows with the batch.",
        (ONE, WALK),
    ),
    "influence": (
        f"{SOLVED} examples in the matrix. The published loop takes one example at a time and does not solve the\n"
        'system; "reference" is the method\'s mode that gives the same result, "exact" solves.',
        (ONE,),
    ),
}
"""What is said of each method, and what it is compared with."""


def walked(problem: Problem, batch_size: int) -> Named:
    """The Fisher diagonal, a mean over the retained examples, by one backward pass per example and label."""
    live = named.parameters(problem.model)
    total = {name: torch.zeros_like(w) for name, w in live.items()}
    for batch in problem.retain.batches(batch_size):
        log_p = forward.logits(problem.model, problem.recipe.prepare(batch.x)).log_softmax(1)
        for one in log_p:
            for value in one:
                grads = torch.autograd.grad(value, list(live.values()), retain_graph=True)
                for t, g in zip(total.values(), grads, strict=True):
                    t.addcmul_(g, g, value=float(value.detach().exp()) / len(problem.retain))
    return total


def published(problem: Problem, m: int) -> Named:
    """The update of the published influence code for M = ``m``, by its loop over single examples."""
    k = removal_gradient(problem.model, problem)
    o = weighted_sum(Objective.of(problem.model, problem.retain.take(torch.tensor([0])), problem.recipe))
    for i in range(1, m + 2):
        g = one_gradient(problem.model, problem.retain.take(torch.tensor([i])), problem.recipe)
        tau = named.dot(o, g)
        k, o = named.add(k, o, -named.dot(k, g) / (m + tau)), named.scale(o, 1 - tau / (m + tau))
    return k


def posed(case: str, retained: int) -> Problem:
    """A fresh net that is to forget ten of its examples."""
    line, shape = CASES[case]
    model, recipe = fresh(line, shape)
    return Problem.of(model, images(retained + 10, shape), torch.arange(10), recipe, device="cpu")


def recursion(problem: Problem, m: int) -> Named:
    """The update of our mode "reference", before it is rounded into the weights."""
    v = removal_gradient(problem.model, problem)
    return Influence(samples=m, mode="reference").reference(problem.model, problem, v)


def measure(case: str) -> Rows:
    """Both methods on one net: equal results first, then the race."""
    problem, method = posed(case, WALKED), FisherForgetting()
    apart = equal({"ours": lambda: method.fisher(problem.model, problem), ONE: lambda: walked(problem, 1)})
    ways = {
        "ours": lambda: named.weights(method(problem).model),
        ONE: lambda: walked(problem, 1),
        WALK: lambda: walked(problem, WALKED),
    }
    rows = raced("fisher_forgetting", case, WALKED, ways, apart)
    larger, m = posed(case, SOLVED), SOLVED - 2
    exact, same = Influence(samples=SOLVED), Influence(samples=m, mode="reference")
    apart = equal({"ours": lambda: recursion(larger, m), ONE: lambda: published(larger, m)})
    ways = {
        "ours, exact": lambda: named.weights(exact(larger).model),
        "ours, reference": lambda: named.weights(same(larger).model),
        ONE: lambda: published(larger, m),
    }
    return rows + raced("influence", case, SOLVED, ways, apart)


def page(rows: Rows) -> str:
    """The tables with what must be said about them."""
    parts: list[str] = []
    for what, (said, baselines) in SECTIONS.items():
        head = ["net", "way", "ms per example", *(f"times cheaper than: {baseline}" for baseline in baselines)]
        lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
        for case in CASES:
            runs = [row for row in rows if (row["what"], row["case"]) == (what, case)]
            for way in sorted({row["variant"] for row in runs}, reverse=True):
                cost = timing.median(runs, way) / runs[0]["examples"] * 1e3
                cells = [case, way, f"{cost:.3g}", *(str(timing.ratio(runs, b, way)) for b in baselines)]
                lines.append(f"| {' | '.join(cells)} |")
        parts += [f"## {what}", "", said, "", *lines, ""]
    return ABOUT.format(rounds=timing.ROUNDS, tables="\n".join(parts).rstrip())


def main(arguments: list[str]) -> None:
    """Measure on one thread, or with ``table`` only renew the page."""
    torch.set_num_threads(1)
    rows = [] if arguments else [row for case in CASES for row in measure(case)]
    timing.renew(RESULTS, PAGE, rows, page)


if __name__ == "__main__":
    main(sys.argv[1:])
