"""Delete training data from a trained PyTorch model, and show with evidence whether it worked.

>>> problem = lacunar.Problem.of(model, train_set, forget=ids, recipe=recipe)  # doctest: +SKIP
>>> outcome = lacunar.find("methods", "l1_sparse", epochs=5)(problem)  # doctest: +SKIP
>>> audit = lacunar.audit(outcome, test=test_set, oracles=5)  # doctest: +SKIP
>>> audit.save("report.html")  # doctest: +SKIP

Importing the package loads nothing else: a public name is looked up in its module when it is first used.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lacunar.auditing.audit import audit as audit
    from lacunar.auditing.evaluator import Evaluator as Evaluator
    from lacunar.catalog.registry import find as find
    from lacunar.catalog.registry import names as names
    from lacunar.catalog.registry import parse as parse
    from lacunar.core.errors import BadInput as BadInput
    from lacunar.core.errors import NotApplicable as NotApplicable
    from lacunar.data.examples import Examples as Examples
    from lacunar.data.stream import Stream as Stream
    from lacunar.data.stream import load as load
    from lacunar.sparsity.pruner import Pruner as Pruner
    from lacunar.training.recipe import Recipe as Recipe
    from lacunar.training.watch import Watch as Watch
    from lacunar.unlearning.method import Method as Method
    from lacunar.unlearning.method import Outcome as Outcome
    from lacunar.unlearning.problem import Problem as Problem
    from lacunar.unlearning.scenario import Scenario as Scenario

    __version__: str

_HOMES = {
    "audit": "auditing.audit",
    "find": "catalog.registry",
    "names": "catalog.registry",
    "parse": "catalog.registry",
    "Examples": "data.examples",
    "BadInput": "core.errors",
    "NotApplicable": "core.errors",
    "Evaluator": "auditing.evaluator",
    "Method": "unlearning.method",
    "Outcome": "unlearning.method",
    "Problem": "unlearning.problem",
    "Pruner": "sparsity.pruner",
    "Recipe": "training.recipe",
    "Watch": "training.watch",
    "Scenario": "unlearning.scenario",
    "Stream": "data.stream",
    "load": "data.stream",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        found = getattr(importlib.import_module(f"lacunar.{_HOMES[name]}"), name)
    elif name == "Run":
        warnings.warn("lacunar.Run is called lacunar.Watch now", DeprecationWarning, stacklevel=2)
        return __getattr__("Watch")
    elif name == "__version__":
        from importlib.metadata import version

        found = version("lacunar")
    else:
        raise AttributeError(f"module 'lacunar' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
