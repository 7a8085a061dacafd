"""``compact``: a smaller net without the channels that ``prune`` has masked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from lacunar.core.errors import BadInput
from lacunar.core.files import read_json, write_json
from lacunar.core.masks import Mask
from lacunar.core.weights import save_mask, save_model
from lacunar.data.batches import Inputs
from lacunar.jobs import run_folder
from lacunar.jobs.job import Job
from lacunar.jobs.prune import probe
from lacunar.jobs.request import Request
from lacunar.jobs.run_folder import BASE, COMPACT, MASK
from lacunar.jobs.told import Told, unlearning_of
from lacunar.jobs.train import check_fit
from lacunar.jobs.words import Given, needed, read
from lacunar.sparsity.channels.cut import sizes_of
from lacunar.sparsity.compact import Compacted, compact
from lacunar.training.watch import Watch


@dataclass(frozen=True, eq=False)
class Compacting(Job[Compacted]):
    """A checked request to cut dead channels out.

    Attributes:
        given: what was named.
        model, mask: the sparse model.
        example: prepared inputs.
    """

    given: Given
    model: nn.Module
    mask: Mask
    example: Inputs

    result: ClassVar[str] = BASE
    title: ClassVar[str] = "compacting"

    def record(self) -> dict[str, Any]:
        return run_folder.record(self.given.request, self.given.seen)

    def do(self, watch: Watch) -> Compacted:
        return compact(self.model, self.mask, self.example)

    def save(self, folder: Path, made: Compacted) -> None:
        write_json(folder / COMPACT, made.record())
        if made.mask is not None:
            save_mask(folder / MASK, made.mask)
        save_model(folder / BASE, made.model)

    def tell(self, folder: Path) -> Told:
        found = read_json(folder / COMPACT)
        named = zip(("parameters", "multiply-adds"), sizes_of(found), strict=True)
        sizes = [f"{name}: {size[0]:,} before, {size[1]:,} after" for name, size in named if size is not None]
        lines = (f"weights: {folder / BASE}", *sizes)
        return Told({"weights": str(folder / BASE), **found}, lines, hint=unlearning_of(folder, self.given.request))


def check(request: Request) -> Compacting:
    """Check a request to cut dead channels out of the model of a folder that ``prune`` wrote.

    Raises:
        BadInput: no such folder, a model that is dense or cut already, files that do not fit together.
    """
    needed(request.weights, "--weights")
    given = read(request)
    if given.request.compact is not None:
        raise BadInput(f"the model of {given.request.compact} is cut already")
    if given.mask is None or given.model is None:
        raise BadInput("the model is dense: only channels that a pruner has masked can be cut out; see lacunar prune")
    check_fit(given)
    return Compacting(given, given.model, given.mask, probe(given))
