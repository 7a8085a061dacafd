"""What tests of several verbs share."""

from __future__ import annotations

EXPERIMENT = """
dataset = "synthetic:n_train=80,n_test=40,classes=3,shape=[6],validation=0.25"
model = "mlp:hidden=8"
scenarios = ["random_subset:fraction=0.2"]
methods = ["do_nothing"]
evaluators = ["accuracy"]
seeds = [0]
oracles = 2
"""
"""An experiment of a second."""

VERBS = [
    "demo",
    "train",
    "select",
    "unlearn",
    "audit",
    "check",
    "run",
    "report",
    "methods",
    "metrics",
    "datasets",
    "doctor",
]
