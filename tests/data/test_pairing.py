import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.core.rng import seed_of
from lacunar.data.pairing import pair


def ids(batches, name):
    return [b[name].ids.tolist() for b in batches]


def test_an_epoch_passes_once_over_the_longest_and_repeats_the_others(tiny):
    stays, goes, few = tiny.take(torch.arange(9)), tiny.take(torch.arange(9, 12)), tiny.take(torch.arange(3, 5))
    streams = pair(retain=stays, forget=goes, third=few)
    batches = list(streams.batches(2, epochs=2, seed=0))
    assert len(batches) == 2 * streams.steps(2) == streams.epoch_ends(2, 2)[-1]
    for epoch in (0, 1):
        seen = [i for b in batches if b.epoch == epoch for i in b["retain"].ids.tolist()]
        assert sorted(seen) == stays.ids.tolist()
    for name, source in (("forget", goes), ("third", few)):
        assert {i for part in ids(batches, name) for i in part} == set(source.ids.tolist())
    rest = list(streams.batches(2, epochs=2, seed=0, start=3))
    for name in ("retain", "forget", "third"):
        assert ids(rest, name) == ids(batches[3:], name)


def test_each_stream_has_an_order_of_its_own_name(tiny):
    stays, goes = tiny.take(torch.arange(8)), tiny.take(torch.arange(8, 12))
    two = list(pair(retain=stays, forget=goes).batches(2, 2, seed=5))
    three = list(pair(forget=goes, more=stays, retain=stays).batches(2, 2, seed=5))
    assert ids(two, "retain") == ids(three, "retain") and ids(two, "forget") == ids(three, "forget")
    for name, source, passes in (("retain", stays, 2), ("forget", goes, 4)):
        alone = [b.ids.tolist() for b in source.batches(2, passes, seed_of(5, name))]
        assert ids(two, name) == alone


def test_parts_say_where_the_whole_stands(tiny):
    stays, goes = tiny.take(torch.arange(8)), tiny.take(torch.arange(8, 10))
    for batch in pair(retain=stays, forget=goes).batches(2, 2, seed=0):
        assert batch.step / 8 == batch.progress == batch["forget"].progress == batch["retain"].progress
        assert batch["forget"].epoch == batch.step, "each batch is a pass over the short stream"
        assert len(batch) == 4 and batch.smallest == 2


def test_names_and_examples_make_the_digest(tiny):
    a, b = tiny.take(torch.arange(8)), tiny.take(torch.arange(8, 12))
    found = [pair(x=a, y=b), pair(x=b, y=a), pair(x=a, z=b), pair(x=a)]
    assert len({p.digest() for p in found}) == 4 and pair(x=a, y=b).digest() == found[0].digest()


def test_streams_that_cannot_be(tiny):
    with pytest.raises(BadInput, match="got no streams"):
        pair()
    with pytest.raises(BadInput, match="the stream 'forget' has no examples"):
        pair(retain=tiny, forget=tiny.take(torch.arange(0)))
