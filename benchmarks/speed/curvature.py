"""Per-example squares, diagonals and inverse products: ours against the obvious and the public way.

``python -m benchmarks.speed.curvature`` (about eight minutes on a quiet machine, one thread) checks that results are
equal, measures, and writes curvature.jsonl and curvature.md; ``... linear columns`` measures these parts again and
leaves the others as they are, ``... tables`` only renews the page. Inputs are random images, since time does not depend
on what is in them; the solves use a net trained on digits, the part "columns" reads Enron and Adult from the folder
that LACUNAR_DATA names.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from benchmarks.speed.columns import columns
from benchmarks.speed.curvature_page import RTOL, page
from tests.oracles import curvature as oracle
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from benchmarks import timing
from lacunar.catalog.registry import parse
from lacunar.core import named
from lacunar.core.files import write_text
from lacunar.core.named import Named
from lacunar.curvature import fisher, ggn, hessian, per_example
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import weighted_sum
from lacunar.curvature.solvers.cg import Cg, Products
from lacunar.curvature.solvers.lissa import Lissa
from lacunar.curvature.solvers.solution import Solution
from lacunar.data.examples import Examples
from lacunar.methods.closed_form.influence import Influence, removal_gradient
from lacunar.training import forward
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "curvature.jsonl", HERE / "curvature.md"
EQUAL = 1e-4

Rows = list[dict[str, Any]]
Ways = Mapping[str, Callable[[], Named]]


def images(n: int, shape: tuple[int, ...] = (3, 32, 32)) -> Examples:
    """Random uint8 images of ten classes."""
    pixels = torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return Examples.of(pixels, torch.arange(n) % 10)


def fresh(line: str, shape: tuple[int, ...] = (3, 32, 32)) -> tuple[nn.Module, Recipe]:
    """A net of the catalog at initialisation, in eval mode, and its recipe."""
    recipe = Recipe(dataclasses.replace(parse("models", line), inputs=shape, classes=10))
    return recipe.fresh(0).eval(), recipe


def loop_of_one(model: nn.Module, examples: Examples, recipe: Recipe) -> Named:
    """A clean loop: one forward and one backward per example."""
    live = named.parameters(model)
    total = {name: torch.zeros_like(w) for name, w in live.items()}
    for one in examples.batches(1):
        loss = recipe.losses(forward.logits(model, recipe.prepare(one.x)), one.y).sum()
        for t, g in zip(total.values(), torch.autograd.grad(loss, list(live.values())), strict=True):
            t.addcmul_(g, g)
    return total


def plain_vmap(model: nn.Module, examples: Examples, recipe: Recipe) -> Named:
    """``vmap(grad)`` over all examples at once, no layer in closed form."""
    weights = named.weights(model)

    def loss(values: Named, x: Tensor, y: Tensor) -> Tensor:
        return recipe.losses(functional_call(model, values, (x[None],)), y[None]).sum()

    grads = vmap(grad(loss), in_dims=(None, 0, 0))(weights, recipe.prepare(examples.x), examples.y)
    return {name: g.square().sum(0) for name, g in grads.items()}


def one_gradient(model: nn.Module, examples: Examples, recipe: Recipe) -> Named:
    """The floor: one batched forward and backward over the same examples."""
    loss = recipe.losses(forward.logits(model, recipe.prepare(examples.x)), examples.y).sum()
    return named.gradient(loss, model)


def equal(ways: Ways, free: tuple[str, ...] = ()) -> float:
    """The largest relative distance between the results of the ways, those in ``free`` left out."""
    results = [way() for name, way in ways.items() if name not in free]
    gaps = [named.norm(named.add(r, results[0], -1.0)) / named.norm(results[0]) for r in results[1:]]
    if max(gaps) > EQUAL:
        raise SystemExit(f"the ways do not give the same result: {max(gaps):.1e}")
    return max(gaps)


def squares() -> Rows:
    """Sums of squared per-example gradients of nets with convolutions."""
    rows: Rows = []
    for case, line, shape in (
        ("resnet8, 3x32x32", "resnet:depth=8", (3, 32, 32)),
        ("small_cnn, 1x28x28", "small_cnn", (1, 28, 28)),
    ):
        ways = of_squares(*fresh(line, shape), 128, shape)
        rows += raced("squares", case, 128, ways, equal(ways, ("one gradient",)))
    return rows


def linear() -> Rows:
    """The same of a net of Linear layers, which all have a closed form."""
    rows: Rows = []
    for n in (512, 4096):
        model, recipe = fresh("mlp:hidden=256,depth=2", (784,))
        ways = of_squares(model, recipe, n, (784,))
        if n == 512:
            examples = images(n, (784,))
            ways["vmap, nothing in closed form"] = lambda m=model, e=examples, r=recipe: plain_vmap(m, e, r)
        else:
            del ways["graph walk, batch 128"]
        rows += raced("linear", f"mlp 784-256-256-10, {n:,} examples", n, ways, equal(ways, ("one gradient",)))
    return rows


def of_squares(model: nn.Module, recipe: Recipe, n: int, shape: tuple[int, ...]) -> dict[str, Callable[[], Named]]:
    """Ways to sum the squares of n examples, and the floor."""
    given = (model, images(n, shape), recipe)
    return {
        "ours": lambda: per_example.squared_sum(Objective.of(*given)),
        "loop of one": lambda: loop_of_one(*given),
        "graph walk, batch 128": lambda: oracle.graph_walk(*given, 128),
        "one gradient": lambda: one_gradient(*given),
    }


def diagonals() -> Rows:
    """What Gauss-Newton diagonals and products cost, in gradients."""
    model, recipe = fresh("resnet:depth=8")
    examples = images(128)
    given = (model, examples, recipe)
    v = named.weights(model)
    objective = Objective.of(*given)
    products = {"Gauss-Newton product": ggn.GaussNewton(objective), "Hessian product": hessian.Hessian(objective)}
    ways: dict[str, Callable[[], Named]] = {
        "one gradient": lambda: one_gradient(*given),
        "diagonal, 1 probe": lambda: ggn.diagonal(Objective.of(*given)),
        "diagonal, exact": lambda: ggn.exact_diagonal(Objective.of(*given)),
        **{name: lambda operator=operator: operator(v) for name, operator in products.items()},
    }
    return raced("diagonals", "resnet8, 3x32x32", 128, ways, None)


def raced(what: str, case: str, n: int, ways: Ways, apart: float | None) -> Rows:
    """Interleaved rounds of these ways."""
    found = timing.race({name: timing.here(way) for name, way in ways.items()})
    return [{"what": what, "case": case, "examples": n, "apart": apart, **row} for row in found]


def digits() -> Problem:
    """An MLP trained on digits of which a fifth have the label of another class; those are to be forgotten."""
    splits = parse("datasets", "digits:n_train=800,n_test=340").load()
    train = splits.train
    wrong = torch.arange(160)
    train = train.labelled(torch.where(torch.arange(len(train)) < 160, 9 - train.y, train.y))
    build = dataclasses.replace(parse("models", "mlp:hidden=20,depth=2").shaped(train), classes=10)
    recipe = Recipe(build, epochs=60, lr=0.05, batch_size=32, weight_decay=0.0, normalize=splits.normalize)
    return Problem.of(recipe.fit(train, 0), train, train.ids[wrong], recipe, device="cpu")


def estimates(problem: Problem) -> Rows:
    """How far estimates of the Hessian diagonal are from the exact one, and what they cost in gradients."""
    objective = Objective.of(problem.model, problem.retain, problem.recipe)
    exact = named.flat(ggn.exact_diagonal(objective))
    tenth = len(exact) // 10
    top = set(exact.topk(tenth).indices.tolist())
    found = {
        "signs, 1 probe": ggn.diagonal(objective),
        "signs, 10 probes": ggn.diagonal(objective, probes=10),
        "sampled labels, 1": ggn.sampled_diagonal(objective),
        "sampled labels, 10": ggn.sampled_diagonal(objective, samples=10),
        "given labels (empirical Fisher)": fisher.empirical(objective),
        "Hutchinson, 10 probes": hessian.hutchinson(objective, probes=10).value,
        "Hutchinson, 100 probes": hessian.hutchinson(objective, probes=100).value,
    }
    rows: Rows = []
    for name, value in found.items():
        flat = named.flat(value)
        kept = len(top & set(flat.topk(tenth).indices.tolist())) / tenth
        rows.append(
            {
                "what": "estimates",
                "variant": name,
                "error": float((flat - exact).norm() / exact.norm()),
                "overlap": kept,
                "weights": len(exact),
                "examples": len(problem.retain),
            }
        )
    return rows


def solves(problem: Problem) -> Rows:
    """Products over all examples that conjugate gradients and LiSSA need to reach the same residual, 1e-3."""
    examples = problem.retain + problem.forget.labelled(9 - problem.forget.y)
    objective = Objective.of(problem.model, examples, problem.recipe)
    b, n = weighted_sum(objective.on(problem.forget)), len(examples)
    matrix, solver = ggn.GaussNewton(objective), Cg(RTOL, 2000)
    values, vectors = torch.linalg.eigh(matrix.dense)
    along = (vectors.T @ named.flat(b).double()).square()
    rows: Rows = []
    for mu in (1.0, 0.1, 0.01, 0.001):
        damping = n * mu
        step = 1.9 / (float(values[-1]) + damping)
        batches = Lissa(step, "data", batch_size=128).solve(matrix, b, damping)
        needed = richardson_steps(values + damping, along, step)
        if needed < 100:
            confirmed = Lissa(step, batch_size=n, max_iter=needed, rtol=RTOL * 1.01)
            confirmed.solve(matrix, b, damping).need()
        found = {
            "conjugate gradients": solver.solve(Products(matrix), b, damping),
            "conjugate gradients, Jacobi": solver.solve(matrix, b, damping),
            "LiSSA, all examples, best step": Solution(b, needed, RTOL, True),
            "LiSSA, batches of 128, best step": dataclasses.replace(batches, iterations=batches.iterations * 128 // n),
        }
        for name, solution in found.items():
            row = {"variant": name, "damping": mu, "products": solution.iterations, "residual": solution.residual}
            rows.append({"what": "solves", **row, "sharpest": float(values[-1]), "examples": n})
    return rows


def richardson_steps(eigenvalues: Tensor, along: Tensor, step: float) -> int:
    """Steps of LiSSA over all examples until the residual is small enough, from the eigenvalues of its matrix.

    ``along``: squared entries of the right-hand side in the basis of eigenvectors. The residual falls steadily.
    """

    def residual(steps: int) -> float:
        return float(((1 - step * eigenvalues) ** (2 * steps + 2) @ along / along.sum()).sqrt())

    low, high = 0, 1
    while residual(high) > RTOL:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if residual(middle) > RTOL else (low, middle)
    return high


def influence() -> Rows:
    """An exact inverse-Fisher product against the published loop of one, and the published recursion done fast."""
    model, recipe = fresh("resnet:depth=8")
    every = images(300)
    problem = Problem.of(model, every, torch.arange(256, 300), recipe, device="cpu")
    v, m = removal_gradient(model, problem), 254
    first = weighted_sum(Objective.of(model, problem.retain.take(torch.tensor([0])), recipe))

    def published() -> Named:
        k, o = v, first
        for i in range(1, m + 2):
            g = one_gradient(model, every.take(torch.tensor([i])), recipe)
            tau = named.dot(o, g)
            k, o = named.add(k, o, -named.dot(k, g) / (m + tau)), named.scale(o, 1 - tau / (m + tau))
        return k

    ours = Influence(samples=m + 2, damping=0.1)
    same = Influence(samples=m, mode="reference")
    ways = {
        "published, loop of one": published,
        "published, two forward-mode passes": lambda: same.reference(model, problem, v),
        "exact, Gram": lambda: ours.exact(model, problem, v),
    }
    apart = equal(ways, ("exact, Gram",))
    right, wrong = ways["exact, Gram"](), published()
    cosine = named.dot(right, wrong) / named.norm(right) / named.norm(wrong)
    return [{**row, "cosine": cosine} for row in raced("influence", "resnet8, 3x32x32", m + 2, ways, apart)]


PARTS: dict[str, Callable[[], Rows]] = {
    "squares": squares,
    "linear": linear,
    "diagonals": diagonals,
    "influence": influence,
    "estimates": lambda: estimates(digits()),
    "solves": lambda: solves(digits()),
    "columns": columns,
}


def measured(parts: list[str]) -> Rows:
    """These parts measured anew, each part with the conditions it was measured under; the others as they were."""
    old = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()] if RESULTS.exists() else []
    kept = [row for row in old if row.get("part", row["what"]) not in parts]
    new = [{"what": "conditions", "part": part, **timing.conditions()} for part in parts]
    return [*kept, *new, *(row for part in parts for row in PARTS[part]())]


def main(arguments: list[str]) -> None:
    """Measure and write some parts or all, or renew the page only (``tables``)."""
    torch.set_num_threads(1)
    if arguments != ["tables"]:
        if unknown := set(arguments) - set(PARTS):
            raise SystemExit(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
        with threadpool_limits(1):
            rows = measured(arguments or list(PARTS))
        write_text(RESULTS, "".join(json.dumps(line) + "\n" for line in rows))
    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    write_text(PAGE, page(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
