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
    seed: int,
    normalize: Normalize | None = None,
    classes: tuple[str, ...] = (),
) -> Splits:
    """The parts that a user asked for: subsets first, then the validation part out of the training subset."""
    train, test = subset(train, n_train, "n_train"), subset(test, n_test, "n_test")
    held, kept = stratified(train.y, validation, seed) if validation else (None, None)
    return Splits(
        train if kept is None else train.take(kept),
        test,
        normalize,
        None if held is None else train.take(held),
        classes,
    )


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


def stratified(y: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Positions in two disjoint parts: ``share`` of each class, rounded, drawn at random; and the rest, both ascending.

    Raises:
        BadInput: a share outside (0, 1), or one that takes none or all of a class.
    """
    if not 0 < share < 1:
        raise BadInput(f"validation is the share of the training set to hold out, 0 <= share < 1, got {share}")
    drawn = torch.zeros(len(y), dtype=torch.bool)
    generator = generator_of(seed, "split")
    for label in torch.unique(y):
        members = (y == label).nonzero().reshape(-1)
        count = round(share * len(members))
        if not 0 < count < len(members):
            raise BadInput(
                f"validation={share} would hold out {count} of the {len(members)} examples of class {int(label)}; "
                "each class needs at least one in either part"
            )
        drawn[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return drawn.nonzero().reshape(-1), (~drawn).nonzero().reshape(-1)


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
