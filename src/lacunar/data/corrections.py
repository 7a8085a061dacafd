"""Corrections of a training set: features set to zero, labels changed, inputs replaced, examples removed.

Each edit takes a training set and returns all of it as it should have been, in stored order and under the same ids, so
that edits can follow one another. What was touched is found by comparing the two:
``Problem.of(model, train, corrected=edited)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lacunar.core.errors import BadInput, sample_of
from lacunar.data.batches import Inputs
from lacunar.data.examples import Examples, Source
from lacunar.data.ids import Ids, as_ids
from lacunar.data.stream import Stream

CHUNK = 4096


def zero_features(examples: Examples, columns: Sequence[int]) -> Examples:
    """The same examples with these entries of every input set to 0.

    Args:
        columns: positions in the flattened input of one example: columns of a table, words of a bag of words, pixels.

    Raises:
        BadInput: inputs in several parts, an unknown or repeated column, or columns that are 0 everywhere already.
    """
    edited = blank(examples, columns)
    if len(differing(examples, edited)) == 0:
        raise BadInput(f"nothing to change: {len(columns)} columns are 0 in all {len(examples)} examples")
    return edited


def blank(examples: Examples, columns: Sequence[int]) -> Examples:
    """As :func:`zero_features`, for examples that may have no entry there, such as test inputs.

    Raises:
        BadInput: inputs in several parts, or an unknown or repeated column.
    """
    if not isinstance(examples.x, Tensor):
        raise BadInput("these inputs are a dict of tensors, which has no columns; give the new inputs to replace")
    edited = examples.x.reshape(len(examples), -1).clone()
    chosen = _distinct(columns, "columns")
    if wrong := [c for c in chosen.tolist() if not 0 <= c < edited.shape[1]]:
        raise BadInput(f"{sample_of(wrong)} are not columns; an input has {edited.shape[1]} of them, counted from 0")
    edited[:, chosen.to(edited.device)] = 0
    return dataclasses.replace(examples, x=edited.reshape(examples.x.shape))


def relabel(examples: Source, labels: Mapping[int, Any]) -> Source:
    """The same examples, those with the given ids with other labels.

    Raises:
        BadInput: unknown ids, labels of another shape, or labels that these examples have already.
    """
    y = examples.y.clone()
    place = _places(examples, labels)
    new = torch.stack([torch.as_tensor(v, device=y.device) for v in labels.values()])
    if new.shape[1:] != y.shape[1:] or new.is_floating_point() != y.is_floating_point():
        raise BadInput(
            f"a label here is {tuple(y.shape[1:])} {y.dtype}, but {tuple(new.shape[1:])} {new.dtype} was given"
        )
    if torch.equal(y[place], new.to(y.dtype)):
        raise BadInput(f"nothing to change: the {len(labels)} examples have these labels already")
    y[place] = new.to(y.dtype)
    return examples.labelled(y)


def replace(examples: Examples, inputs: Mapping[int, Inputs]) -> Examples:
    """The same examples, those with the given ids with other inputs: a span of text, an image.

    Raises:
        BadInput: unknown ids, inputs of another shape, or inputs that these examples have already.
    """
    place = _places(examples, inputs)
    edited = dataclasses.replace(examples, x=_replaced(examples.x, place, list(inputs.values())))
    if len(differing(examples, edited)) == 0:
        raise BadInput(f"nothing to change: the {len(inputs)} examples have these inputs already")
    return edited


def remove(examples: Source, ids: Ids) -> Source:
    """All examples but those with these ids: the edit to nothing. Name the ids in ``Problem.of(forget=...)`` too.

    Raises:
        BadInput: unknown or repeated ids.
    """
    return examples.without(_distinct(ids, "ids"))


def differing(before: Source, after: Source) -> Tensor:
    """The ids of ``after`` whose input or label is another one in ``before``, int64, in the order of ``after``.

    Raises:
        BadInput: an id that ``before`` does not have, or inputs of other shapes.
    """
    place = before.positions(after.ids)
    changed = [_differs(before, place[at], after, at) for at in _chunks(len(after))]
    return after.ids.cpu()[torch.cat(changed)] if changed else after.ids.cpu()


def same_inputs(before: Source, after: Source) -> bool:
    """Whether each example of ``after`` has in ``before`` the same input, so that only labels can differ."""
    place = before.positions(after.ids)
    return not any(bool(_inputs_differ(before, place[at], after, at).any()) for at in _chunks(len(after)))


def _chunks(n: int) -> Sequence[Tensor]:
    # Two whole sets need not fit in memory side by side.
    return torch.split(torch.arange(n), CHUNK)


def _differs(a: Source, i: Tensor, b: Source, j: Tensor) -> Tensor:
    labels = _unequal(a.y[i.to(a.y.device)], b.y[j.to(b.y.device)])
    return labels | _inputs_differ(a, i, b, j)


def _inputs_differ(a: Source, i: Tensor, b: Source, j: Tensor) -> Tensor:
    if isinstance(a, Stream) and isinstance(b, Stream) and a.dataset is b.dataset:
        return a.at[i] != b.at[j]
    left, right = a.inputs_at(i.to(a.y.device)), b.inputs_at(j.to(b.y.device))
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return _unequal(left, right)
    if isinstance(left, Tensor) or isinstance(right, Tensor) or left.keys() != right.keys():
        raise BadInput("the inputs of the two sets have other parts; a correction must have the shape of the original")
    return torch.stack([_unequal(left[key], right[key]) for key in left]).any(0)


def _unequal(a: Tensor, b: Tensor) -> Tensor:
    if a.shape != b.shape:
        raise BadInput(
            f"a correction must have the shape of the original, got {tuple(b.shape[1:])} for {tuple(a.shape[1:])}"
        )
    return (a.cpu() != b.cpu()).reshape(len(a), -1).any(1)


def _replaced(x: Inputs, place: Tensor, rows: Sequence[Any]) -> Inputs:
    if isinstance(x, dict):
        return {key: _rows_replaced(part, place, [row[key] for row in rows]) for key, part in x.items()}
    return _rows_replaced(x, place, rows)


def _rows_replaced(x: Tensor, place: Tensor, rows: Sequence[Any]) -> Tensor:
    new = torch.stack([torch.as_tensor(row, device=x.device) for row in rows])
    if new.shape[1:] != x.shape[1:]:
        raise BadInput(f"an input here has shape {tuple(x.shape[1:])}, but {tuple(new.shape[1:])} was given")
    edited = x.clone()
    edited[place.to(x.device)] = new.to(x.dtype)
    return edited


def _places(examples: Source, by_id: Mapping[int, Any]) -> Tensor:
    if not by_id:
        raise BadInput("nothing to change: no id was given")
    return examples.positions(list(by_id))


def _distinct(values: Ids, what: str) -> Tensor:
    chosen = as_ids(values)
    unique, counts = torch.unique(chosen, return_counts=True)
    if len(unique) == 0:
        raise BadInput(f"nothing to change: no {what} were given")
    if len(unique) != len(chosen):
        raise BadInput(f"the list of {what} repeats {sample_of(unique[counts > 1].tolist())}; name each once")
    return chosen
