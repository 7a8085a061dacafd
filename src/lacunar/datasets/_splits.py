"""What the data sets share: subsets, validation parts, and ids that go on from the training to the test examples."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import torch
from torch import Tensor

from lacunar.core.errors import BadInput
from lacunar.core.rng import generator_of
from lacunar.data.data_set import Splits
from lacunar.data.examples import Examples

Normalize = tuple[tuple[float, ...], tuple[float, ...]]


def splits(
    train: Examples,
    test: Examples,
    *,
    n_train: int | None,
    n_test: int | None,
    validation: float,
    tuning: float,
    seed: int,
    normalize: Normalize | None = None,
    classes: tuple[str, ...] = (),
) -> Splits:
    """The parts that a user asked for: subsets first, then validation and tuning out of the training subset."""
    train, test = subset(train, n_train, "n_train"), subset(test, n_test, "n_test")
    if not validation and not tuning:
        return Splits(train, test, normalize, classes=classes)
    held, tuned, kept = stratified(train.y, seed, validation=validation, tuning=tuning)
    parts = (train.take(part) if len(part) else None for part in (held, tuned))
    return Splits(train.take(kept), test, normalize, next(parts), classes, tuning=next(parts))


def numbered(x: Tensor, y: Tensor, first_id: int = 0) -> Examples:
    """Examples whose ids are their positions, counted from ``first_id``."""
    return Examples.of(x, y, torch.arange(first_id, first_id + len(y)))


def subset(examples: Examples, n: int | None, setting: str) -> Examples:
    """The first examples of each class, ``n`` in all, in stored order; None keeps everything.

    Classes are balanced: each gives n // classes, and the lowest labels one more when that leaves a rest.

    Raises:
        BadInput: ``n`` < 1, or more than the smallest class can give.
    """
    if n is None or n == len(examples):
        return examples
    counts = examples.class_counts()
    if n < 1:
        raise BadInput(f"{setting} must be at least 1, or None for all examples, got {n}")
    quota = {label: n // len(counts) + (i < n % len(counts)) for i, label in enumerate(counts)}
    for label, wanted in quota.items():
        if wanted > counts[label]:
            raise BadInput(
                f"{setting}={n} needs {wanted} examples of class {label}, which has {counts[label]}; ask for at most "
                f"{min(counts.values()) * len(counts)}, or None for all {len(examples)}"
            )
    firsts = [(examples.y == label).nonzero().reshape(-1)[:wanted] for label, wanted in quota.items()]
    return examples.take(torch.cat(firsts).sort().values)


def stratified(y: Tensor, seed: int, **shares: float) -> tuple[Tensor, ...]:
    """Positions in disjoint parts, ascending: of each class these shares, rounded, drawn at random; and the rest.

    Each share keeps its draw when those behind it change.

    Raises:
        BadInput: a share outside [0, 1), or shares that take none or all of a class; the share is named.
    """
    for name, share in shares.items():
        check_share(name, share)
    part = torch.full((len(y),), len(shares))
    generator = generator_of(seed, "split")
    for label in torch.unique(y):
        members = (y == label).nonzero().reshape(-1)
        members = members[torch.randperm(len(members), generator=generator)]
        left = len(members)
        for number, (name, share) in enumerate(shares.items()):
            count = round(share * len(members))
            if share and not 0 < count < left:
                raise BadInput(
                    f"{name}={share} would hold out {count} of the {left} examples of class {int(label)}; each class "
                    "needs at least one in each part"
                )
            part[members[len(members) - left :][:count]] = number
            left -= count
    return tuple((part == number).nonzero().reshape(-1) for number in range(len(shares) + 1))


def check_share(name: str, share: float) -> None:
    """Raise :class:`BadInput` unless ``share`` of a training set can be held out."""
    if not 0 <= share < 1:
        raise BadInput(f"{name} is the share of the training set to hold out, 0 <= share < 1, got {share}")


def columns_named(features: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    """The positions of ``names`` among ``features``.

    Raises:
        BadInput: a name that is not among them; the nearest ones are named.
    """
    place = {name: i for i, name in enumerate(features)}
    for name in names:
        if name not in place:
            near = difflib.get_close_matches(name, features, n=3) or list(features)[:3]
            raise BadInput(f"there is no column {name!r}; there are {', '.join(near)}, ... ({len(features)} in all)")
    return tuple(place[name] for name in names)
