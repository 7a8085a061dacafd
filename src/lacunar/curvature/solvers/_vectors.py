"""Right-hand sides and dampings, checked, and vectors in the order of the right-hand side."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.named import Named


def vector(values: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> Tensor:
    """All entries in float64; values read from a file have the same keys in another order."""
    named.same_keys(values, like)
    return named.flat({name: values[name] for name in like}).double()


def unvector(x: Tensor, like: Mapping[str, Tensor]) -> Named:
    """The inverse of :func:`vector`, in the precision of ``like``."""
    return {name: t.to(like[name]) for name, t in named.unflat(x, like).items()}


def check_damping(damping: float, positive: bool = False) -> None:
    """Raise :class:`BadInput` unless it is at least 0, or above."""
    if not (damping > 0 if positive else damping >= 0):
        raise BadInput(f"the damping must be {'>' if positive else '>='} 0, got {damping}")


def check_iteration(rtol: float, max_iter: int) -> None:
    """Raise :class:`BadInput` unless there is a tolerance to reach and an iteration to reach it in."""
    if not rtol > 0 or max_iter < 1:
        raise BadInput(f"rtol must be > 0 and max_iter >= 1, got {rtol} and {max_iter}")
