import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput


@pytest.fixture
def model():
    torch_model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    torch_model[1].bias.requires_grad_(False)
    return torch_model


def test_weights_are_copies_of_the_trainable_ones(model):
    w = named.weights(model)
    assert list(w) == ["0.weight", "0.bias", "1.weight"]
    w["0.weight"].zero_()
    assert model[0].weight.abs().sum() > 0


def test_flat_and_unflat_are_inverse(model):
    w = named.weights(model)
    again = named.unflat(named.flat(w), w)
    assert all(torch.equal(again[k], w[k]) for k in w)
    with pytest.raises(BadInput, match="a vector of 3 entries cannot fill 24 weights"):
        named.unflat(torch.zeros(3), w)


def test_arithmetic_matches_flat_vectors(model):
    a = named.weights(model)
    b = {k: torch.randn_like(v) for k, v in a.items()}
    assert torch.allclose(named.flat(named.add(a, b, -2.0)), named.flat(a) - 2 * named.flat(b))
    assert named.dot(a, b) == pytest.approx(float(named.flat(a).double() @ named.flat(b).double()))
    assert named.norm(a) == pytest.approx(float(named.flat(a).double().norm()))
    with pytest.raises(BadInput, match=r"differ at 0\.bias"):
        named.add(a, {k: v for k, v in b.items() if k != "0.bias"})


def test_gradient_is_zero_where_the_loss_does_not_look(model):
    grads = named.gradient(model[0](torch.ones(1, 3)).sum(), model)
    assert torch.equal(grads["0.bias"], torch.ones(4)) and not grads["1.weight"].any()


def test_write_refuses_foreign_keys_and_shapes(model):
    with pytest.raises(BadInput, match="no weight 'x'"):
        named.write(model, {"x": torch.zeros(1)})
    with pytest.raises(BadInput, match=r"shape \(4,\), but \(5,\)"):
        named.write(model, {"0.bias": torch.zeros(5)})


@pytest.mark.parametrize("k", [0, 1, 3, 5])
def test_top_k_is_exact_and_breaks_ties_by_index(k):
    scores = {"a": torch.tensor([1.0, 2.0, 2.0]), "b": torch.tensor([[2.0, 0.0]])}
    mask = named.top_k(scores, k)
    assert named.live(mask) == k
    order = [1, 2, 3, 0, 4]
    assert named.flat(mask).nonzero().reshape(-1).tolist() == sorted(order[:k])


def test_top_k_refuses_nan_and_impossible_counts():
    with pytest.raises(BadInput, match="NaN in a"):
        named.top_k({"a": torch.tensor([float("nan"), 1.0])}, 1)
    with pytest.raises(BadInput, match="cannot keep 3 of 2"):
        named.top_k({"a": torch.zeros(2)}, 3)


def test_random_k_is_exact_and_uniform():
    like = {"a": torch.zeros(5), "b": torch.zeros(5)}
    total = torch.zeros(10)
    for i in range(300):
        mask = named.random_k(like, 3, torch.Generator().manual_seed(i))
        assert named.live(mask) == 3
        total += named.flat(mask)
    assert (total - 90).abs().max() < 4 * (300 * 0.3 * 0.7) ** 0.5


def test_keep_leaves_positive_zeros_and_stops_nan():
    kept = named.keep({"a": torch.tensor([-1.0, float("nan"), 2.0])}, {"a": torch.tensor([False, False, True])})
    assert torch.equal(kept["a"].view(torch.int32), torch.tensor([0.0, 0.0, 2.0]).view(torch.int32))


def test_masks_combine():
    a, b = {"w": torch.tensor([True, True, False])}, {"w": torch.tensor([True, False, False])}
    assert named.both(a, b)["w"].tolist() == [True, False, False]
    assert named.both(None, None) is None and named.both(a, None)["w"] is a["w"]
    assert named.density(a) == pytest.approx(2 / 3)


def test_digest_sees_every_bit():
    a = {"w": torch.tensor([0.0, 1.0])}
    assert named.digest(a) == named.digest({"w": torch.tensor([0.0, 1.0])})
    assert named.digest(a) != named.digest({"w": torch.tensor([-0.0, 1.0])})
    assert named.digest(a) != named.digest({"w": torch.tensor([[0.0, 1.0]])})
    assert named.digest(a) != named.digest({"v": torch.tensor([0.0, 1.0])})
