from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from lacunar.training import forward


class Returns(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.wrap = wrap

    def forward(self, x, y=None):
        return self.wrap(x if y is None else x + y)


@pytest.mark.parametrize(
    "wrap",
    [lambda z: z, lambda z: SimpleNamespace(logits=z), lambda z: {"logits": z}, lambda z: (z, None), lambda z: [z]],
)
def test_every_output_form(wrap):
    z = torch.randn(3, 2)
    assert torch.equal(forward.logits(Returns(wrap), z), z)


def test_dicts_go_by_keyword_and_numbered_dicts_by_position():
    a, b = torch.ones(2, 2), torch.full((2, 2), 2.0)
    assert torch.equal(forward.logits(Returns(lambda z: z), {"y": a, "x": b}), a + b)
    assert torch.equal(forward.logits(Returns(lambda z: z), {"0": a, "1": b}), a + b)


def test_foreign_output_gets_a_sentence():
    with pytest.raises(BadInput, match="the model returned str"):
        forward.logits(Returns(lambda z: "x"), torch.zeros(1))


def test_losses_are_per_example():
    z, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    assert torch.allclose(forward.cross_entropy(z, y), F.cross_entropy(z, y, reduction="none"))
    one, target = torch.randn(5, 1), torch.tensor([0, 1, 1, 0, 1])
    expected = -(target * F.logsigmoid(one[:, 0]) + (1 - target) * F.logsigmoid(-one[:, 0]))
    assert torch.allclose(forward.binary_cross_entropy(one, target), expected)
    assert torch.allclose(
        forward.squared_error(torch.tensor([[3.0], [0.0]]), torch.tensor([1.0, 0.0])), torch.tensor([2.0, 0.0])
    )
    with pytest.raises(BadInput, match="unknown loss 'hinge'"):
        forward.loss_named("hinge")


@pytest.mark.parametrize("name", forward.LOSSES)
def test_losses_keep_float64_and_lift_half_precision(name):
    z, y = torch.randn(4, 1), torch.tensor([0, 0, 0, 0])
    loss = forward.loss_named(name)
    assert loss(z.double(), y).dtype == torch.float64
    assert loss(z.bfloat16(), y).dtype == torch.float32


def test_sequence_loss_is_the_mean_over_counted_tokens():
    z, y = torch.randn(2, 4, 3), torch.tensor([[0, 1, -100, -100], [2, 2, 1, 0]])
    expected = [F.cross_entropy(z[i][y[i] != -100], y[i][y[i] != -100]) for i in range(2)]
    assert torch.allclose(forward.cross_entropy(z, y), torch.stack(expected))


def test_margin_known_value_and_extremes():
    z = torch.tensor([[2.0, 0.0, 0.0]])
    assert float(forward.margin(z, torch.tensor([0]))) == pytest.approx(1.306853, abs=1e-6)
    p = torch.softmax(torch.randn(6, 4).double(), 1)
    y = torch.arange(6) % 4
    own = p[torch.arange(6), y]
    assert torch.allclose(forward.margin(p.log(), y), (own / (1 - own)).log())
    far = forward.margin(torch.tensor([[1e4, -1e4], [-1e4, 1e4]]), torch.tensor([0, 0]))
    assert far.tolist() == [2e4, -2e4]


def test_a_single_logit_is_a_binary_model():
    z, y = torch.tensor([2.0, -1.0]), torch.tensor([1, 1])
    assert torch.allclose(forward.margin(z, y), torch.tensor([2.0, -1.0], dtype=torch.float64))


def test_predict_is_in_eval_mode_in_order_and_leaves_modes_alone(tiny):
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5), nn.BatchNorm1d(3))
    model.train()
    model[1].eval()
    z = forward.predict(model, tiny, lambda x: x, batch_size=5)
    assert [m.training for m in model.modules()] == [True, True, False, True]
    assert z.shape == (12, 3) and not z.requires_grad
    model.eval()
    assert torch.allclose(z, model(tiny.x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(forward.predict(model, tiny, lambda x: x), forward.predict(model, tiny, lambda x: x))
        assert forward.predict(model, tiny, lambda x: x).dtype == torch.float32
        assert torch.allclose(forward.predict(model, tiny, lambda x: x), z, atol=1e-6)


def test_nothing_to_predict():
    empty = Examples.of(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(BadInput, match="no examples to predict"):
        forward.predict(nn.Linear(4, 2), empty, lambda x: x)


class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.head, self.body, self.factor = nn.Linear(4, 3), nn.Linear(5, 4), factor

    def forward(self, x):
        z = self.head(torch.relu(self.body(x)))
        return {"logits": z if self.factor is None else self.factor * z}


def test_the_head_is_the_layer_whose_output_is_the_logits():
    x = torch.randn(2, 5)
    assert forward.head_of(Scaled(None), x) == "head"
    assert forward.head_of(Scaled(2.0), x) is None
    assert forward.head_of(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3), nn.Flatten(0, 0)), x) == "2"
    model = Scaled(None).train()
    forward.head_of(model, x)
    assert model.training and not any(m._forward_hooks for m in model.modules())
