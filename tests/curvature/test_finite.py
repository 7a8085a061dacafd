"""Curvature that is not finite is refused, with the layer that is to blame."""

import pytest
import torch
from torch import nn

from lacunar.core.errors import NotApplicable
from lacunar.curvature import ggn, hessian, per_example
from lacunar.curvature.finite import finite
from lacunar.curvature.ggn import GaussNewton
from lacunar.curvature.ggn_root import GgnRoot
from lacunar.curvature.gradient_rows import GradientRows
from lacunar.curvature.hessian import Hessian
from lacunar.curvature.objective import Objective
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe

N = 7


def root(x):
    """The square root of what is positive, by a product that keeps 0 times infinity."""
    return (x * (x > 0)).abs().sqrt()


class Root(nn.Module):
    def forward(self, x):
        return root(x)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(root(self.inner(x)))


def images(layer: nn.Module, dtype: torch.dtype = torch.float32) -> Objective:
    torch.manual_seed(0)
    conv, width = nn.Conv2d(1, 3, 3, padding=1), 27 if isinstance(layer, nn.LPPool2d) else 108
    model = nn.Sequential(
        conv,
        nn.Sequential(nn.Identity() if isinstance(layer, Root) else nn.ReLU(inplace=True), layer),
        nn.Flatten(),
        nn.Linear(width, 3),
    )
    return Objective.of(model.to(dtype), Examples.of(torch.randn(N, 1, 6, 6), torch.arange(N) % 3), Recipe())


SECOND = [
    lambda o: hessian.exact_diagonal(o),
    lambda o: hessian.hutchinson(o, probes=2),
    lambda o: GaussNewton(o)(o.weights),
    lambda o: Hessian(o)(o.weights),
]
FIRST = [
    per_example.squared_sum,
    ggn.exact_diagonal,
    ggn.diagonal,
    ggn.sampled_diagonal,
    GradientRows,
    lambda o: GradientRows(o, keep=0),
    GgnRoot,
    lambda o: GaussNewton(o).dense,
]


@pytest.mark.parametrize("compute", SECOND)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pooling_by_powers_has_no_second_derivative_at_zero(compute, dtype):
    with pytest.raises(NotApplicable, match=r"NaN or infinite at 0\.weight.*LPPool2d '1\.1' has no finite derivatives"):
        compute(images(nn.LPPool2d(2, 2), dtype))


@pytest.mark.parametrize("compute", [*FIRST, *SECOND])
def test_slopes_that_are_infinite_are_refused_by_all(compute):
    with pytest.raises(NotApplicable, match=r"NaN or infinite at .*Root '1\.1' has no finite derivatives"):
        compute(images(Root()))


def test_operations_outside_of_layers_are_those_of_the_model():
    torch.manual_seed(0)
    objective = Objective.of(Functional(), Examples.of(torch.randn(N, 4), torch.arange(N) % 3), Recipe())
    with pytest.raises(NotApplicable, match="Functional 'itself' has no finite derivatives"):
        ggn.diagonal(objective)


def test_what_no_layer_explains_is_refused_all_the_same():
    objective = images(nn.ReLU())
    values = {name: torch.full_like(w, float("inf")) for name, w in objective.weights.items()}
    with pytest.raises(NotApplicable, match="the model, or its loss, has no finite derivatives at these examples"):
        finite(objective, values)
    assert finite(objective, objective.weights) is objective.weights
