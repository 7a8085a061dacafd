import pytest
import torch

from lacunar.core import masks, named
from lacunar.core.errors import BadInput


@pytest.mark.parametrize("k", [0, 1, 3, 5])
def test_top_k_is_exact_and_breaks_ties_by_index(k):
    scores = {"a": torch.tensor([1.0, 2.0, 2.0]), "b": torch.tensor([[2.0, 0.0]])}
    mask = masks.top_k(scores, k)
    assert masks.count(mask) == k
    order = [1, 2, 3, 0, 4]
    assert named.flat(mask).nonzero().reshape(-1).tolist() == sorted(order[:k])


def test_top_k_refuses_nan_and_impossible_counts():
    with pytest.raises(BadInput, match="NaN in a"):
        masks.top_k({"a": torch.tensor([float("nan"), 1.0])}, 1)
    with pytest.raises(BadInput, match="cannot keep 3 of 2"):
        masks.top_k({"a": torch.zeros(2)}, 3)


def test_random_k_is_exact_and_uniform():
    like = {"a": torch.zeros(5), "b": torch.zeros(5)}
    total = torch.zeros(10)
    for i in range(300):
        mask = masks.random_k(like, 3, torch.Generator().manual_seed(i))
        assert masks.count(mask) == 3
        total += named.flat(mask)
    assert (total - 90).abs().max() < 4 * (300 * 0.3 * 0.7) ** 0.5


def test_keep_leaves_positive_zeros_and_stops_nan():
    kept = masks.keep({"a": torch.tensor([-1.0, float("nan"), 2.0])}, {"a": torch.tensor([False, False, True])})
    assert torch.equal(kept["a"].view(torch.int32), torch.tensor([0.0, 0.0, 2.0]).view(torch.int32))


def test_masks_combine():
    a, b = {"w": torch.tensor([True, True, False])}, {"w": torch.tensor([True, False, False])}
    assert masks.both(a, b)["w"].tolist() == [True, False, False]
    assert masks.both(None, None) is None and masks.both(a, None)["w"] is a["w"]
    assert masks.density(a) == pytest.approx(2 / 3)


def test_description_counts_per_tensor_and_in_all():
    mask = {"a": torch.tensor([True, False, True]), "b": torch.tensor([[False]])}
    assert masks.describe(mask) == [
        {"weight": "a", "selected": 2, "of": 3, "share": 2 / 3},
        {"weight": "b", "selected": 0, "of": 1, "share": 0.0},
        {"weight": "all", "selected": 2, "of": 4, "share": 0.5},
    ]
