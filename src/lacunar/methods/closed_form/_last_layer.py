"""Running a closed-form method on the last linear layer alone."""

from __future__ import annotations

import copy

from torch import nn

from lacunar.core import named
from lacunar.curvature.last_layer import LastLayer
from lacunar.data import corrections
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem


def on_head(method: Method, model: nn.Module, problem: Problem) -> nn.Module:
    """``method`` on the last linear layer and cached features, its result written into ``model``.

    Each row goes through the layers below once; rows with corrected labels only are not passed again.
    """
    last = LastLayer.of(model, problem.recipe)
    seen, corrected = last.features(problem.seen), problem.corrected
    after = None
    if corrected is not None and len(corrected):
        before = problem.forget.where(corrected.ids)
        same = corrections.same_inputs(before, corrected)
        after = seen.where(corrected.ids).labelled(corrected.y) if same else last.features(corrected)
    head = copy.deepcopy(last.head)
    free = problem.free
    where = None if free is None else {part: free[f"{last.name}.{part}".lstrip(".")] for part in named.parameters(head)}
    changed = problem.hand_to(method, head, seen=seen, corrected=after, recipe=last.alone(), mask=None, where=where)
    for part, value in named.weights(changed).items():
        named.write(model, {f"{last.name}.{part}".lstrip("."): value})
    return problem.ends(model, notes=[f"only the head {last.name!r} was updated, on features that were computed once"])
