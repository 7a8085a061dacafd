"""What the scenarios share."""

from __future__ import annotations

from torch import Tensor

from lacunar.core.errors import BadInput, sample_of
from lacunar.data.examples import Source
from lacunar.unlearning.scenario import Posed


def deletion(train: Source, forget_ids: Tensor, notes: tuple[str, ...] = ()) -> Posed:
    """Plain deletion of ``forget_ids``, with the classes that disappear named.

    Raises:
        BadInput: ids that the training set does not have, or nothing left to retain.
    """
    left = train.without(forget_ids)
    if len(left) == 0:
        raise BadInput(f"all {len(train)} training examples are to be forgotten: nothing is left to retain")
    vanished = sorted(set(train.class_counts()) - set(left.class_counts()))
    return Posed(forget_ids, train, forgotten_classes=tuple(vanished), notes=notes)


def share_of(fraction: float, n: int) -> int:
    """``fraction`` of ``n`` examples, rounded to the nearest whole number.

    Raises:
        BadInput: a fraction outside (0, 1), or one so small that nothing is drawn.
    """
    if not 0 < fraction < 1:
        raise BadInput(f"fraction must lie strictly between 0 and 1, got {fraction}")
    if (count := round(fraction * n)) < 1:
        raise BadInput(f"fraction={fraction} of {n} examples rounds to none; ask for a larger share")
    return count


def members(train: Source, label: int) -> Tensor:
    """The ids of a class, in stored order.

    Raises:
        BadInput: labels that are not classes, or a class that no training example has; the classes are listed.
    """
    counts = train.class_counts()
    if not counts:
        raise BadInput(
            "the labels of these data are not classes, so no class can be forgotten; use random_subset or ids"
        )
    if label not in counts:
        raise BadInput(f"no training example has label {label}; the labels are {sample_of(counts, 20)}")
    return train.ids[train.y == label].cpu()
