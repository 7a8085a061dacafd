"""Running a closed-form method on the last linear layer alone."""

from __future__ import annotations

import copy
from dataclasses import replace

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
    forget, corrected = last.features(problem.forget), problem.corrected
    after = None
    if corrected is not None and len(corrected):
        before = problem.forget.where(corrected.ids)
        same = corrections.same_inputs(before, corrected)
        after = forget.where(corrected.ids).labelled(corrected.y) if same else last.features(corrected)
    retain = last.features(problem.retain) if len(problem.retain) else forget.take(forget.ids[:0])
    head = copy.deepcopy(last.head)
    free = problem.movable(model)
    where = None if free is None else {part: free[f"{last.name}.{part}".lstrip(".")] for part in named.parameters(head)}
    small = replace(
        problem, model=head, retain=retain, forget=forget, corrected=after, recipe=last.alone(), mask=None, where=where
    )
    for part, value in named.weights(method.unlearn(head, small)).items():
        named.write(model, {f"{last.name}.{part}".lstrip("."): value})
    problem.run.notes.append(f"only the head {last.name!r} was updated, on features that were computed once")
    return model
