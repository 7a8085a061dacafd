"""Whether logits are piecewise linear in each weight tensor, read off the graph of operations."""

from __future__ import annotations

import re

from torch import Tensor

from lacunar.curvature.objective import Objective


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


LINEAR = _names(
    """
    Add Sub Neg Sum Mean T Transpose Permute View UnsafeView Reshape ReshapeAlias Expand Squeeze Unsqueeze Clone
    ToCopy Alias Cat Stack Select Slice Split SplitWithSizes Unbind Index IndexSelect Gather AsStrided Flip
    Roll Repeat Diagonal ConstantPadNd ReflectionPad1D ReflectionPad2D ReplicationPad1D ReplicationPad2D
    Embedding EmbeddingBag AvgPool1D AvgPool2D AvgPool3D AdaptiveAvgPool1D AdaptiveAvgPool2D AdaptiveAvgPool3D
    MkldnnAdaptiveAvgPool2D UpsampleNearest1D UpsampleNearest2D UpsampleBilinear2D PixelShuffle PixelUnshuffle Im2Col
    Col2Im Cumsum MaskedFill Tril Triu Unfold Unflatten AccumulateGrad
    """
)
"""Linear in all their inputs together."""

PIECEWISE = _names(
    """
    Relu Threshold LeakyRelu Hardtanh Clamp ClampMin ClampMax Abs Max Min Maximum Minimum Amax Amin MaxPool2DWithIndices
    MaxPool3DWithIndices AdaptiveMaxPool2D AdaptiveMaxPool3D Where Sort Topk
    """
)
"""Piecewise linear in all their inputs together; what selects a piece is locally constant."""

PRODUCTS = _names(
    """
    Mul Mm Bmm Mv Dot Addmm Baddbmm Addmv Addbmm Linear Convolution MkldnnConvolution CudnnConvolution PreluKernel
    NativeBatchNorm CudnnBatchNorm MiopenBatchNorm Addcmul
    """
)
"""Linear in each input while the others are held: allowed when no two inputs share a weight."""


def piecewise_linear(objective: Objective) -> bool:
    """Whether the logits are piecewise linear in each weight tensor while all others are held.

    Then the Hessian of any smooth loss of the logits and its Gauss-Newton matrix agree on the block of each weight
    tensor, hence on the diagonal. Decided by a walk over the operations that made the logits of one example: sums,
    views, pools, rectifiers pass; products pass when their factors depend on different weights, which excludes tied
    weights, attention and gates. An operation that is not known counts as curved. Call inside ``objective.open()``.
    """
    one = next(objective.batches(1))
    leaves = {name: w.detach().requires_grad_() for name, w in objective.weights.items()}
    return _weights_below(objective.logits(leaves, one.x).grad_fn) is not None


def _weights_below(root: object) -> frozenset[int] | None:
    # Post-order without recursion: graphs are deep. The value of a node is the set of weights that it depends on.
    known: dict[object, frozenset[int]] = {}
    stack = [root]
    while stack:
        node = stack[-1]
        inputs = [child for child, _ in getattr(node, "next_functions", ()) if child is not None]
        waiting = [child for child in inputs if child not in known]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        if node in known:
            continue
        sets = [known[child] for child in inputs]
        if not _allowed(node, sets):
            return None
        leaf = getattr(node, "variable", None)
        known[node] = frozenset([id(leaf)]) if isinstance(leaf, Tensor) else frozenset().union(*sets)
    return known[root]


def _allowed(node: object, sets: list[frozenset[int]]) -> bool:
    name = re.sub(r"Backward\d*$", "", type(node).__name__)
    if name in LINEAR or name in PIECEWISE:
        return True
    if name == "Div":
        return len(sets) == 1 and _denominator_is_fixed(node)
    return name in PRODUCTS and sum(len(s) for s in sets) == len(frozenset().union(*sets))


def _denominator_is_fixed(node: object) -> bool:
    following: list[tuple[object, int]] = list(getattr(node, "next_functions", ()))
    return following[1:] == [] or following[1][0] is None
