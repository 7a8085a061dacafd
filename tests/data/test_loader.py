import pytest
import torch
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

from lacunar.core.errors import BadInput
from lacunar.data.loader import unwrapped

DATA = TensorDataset(torch.arange(6.0)[:, None], torch.arange(6) % 2)


def test_a_plain_loader_is_its_data_set():
    for loader in (
        DataLoader(DATA, batch_size=4),
        DataLoader(DATA, batch_size=4, shuffle=True, drop_last=True),
        DataLoader(DATA, batch_size=None),
    ):
        assert unwrapped(loader) is DATA
    assert unwrapped(DATA) is DATA


class Endless(IterableDataset):
    def __iter__(self):
        yield torch.zeros(1), 0


def jittered(items):
    return default_collate(items)


class Pairwise(torch.utils.data.BatchSampler):
    pass


@pytest.mark.parametrize(
    ("loader", "what"),
    [
        (DataLoader(DATA, collate_fn=jittered), "the collate_fn 'jittered'.*give its .dataset"),
        (DataLoader(DATA, sampler=SubsetRandomSampler([0, 1])), "the sampler SubsetRandomSampler"),
        (DataLoader(DATA, sampler=WeightedRandomSampler([1.0] * 6, 6)), "the sampler WeightedRandomSampler"),
        (DataLoader(DATA, sampler=RandomSampler(DATA, replacement=True)), "draws with replacement"),
        (DataLoader(DATA, sampler=RandomSampler(DATA, num_samples=3)), "another number of examples"),
        (DataLoader(DATA, batch_sampler=Pairwise(range(6), 2, False)), "the batch sampler Pairwise"),
        (DataLoader(DATA, batch_size=4, drop_last=True), "drop_last without shuffling"),
        (DataLoader(Endless()), "reads from an iterable"),
    ],
)
def test_a_loader_that_chooses_or_changes_examples_is_refused(loader, what):
    with pytest.raises(BadInput, match=what):
        unwrapped(loader)
