"""Running a closed-form method on the last linear layer alone."""

from __future__ import annotations

import copy
from dataclasses import replace

from torch import nn

from lacunar.core import named
from lacunar.curvature.trunk import Trunk
from lacunar.data import corrections
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem


def on_head(method: Method, model: nn.Module, problem: Problem) -> nn.Module:
    """``method`` on the last linear layer and cached features, its result written into ``model``.

    Each row goes through the layers below once; rows with corrected labels only are not passed again.
    """
    trunk = Trunk.of(model, problem.recipe)
    forget, corrected = trunk.features(problem.forget), problem.corrected
    after = None
    if corrected is not None and len(corrected):
        before = problem.forget.where(corrected.ids)
        same = corrections.same_inputs(before, corrected)
        after = forget.where(corrected.ids).labelled(corrected.y) if same else trunk.features(corrected)
    retain = trunk.features(problem.retain) if len(problem.retain) else forget.take(forget.ids[:0])
    head = copy.deepcopy(trunk.head)
    free = problem.movable(model)
    where = (
        None if free is None else {part: free[f"{trunk.name}.{part}".lstrip(".")] for part in named.parameters(head)}
    )
    small = replace(
        problem, model=head, retain=retain, forget=forget, corrected=after, recipe=trunk.alone(), mask=None, where=where
    )
    for part, value in named.weights(method.unlearn(head, small)).items():
        named.write(model, {f"{trunk.name}.{part}".lstrip("."): value})
    problem.run.notes.append(f"only the head {trunk.name!r} was updated, on features that were computed once")
    return model
