"""Following channels through any net by running it once, with torch-pruning."""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any

from torch import nn

from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.data.batches import Inputs
from lacunar.sparsity.channels.channel import Channels, Part

_MAKERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def dependent_channels(model: nn.Module, example: Inputs) -> list[Channels]:
    """The prunable channels of a net, from its autograd graph on ``example``.

    Only groups of convolutions, linear layers and BatchNorm are taken, at whole and equal offsets. Operations without
    weights are not known by name here, so one that moves zero (adding one, a sigmoid) shows up only when
    :func:`lacunar.sparsity.compact.compact` compares outputs.

    Raises:
        NotApplicable: torch-pruning is not installed.
    """
    try:
        import torch_pruning
    except ImportError as error:
        raise NotApplicable(
            f"torch.fx cannot trace {type(model).__name__}, and following its channels otherwise needs torch-pruning: "
            'pip install "lacunar[prune]"'
        ) from error
    probe = copy.deepcopy(model).eval()
    graph = torch_pruning.DependencyGraph().build_dependency(probe, example)
    names = {id(module): name for name, module in probe.named_modules()}
    found = [_channels(probe, names, list(group)) for group in graph.get_all_groups()]
    return [channels for channels in found if channels is not None]


def _channels(model: nn.Module, names: dict[int, str], items: list[Any]) -> Channels | None:
    makers, buffers, readers = [], [], []
    sources, size = 0, len(items[0].idxs)
    for item in items:
        module, path = item.dep.target.module, names.get(id(item.dep.target.module))
        if path is None:
            continue
        if not isinstance(module, (*_MAKERS, *_NORMS)) or not _aligned(item.idxs, size) or not _ungrouped(module):
            return None
        repeat = len(item.idxs) // size
        if isinstance(module, _MAKERS) and item.dep.handler.__name__.endswith("in_channels"):
            readers.append(Part(f"{path}.weight", 1, repeat))
            continue
        sources += isinstance(module, _MAKERS)
        makers += [Part(f"{path}.{name}", 0, repeat) for name, p in module.named_parameters() if p is not None]
        buffers += [Part(f"{path}.{name}", 0, repeat) for name, b in module.named_buffers() if b.ndim]
    live = named.parameters(model)
    plain = all(part.name in live for part in chain(makers, readers))
    if not (plain and makers and readers):
        return None
    return Channels(makers[0].name, size, tuple(makers), tuple(buffers), tuple(readers), tied=sources > 1)


def _aligned(idxs: list[int], size: int) -> bool:
    return len(idxs) % size == 0 and list(idxs) == list(range(len(idxs)))


def _ungrouped(module: nn.Module) -> bool:
    return getattr(module, "groups", 1) == 1
