"""Gradients per example, Fisher, Gauss-Newton and Hessian matrices, and solves with them: exact, and on ``Named``.

Every function takes one :class:`~lacunar.curvature.objective.Objective`: the model runs in eval mode, without autocast,
in float32 (float64 if its weights are), on inputs prepared by the recipe, under the recipe's loss. Sums run over the
examples and are never divided by their number. Where only some weights are free only their block is computed; results
keep the model's keys and are exactly 0 outside.
"""
