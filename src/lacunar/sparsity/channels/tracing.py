"""Following channels through a net by symbolic tracing."""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import fx, nn

from lacunar.core import named
from lacunar.sparsity.channels.channel import Channels, Part


def traced_channels(model: nn.Module) -> list[Channels]:
    """The prunable channels of a net that ``torch.fx`` can trace; see :func:`lacunar.sparsity.channels.channels_of`.

    Raises:
        Exception: whatever the forward pass raises when it is traced.
    """
    graph = fx.Tracer().trace(model)
    walk = _Walk(model, graph)
    for node in graph.nodes:
        walk.visit(node)
    return walk.result()


@dataclass(frozen=True)
class _Axis:
    # "map": dimension 1 of [n, channels, ...]; "vector": dimension 1 of [n, features]; "last": the last dimension of a
    # tensor of unknown rank.
    space: int
    form: str


@dataclass
class _Space:
    size: int
    fixed: bool
    sources: int = 0
    makers: list[Part] = field(default_factory=list)
    buffers: list[Part] = field(default_factory=list)
    readers: list[Part] = field(default_factory=list)


_CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
ZERO_KEEPING = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Tanh,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
)  # fmt: skip
_POOLS = (
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)  # fmt: skip
ZERO_KEEPING_CALLS = {
    torch.relu, F.relu, F.relu6, F.leaky_relu, F.elu, F.gelu, F.silu, F.mish, F.hardswish, torch.tanh, F.dropout,
    F.dropout2d, "relu", "relu_", "tanh", "contiguous",
}  # fmt: skip
_POOL_CALLS = {F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d}
_ADDITIONS = {operator.add, operator.iadd, torch.add, "add", "add_"}
_SHAPE_CALLS = {getattr, operator.getitem, "size", "dim"}


class _Walk:
    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        self.modules = dict(model.named_modules())
        self.live = named.parameters(model)
        uses = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
        self.shared = {name for name, p in self.live.items() if uses[id(p)] > 1}
        self.shared |= {str(node.target) for node in graph.nodes if node.op == "get_attr"}
        self.buffers = dict(model.named_buffers())
        self.calls = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
        self.spaces: list[_Space] = []
        self.parent: list[int] = []
        self.axes: dict[fx.Node, _Axis] = {}

    def visit(self, node: fx.Node) -> None:
        """Follow the channels through one operation."""
        if node.op == "placeholder":
            self.axes[node] = _Axis(self._new(0, fixed=True), "last")
        elif node.op == "call_module":
            self._module(node, str(node.target), self.modules[str(node.target)])
        elif node.op in ("call_function", "call_method"):
            self._call(node)
        else:
            self._unknown(node)

    def result(self) -> list[Channels]:
        """The spaces that may be pruned."""
        found = []
        for i, space in enumerate(self.spaces):
            if self.parent[i] == i and not space.fixed and space.makers:
                parts = tuple(space.makers), tuple(space.buffers), tuple(space.readers)
                found.append(Channels(space.makers[0].name, space.size, *parts, tied=space.sources > 1))
        return found

    def _module(self, node: fx.Node, path: str, module: nn.Module) -> None:
        axis = self._input(node)
        pooled = isinstance(module, _POOLS) and axis is not None and axis.form == "map"
        if isinstance(module, _CONV):
            self._conv(node, path, module, axis)
        elif isinstance(module, nn.Linear):
            self._linear(node, path, module, axis)
        elif isinstance(module, _NORM) and axis is not None and axis.form != "last":
            self._norm(node, path, module, axis)
        elif axis is not None and (pooled or isinstance(module, ZERO_KEEPING)):
            self.axes[node] = axis
        elif isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
            self._flatten(node, axis)
        else:
            self._unknown(node)

    def _call(self, node: fx.Node) -> None:
        if node.target in _SHAPE_CALLS:
            return
        axis = self._input(node)
        pooled = node.target in _POOL_CALLS and axis is not None and axis.form == "map"
        if node.target in _ADDITIONS:
            self._add(node)
        elif axis is not None and (pooled or node.target in ZERO_KEEPING_CALLS):
            self.axes[node] = axis
        elif _flattens(node):
            self._flatten(node, axis)
        elif node.target in (torch.mean, "mean") and axis is not None and axis.form == "map" and _spatial(node):
            self.axes[node] = replace(axis, form="map" if node.kwargs.get("keepdim") else "vector")
        else:
            self._unknown(node)

    def _conv(self, node: fx.Node, path: str, module: nn.Module, axis: _Axis | None) -> None:
        assert isinstance(module, _CONV)
        if axis is not None and module.groups == module.in_channels == module.out_channels and module.groups > 1:
            self._make(axis.space, path, ("weight", "bias"), module)
            self.axes[node] = replace(axis, form="map")
            return
        out = self._new(module.out_channels, fixed=module.groups > 1)
        self.spaces[out].sources = 1
        self._make(out, path, ("weight", "bias"), module)
        if axis is not None:
            self._read(axis, path, module.in_channels, allowed=axis.form == "map" and module.groups == 1)
        self.axes[node] = _Axis(out, "map")

    def _linear(self, node: fx.Node, path: str, module: nn.Linear, axis: _Axis | None) -> None:
        out = self._new(module.out_features)
        self.spaces[out].sources = 1
        self._make(out, path, ("weight", "bias"), module)
        if axis is not None:
            self._read(axis, path, module.in_features, allowed=axis.form != "map")
        self.axes[node] = _Axis(out, "vector" if axis is not None and axis.form == "vector" else "last")

    def _norm(self, node: fx.Node, path: str, module: nn.Module, axis: _Axis) -> None:
        assert isinstance(module, _NORM)
        size = self._size(axis)
        repeat = module.num_features // size if size else 1
        if not module.affine or module.num_features != size * repeat:
            self._fix(axis)
        self._make(axis.space, path, ("weight", "bias"), module, repeat)
        for name in ("running_mean", "running_var"):
            if f"{path}.{name}" in self.buffers:
                self._at(axis).buffers.append(Part(_join(path, name), 0, repeat))
        self.axes[node] = axis

    def _add(self, node: fx.Node) -> None:
        axes = [self.axes[arg] for arg in node.args if isinstance(arg, fx.Node) and arg in self.axes]
        if node.kwargs or len(axes) != 2 or axes[0].form != axes[1].form or self._size(axes[0]) != self._size(axes[1]):
            self._unknown(node)
            return
        self._unite(axes[0].space, axes[1].space)
        self.axes[node] = axes[0]

    def _flatten(self, node: fx.Node, axis: _Axis | None) -> None:
        if axis is None:
            return
        if axis.form == "last":
            # Flattening [n, length, features] would interleave the channels.
            self._fix(axis)
        self.axes[node] = replace(axis, form="vector")

    def _unknown(self, node: fx.Node) -> None:
        for source in node.all_input_nodes:
            if source in self.axes:
                self._fix(self.axes[source])
        self.axes[node] = _Axis(self._new(0, fixed=True), "last")

    def _input(self, node: fx.Node) -> _Axis | None:
        first = node.args[0] if node.args else None
        return self.axes.get(first) if isinstance(first, fx.Node) else None

    def _make(self, space: int, path: str, names: tuple[str, ...], module: nn.Module, repeat: int = 1) -> None:
        owner = self.spaces[self._root(space)]
        for name in names:
            if getattr(module, name) is not None:
                owner.makers.append(Part(_join(path, name), 0, repeat))
                owner.fixed |= not self._plain(path, name)

    def _read(self, axis: _Axis, path: str, features: int, allowed: bool) -> None:
        space = self._at(axis)
        if space.size == 0 or not allowed or features % space.size or not self._plain(path, "weight"):
            space.fixed = True
            return
        space.readers.append(Part(_join(path, "weight"), 1, features // space.size))

    def _plain(self, path: str, name: str) -> bool:
        full = _join(path, name)
        return full in self.live and full not in self.shared and self.calls[path] == 1

    def _new(self, size: int, fixed: bool = False) -> int:
        self.spaces.append(_Space(size, fixed))
        self.parent.append(len(self.parent))
        return len(self.parent) - 1

    def _root(self, space: int) -> int:
        while self.parent[space] != space:
            space = self.parent[space]
        return space

    def _at(self, axis: _Axis) -> _Space:
        return self.spaces[self._root(axis.space)]

    def _size(self, axis: _Axis) -> int:
        return self._at(axis).size

    def _fix(self, axis: _Axis) -> None:
        self._at(axis).fixed = True

    def _unite(self, a: int, b: int) -> None:
        first, second = sorted((self._root(a), self._root(b)))
        if first == second:
            return
        one, two = self.spaces[first], self.spaces[second]
        one.makers += two.makers
        one.buffers += two.buffers
        one.readers += two.readers
        one.sources += two.sources
        one.fixed |= two.fixed
        self.parent[second] = first


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _flattens(node: fx.Node) -> bool:
    if node.target in ("view", "reshape"):
        return len(node.args) == 3 and bool(node.args[2] == -1)
    start = [*node.args[1:], *node.kwargs.values()]
    return node.target in (torch.flatten, "flatten") and start == [1] and set(node.kwargs) <= {"start_dim"}


def _spatial(node: fx.Node) -> bool:
    dims = node.args[1] if len(node.args) == 2 else node.kwargs.get("dim")
    return len(node.args) < 3 and isinstance(dims, (tuple, list)) and set(dims) in ({2, 3}, {-2, -1})
