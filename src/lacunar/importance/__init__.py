"""Scores that rank weights: one rule, one file. :mod:`lacunar.sparsity.scope` turns scores into masks."""
