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


def test_digest_sees_every_bit():
    a = {"w": torch.tensor([0.0, 1.0])}
    assert named.digest(a) == named.digest({"w": torch.tensor([0.0, 1.0])})
    assert named.digest(a) != named.digest({"w": torch.tensor([-0.0, 1.0])})
    assert named.digest(a) != named.digest({"w": torch.tensor([[0.0, 1.0]])})
    assert named.digest(a) != named.digest({"v": torch.tensor([0.0, 1.0])})
