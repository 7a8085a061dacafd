"""The data set inside a ``DataLoader``, when the loader adds nothing to it but batches and an order."""

from __future__ import annotations

from typing import Any

from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
    default_convert,
)

from lacunar.core.errors import BadInput


def unwrapped(dataset: Any) -> Any:
    """``dataset`` itself, or the one inside a plain ``DataLoader``: all of its items, once each, as they are.

    Raises:
        BadInput: a loader whose sampler, ``collate_fn`` or ``drop_last`` chooses or changes examples, or one that wraps
            an iterable.
    """
    if not isinstance(dataset, DataLoader):
        return dataset
    if isinstance(dataset.dataset, IterableDataset):
        raise BadInput("the DataLoader reads from an iterable, whose items have no numbers; give a list of its items")
    if why := _changes(dataset):
        raise BadInput(
            f"the DataLoader has {why}, which may choose or change examples; give its .dataset, with everything that "
            "training saw in it"
        )
    return dataset.dataset


def _changes(loader: DataLoader[Any]) -> str | None:
    if loader.collate_fn not in (default_collate, default_convert):
        return f"the collate_fn {getattr(loader.collate_fn, '__name__', type(loader.collate_fn).__name__)!r}"
    if loader.batch_sampler is not None and type(loader.batch_sampler) is not BatchSampler:
        return f"the batch sampler {type(loader.batch_sampler).__name__}"
    sampler = loader.sampler
    if type(sampler) is RandomSampler:
        whole = not sampler.replacement and sampler.num_samples == len(sampler.data_source)
        return None if whole else "a sampler that draws with replacement or another number of examples"
    if type(sampler) is not SequentialSampler:
        return f"the sampler {type(sampler).__name__}"
    return "drop_last without shuffling" if loader.drop_last else None
