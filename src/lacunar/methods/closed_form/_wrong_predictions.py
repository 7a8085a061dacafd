"""The edit of what a model still gets wrong: the labels it predicts become the corrected ones."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from lacunar.core.errors import NotApplicable
from lacunar.core.rng import generator_of
from lacunar.training import forward
from lacunar.unlearning.problem import Problem


def of_errors(problem: Problem, model: nn.Module, most: int, turn: int) -> Problem:
    """The same edited training set, of which at most ``most`` rows that ``model`` predicts wrongly are the edit.

    ``forget`` are these rows under the model's own argmax, as if it had been trained on that, and ``corrected`` the
    rows themselves; both are empty if nothing is wrong. More than ``most`` are drawn by seed and turn.

    Raises:
        NotApplicable: no corrected rows, or labels that are not classes.
    """
    if not problem.corrected:
        raise NotApplicable("errors are those against corrected labels, and no corrected rows are given")
    rows = problem.edited
    if rows.y.ndim != 1 or rows.y.is_floating_point() or problem.recipe.loss == "squared_error":
        raise NotApplicable("errors are wrong classes, and these labels are not one class for each example")
    own = forward.two_sided(problem.recipe.predict(model, rows)).argmax(1)
    wrong = (own != rows.y.cpu()).nonzero().reshape(-1)
    drawn = wrong[torch.randperm(len(wrong), generator=generator_of(problem.seed, "errors", turn))[:most]].sort().values
    after = rows.take(drawn.to(rows.y.device))
    seen = rows.y.clone()
    seen[drawn.to(seen.device)] = own[drawn].to(seen)
    return replace(problem, seen=rows.labelled(seen), forget_ids=after.ids.cpu(), corrected=after)
