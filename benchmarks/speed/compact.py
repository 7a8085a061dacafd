"""What half of the channels saves in a step of unlearning: dense, masked, and with the channels cut out.

``python -m benchmarks.speed.compact`` replaces compact.jsonl and compact.md (a few minutes on one thread); with the
word ``table`` it only renews the latter. All three run the same fine-tuning on the same images; masked and cut nets
hold the same numbers, which is checked first.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks import timing
from lacunar.catalog.registry import parse
from lacunar.core import masks, named
from lacunar.core.rng import generator_of
from lacunar.data.examples import Examples
from lacunar.methods.fine_tuning.fine_tune import FineTune
from lacunar.pruners.channel import Channel
from lacunar.sparsity.channels.cut import SmallerBuild
from lacunar.sparsity.compact import compact
from lacunar.training.architecture import Architecture
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem

RESULTS, PAGE = (Path(__file__).with_name(f"compact.{ending}") for ending in ("jsonl", "md"))
VARIANTS = ("dense", "element mask", "compacted")
ABOUT = """# What do half of the channels save?

Milliseconds of processor time per step of fine-tuning (one thread, float32, images of 32x32 pixels), and how many times
cheaper a step is than the dense one: median and range over five interleaved rounds of {steps} steps. "Tied" prunes the
channels along the residual path jointly, "inner only" leaves them alone. A mask saves nothing; taking the channels out
does. Made by `python -m benchmarks.speed.compact` from compact.jsonl, whose first line holds versions, processor and
load.

{table}
"""
APART = 1e-3
"""Largest difference of outputs after the timed steps, relative to the largest output: float32, through BatchNorm."""


@dataclass(frozen=True)
class Case:
    """A net, how its channels are pruned, and what is timed."""

    model: str
    pruner: Channel
    batch_size: int
    steps: int


CASES = {
    "resnet20, tied": Case("resnet:depth=20", Channel(0.5, residual="tie"), 64, 3),
    "resnet20, inner only": Case("resnet:depth=20", Channel(0.5), 64, 3),
    "vgg16_bn, width 32": Case("vgg16_bn:width=32", Channel(0.5), 32, 3),
}


def problems(case: Case) -> dict[str, Problem]:
    """The same unlearning problem for the dense, the masked and the compacted net."""
    generator = torch.Generator().manual_seed(0)
    n = case.steps * case.batch_size + 10
    x = torch.randint(0, 256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8)
    examples = Examples.of(x, torch.arange(n) % 10)
    build = parse("models", case.model)
    assert isinstance(build, Architecture)
    shaped = build.shaped(examples)
    recipe = Recipe(shaped, precision="float32")
    dense, masked = recipe.fresh(0), recipe.fresh(0)
    mask = case.pruner.mask(dense, None, generator_of(0))
    named.write(masked, masks.keep(named.weights(masked), mask))
    small = compact(masked, mask, recipe.prepare(x[:8]))
    smaller = replace(recipe, build=SmallerBuild(shaped, small.cuts))

    def posed(model: nn.Module, how: Recipe, live: masks.Mask | None) -> Problem:
        return Problem.of(model, examples, torch.arange(10), how, device="cpu", mask=live)

    return {
        "dense": posed(dense, recipe, None),
        "element mask": posed(masked, recipe, mask),
        "compacted": posed(small.model, smaller, small.mask),
    }


def measure(name: str, case: Case) -> list[dict[str, Any]]:
    """Check that masked and compacted agree after the steps, then time all three."""
    method = FineTune(epochs=1, batch_size=case.batch_size)
    posed = problems(case)
    x = posed["dense"].recipe.prepare(torch.as_tensor(posed["dense"].retain.x[:32]))
    after = {v: method(posed[v]).model for v in ("element mask", "compacted")}
    with torch.no_grad():
        one, two = (model(x) for model in after.values())
    gap = float((one - two).abs().max() / one.abs().max())
    if gap > APART:
        raise SystemExit(f"{name}: masked and compacted nets differ by {gap:.2g} after {case.steps} steps")
    sizes = {v: named.count(named.weights(p.model)) for v, p in posed.items()}
    rows = timing.race({v: timing.here(lambda p=p: method(p)) for v, p in posed.items()})
    return [{"case": name, "steps": case.steps, "weights": sizes[r["variant"]], "gap": gap, **r} for r in rows]


def page(rows: list[dict[str, Any]]) -> str:
    """The table with what must be said about it."""
    lines = ["| net | variant | weights | ms per step | times cheaper |", "| --- | --- | --- | --- | --- |"]
    for name in dict.fromkeys(row["case"] for row in rows):
        own = [row for row in rows if row["case"] == name]
        for variant in VARIANTS:
            row = next(r for r in own if r["variant"] == variant)
            cost = 1000 * timing.median(own, variant) / row["steps"]
            times = "1" if variant == "dense" else str(timing.ratio(own, "dense", variant))
            lines.append(f"| {name} | {variant} | {row['weights']:,} | {cost:.0f} | {times} |")
    return ABOUT.format(steps=rows[0]["steps"], table="\n".join(lines))


def main(arguments: list[str]) -> None:
    """Measure all cases on one thread, or with ``table`` only renew the page."""
    torch.set_num_threads(1)
    rows = [] if arguments else [row for name, case in CASES.items() for row in measure(name, case)]
    timing.renew(RESULTS, PAGE, rows, page)


if __name__ == "__main__":
    main(sys.argv[1:])
