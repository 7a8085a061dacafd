"""What a plug-in must be given: one table for every kind, checked before anything is computed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from functools import wraps
from operator import attrgetter
from typing import Any

from lacunar.core.errors import NotApplicable, unknown


@dataclass(frozen=True)
class Need:
    """Something that a plug-in may need.

    Attributes:
        words: what it is, for the one who must supply it.
        where: per kind of plug-in that may need it, the argument of its verb that offers it, and where in it: a path
            that begins with the argument's name. Of a sequence (the trials of an evaluator) every one must offer it.
    """

    words: str
    where: Mapping[str, str]

    def met(self, kind: str, given: Mapping[str, Any]) -> bool:
        """Whether these arguments offer it: something, and if it has a length then not an empty one."""
        argument, _, path = self.where[kind].partition(".")
        offers = given[argument] if isinstance(given.get(argument), (list, tuple)) else [given.get(argument)]
        return all(_is_there(attrgetter(path)(offer) if path else offer) for offer in offers)


NEEDS: dict[str, Need] = {
    "retain": Need("retained or corrected examples to train on", {"methods": "problem.edited"}),
    "retained": Need("examples that were retained as they are", {"evaluators": "trials.outcome.problem.retain"}),
    "examples": Need("examples that the model is to keep", {"importance": "basis.examples", "pruners": "examples"}),
    "rng": Need("a source of randomness (rng=)", {"pruners": "rng"}),
    "forget": Need(
        "the examples to forget",
        {"methods": "problem.forget", "importance": "basis.forget", "evaluators": "trials.outcome.problem.forget"},
    ),
    "retraining": Need(
        "a recipe that can train again (build=)",
        {"methods": "problem.recipe.build", "evaluators": "trials.outcome.problem.recipe.build"},
    ),
    "corrected": Need("corrected rows (corrected=)", {"methods": "problem.corrected"}),
    "tuning": Need("held-out examples to tune on (tuning=)", {"methods": "problem.tuning"}),
    "mask": Need("the mask of a pruned model (mask=)", {"methods": "problem.mask"}),
    "trace": Need("a record of the first training (trace=)", {"methods": "problem.trace"}),
    "state": Need("a state computed while the data was there (state=)", {"methods": "problem.state"}),
    "held_out": Need("held-out examples that only the judge has (held_out=)", {"evaluators": "trials.held_out"}),
    "oracles": Need("retrained oracles (oracles=)", {"evaluators": "trials.oracles"}),
}


def check_names(kind: str, name: str, needs: frozenset[str]) -> None:
    """Refuse a class whose ``needs`` the table does not know.

    Raises:
        BadInput: a need that there is not, or not for this kind of plug-in; those that there are, are listed.
    """
    known = [need for need, entry in NEEDS.items() if kind in entry.where]
    for need in sorted(needs):
        if need not in known:
            raise unknown(f"need of {name}", need, known)


def require(kind: str, name: str, needs: frozenset[str], given: Mapping[str, Any]) -> None:
    """Refuse arguments of a plug-in's verb that do not offer all that it needs.

    Args:
        given: the arguments by name.

    Raises:
        NotApplicable: something is missing; it is named.
    """
    for need in sorted(needs):
        if not NEEDS[need].met(kind, given):
            raise NotApplicable(f"{name} needs {NEEDS[need].words}, and none is given")


def needs_first(verb: Callable[..., Any], declared: Callable[..., Any]) -> Callable[..., Any]:
    """``verb`` of a plug-in's class, called only when its arguments offer all that the plug-in needs.

    Args:
        declared: the verb as the kind of plug-in declares it, whose arguments have the names that the table knows.
    """
    signature = inspect.signature(declared)

    @wraps(verb)
    def checked(self: Any, *args: Any, **more: Any) -> Any:
        require(self.kind, self.name(), self.needs, signature.bind(self, *args, **more).arguments)
        return verb(self, *args, **more)

    return checked


def _is_there(part: Any) -> bool:
    return part is not None and (not isinstance(part, Sized) or len(part) > 0)
