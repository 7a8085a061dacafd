"""Cutting channels out of a net, and building the smaller net again from a record."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from lacunar.core.errors import BadInput, sample_of
from lacunar.sparsity.channels.channel import Part

FORMAT = "lacunar-compact-1"

_LAYERS = (nn.modules.conv._ConvNd, nn.Linear, nn.modules.batchnorm._BatchNorm)


@dataclass(frozen=True)
class Cut:
    """Which channels of a layer are left, and all the tensors that they run through.

    Attributes:
        name: the first weight that makes them.
        size: how many there were.
        kept: the old indices of those that are left, ascending: new index -> old index.
        parts: the tensors to cut.

    Raises:
        BadInput: indices that are not ascending, out of range, or none.
    """

    name: str
    size: int
    kept: tuple[int, ...]
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        ordered = all(a < b for a, b in itertools.pairwise(self.kept))
        if not self.kept or not ordered or self.kept[0] < 0 or self.kept[-1] >= self.size:
            raise BadInput(
                f"the kept channels of {self.name} are not ascending indices below {self.size}: {sample_of(self.kept)}"
            )


@dataclass(frozen=True)
class SmallerBuild:
    """A ``Recipe.build`` of the smaller net: initialised as the whole net is, then cut.

    Attributes:
        build: makes the whole net.
        cuts: what is taken out of it.
    """

    build: Callable[[], nn.Module]
    cuts: tuple[Cut, ...]

    def __call__(self) -> nn.Module:
        return cut(self.build(), self.cuts)


def cut(model: nn.Module, cuts: Sequence[Cut]) -> nn.Module:
    """A copy of ``model`` with only the kept channels of each cut.

    Raises:
        BadInput: cuts made for another architecture.
    """
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for part, size in ((p, c.size) for c in cuts for p in c.parts):
        if not _fits(model, state.get(part.name), part, size):
            raise BadInput(f"the cut of {part.name} into {size} channels does not fit this architecture")
    smaller = copy.deepcopy(model)
    smallest = sliced({name: t.detach() for name, t in state.items()}, cuts)
    for path in {part.name.rpartition(".")[0] for c in cuts for part in c.parts}:
        module = smaller.get_submodule(path)
        for name, old in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            new = smallest[f"{path}.{name}" if path else name].clone()
            setattr(module, name, nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new)
        _resize(module)
    return smaller


def _fits(model: nn.Module, tensor: Tensor | None, part: Part, size: int) -> bool:
    if tensor is None or part.dim >= tensor.ndim or tensor.shape[part.dim] != size * part.repeat:
        return False
    return isinstance(model.get_submodule(part.name.rpartition(".")[0]), _LAYERS)


def sliced(values: Mapping[str, Tensor], cuts: Sequence[Cut]) -> dict[str, Tensor]:
    """Tensors by name (weights, a mask), those that the cuts run through with the kept channels only."""
    left = dict(values)
    for c in cuts:
        for part in c.parts:
            if part.name in left:
                old = left[part.name]
                kept = torch.zeros(c.size, dtype=torch.bool)
                kept[list(c.kept)] = True
                index = kept.repeat_interleave(part.repeat).nonzero().reshape(-1)
                left[part.name] = old.index_select(part.dim, index.to(old.device))
    return left


def record_of(cuts: Sequence[Cut]) -> dict[str, Any]:
    """The cuts as JSON values: with the architecture, enough to build the smaller net again."""
    return {"format": FORMAT, "cuts": [asdict(c) for c in cuts]}


def cuts_of(record: Any) -> tuple[Cut, ...]:
    """The cuts of a saved record.

    Raises:
        BadInput: a record of another format, or a damaged one.
    """
    return _saved(record).cuts


def sizes_of(record: Any) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """What a saved record says of parameters and of multiply-adds, each before and after; None where not counted.

    Raises:
        BadInput: as :func:`cuts_of`.
    """
    saved = _saved(record)
    if saved.parameters is None:
        raise BadInput("the record of the compacted net is damaged: it does not say how many parameters there are")
    return saved.parameters, saved.multiply_adds


@dataclass(frozen=True)
class _Saved:
    cuts: tuple[Cut, ...]
    parameters: tuple[int, int] | None = None
    multiply_adds: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        # A tensor that is cut twice along one dimension would be read beyond its end.
        along = Counter((part.name, part.dim) for c in self.cuts for part in c.parts)
        if twice := [name for (name, _), times in along.items() if times > 1]:
            raise BadInput(f"{sample_of(twice)} would be cut twice")


def _saved(record: Any) -> _Saved:
    found = record.get("format") if isinstance(record, dict) else None
    if found != FORMAT:
        raise BadInput(f"this is no record of a compacted net: its format is {found!r}, not {FORMAT!r}")
    try:
        return TypeAdapter(_Saved).validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(
            f"the record of the compacted net is damaged at {where or 'its cuts'}: {first['msg']}"
        ) from error


def _resize(module: nn.Module) -> None:
    weight: Tensor = module.weight  # type: ignore[assignment]
    if isinstance(module, nn.modules.conv._ConvNd):
        if module.groups > 1:
            module.groups = weight.shape[0]
        module.out_channels, module.in_channels = weight.shape[0], weight.shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, nn.modules.batchnorm._BatchNorm):
        module.num_features = weight.shape[0]
