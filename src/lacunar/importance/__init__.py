"""Scores that rank weights: one rule, one file. :mod:`lacunar.sparsity.selection` turns scores into masks."""
