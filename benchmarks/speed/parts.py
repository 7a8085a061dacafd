"""Where the time goes: the input pipeline alone, what each change to a step brings, and the shares of a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from benchmarks.speed import public_way
from benchmarks.speed.cases import images
from torch import Tensor, nn
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import timing
from lacunar.data.batches import Batch
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe

GROUPS = {
    "convolution": ("convolution",),
    "BatchNorm": ("batch_norm",),
    "ReLU and addition": ("threshold", "clamp_min", "aten::relu", "aten::add"),
    "matrix products": ("aten::mm", "aten::addmm"),
    "optimiser": ("sgd", "Optimizer"),
}


def inputs(recipe: Recipe, examples: Examples) -> list[dict[str, Any]]:
    """Prepared batches of one epoch, and nothing done with them."""

    def resident() -> None:
        ready = recipe.for_training(0)
        for batch in examples.batches(recipe.batch_size, seed=0):
            ready(batch)

    def loader() -> None:
        for _ in public_way.loader(images(recipe, examples), recipe.batch_size):
            pass

    rows = timing.race({"ours": timing.here(resident), "public": timing.here(loader)})
    return [{"what": "inputs", "examples": len(examples), **row} for row in rows]


def step(
    model: nn.Module, batches: list[tuple[Tensor, Tensor]], layout: torch.memory_format, fused: bool
) -> Callable[[], None]:
    """Training steps over prepared batches, and nothing else."""
    model = model.to(memory_format=layout).train()  # type: ignore[call-overload]
    ready = [(x.contiguous(memory_format=layout), y) for x, y in batches]
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4, fused=fused)

    def run() -> None:
        for x, y in ready:
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def in_place(model: nn.Module) -> nn.Module:
    """The model with ReLUs that overwrite their input."""
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True
    return model


def compiled(model: nn.Module) -> nn.Module:
    """The model, compiled on its first call."""
    model.compile()
    return model


def steps(recipe: Recipe, examples: Examples) -> list[dict[str, Any]]:
    """What each change to a bare step brings, in this process."""
    batches = [(b.x, b.y) for b in _prepared(recipe, examples)]
    nchw, nhwc = torch.contiguous_format, torch.channels_last
    variants = {
        "float32 NCHW": step(recipe.fresh(0), batches, nchw, False),
        "channels_last": step(recipe.fresh(0), batches, nhwc, False),
        "channels_last, fused SGD": step(recipe.fresh(0), batches, nhwc, True),
        "channels_last, fused SGD, in-place ReLU": step(in_place(recipe.fresh(0)), batches, nhwc, True),
        "channels_last, fused SGD, compiled": step(compiled(recipe.fresh(0)), batches, nhwc, True),
    }
    rows = timing.race({name: timing.here(run) for name, run in variants.items()})
    return [{"what": "steps", "examples": len(examples), **row} for row in rows]


def shares(recipe: Recipe, examples: Examples) -> dict[str, Any]:
    """The share of each kind of operation in the processor time of ``Recipe.fit``, and the speed of convolutions."""
    recipe.fit(examples, 0)
    with profile() as found:
        recipe.fit(examples, 0)
    spent = dict.fromkeys([*GROUPS, "everything else"], 0.0)
    for event in found.key_averages():
        group = next((g for g, parts in GROUPS.items() if any(p in event.key for p in parts)), "everything else")
        spent[group] += event.self_cpu_time_total * 1e-6
    total = sum(spent.values())
    row: dict[str, Any] = {"what": "profile", "shares": {group: s / total for group, s in spent.items()}}
    if spent["convolution"] > 0:
        flops = _convolution_flops(recipe, _prepared(recipe, examples))
        row |= {"convolution_gflops": flops / spent["convolution"] * 1e-9, "matrix_gflops": matrix_gflops()}
    return row


def matrix_gflops(size: int = 1024, repeats: int = 8) -> float:
    """The speed of float32 matrix products of this side length: what the processor can do."""
    a = torch.randn(size, size)
    a @ a
    began = time.process_time()
    for _ in range(repeats):
        a @ a
    return 2 * size**3 * repeats / (time.process_time() - began) * 1e-9


def _prepared(recipe: Recipe, examples: Examples) -> Iterable[Batch]:
    ready = recipe.for_training(0)
    return [ready(batch) for batch in examples.batches(recipe.batch_size, seed=0)]


def _convolution_flops(recipe: Recipe, batches: Iterable[Batch]) -> float:
    model = recipe.fresh(0)
    with FlopCounterMode(display=False) as counter:
        for batch in batches:
            assert isinstance(batch.x, Tensor)
            F.cross_entropy(model(batch.x), batch.y).backward()
    counts = counter.get_flop_counts()["Global"]
    return float(sum(n for op, n in counts.items() if "convolution" in str(op)))
