"""Plain kernels where fused ones cannot be differentiated, and the settings of before afterwards."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lacunar.curvature.plain_kernels import plain_kernels


def settings():
    backends = (torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.math_sdp_enabled())
    return (*backends, torch.backends.mha.get_fastpath_enabled(), torch.backends.cudnn.enabled)


def test_attention_has_a_second_derivative():
    q = torch.randn(1, 2, 3, 4, requires_grad=True)

    def twice():
        (g,) = torch.autograd.grad(F.scaled_dot_product_attention(q, q, q).sum(), q, create_graph=True)
        return torch.autograd.grad(g.square().sum(), q)[0]

    with pytest.raises(RuntimeError, match="not implemented"):
        twice()
    with plain_kernels(nn.Identity()):
        assert twice().isfinite().all()


def test_layers_of_a_transformer_have_a_forward_mode():
    layer = nn.TransformerEncoderLayer(4, 2, 5, batch_first=True).eval()
    x, v = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    fixed = {name: p.detach() for name, p in layer.named_parameters()}
    with plain_kernels(layer):
        along = torch.func.jvp(lambda t: torch.func.functional_call(layer, fixed, (t,)), (x,), (v,))[1]
        step = 1e-3
        ends = [torch.func.functional_call(layer, fixed, (x + s * v,)) for s in (step, -step)]
    assert torch.allclose(along, (ends[0] - ends[1]) / (2 * step), atol=1e-3)


@pytest.mark.parametrize("model", [nn.Linear(1, 1), nn.LSTM(1, 1)])
@pytest.mark.parametrize("fails", [False, True])
def test_settings_are_those_of_before(model, fails):
    before = settings()
    try:
        with plain_kernels(model), plain_kernels(model):
            assert settings()[:3] == (False, True, False)
            if fails:
                raise ValueError
    except ValueError:
        assert fails
    assert settings() == before
