"""Power iteration against the eigenvalues of the dense matrix."""

import pytest
import torch

from lacunar.core import named
from lacunar.curvature.ggn import GaussNewton
from lacunar.curvature.hessian import Hessian
from lacunar.curvature.largest_eigenvalue import power_iteration
from lacunar.curvature.objective import Objective
from tests.curvature.nets import net, some
from tests.oracles import curvature as oracle


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("kind", [GaussNewton, Hessian])
def test_it_comes_near_from_below(kind, masked):
    # Public code takes power iteration on a wrongly shifted matrix.
    model, examples, recipe = net("mlp")
    mask = some(model) if masked else None
    dense = (oracle.dense_ggn if kind is GaussNewton else oracle.dense_hessian)(model, examples, recipe)
    inside = slice(None) if mask is None else named.flat(mask)
    largest = float(torch.linalg.eigvalsh(dense[inside][:, inside]).abs().max())
    matrix = kind(Objective.of(model, examples, recipe, mask))
    assert 0.9 * largest <= power_iteration(matrix) <= largest * (1 + 1e-9)
    assert power_iteration(matrix, 60) >= 0.999 * largest


def test_a_matrix_of_zeros_has_none():
    model, examples, recipe = net("mlp")
    with torch.no_grad():
        model[-1].bias.copy_(torch.tensor([4000.0, 0.0, 0.0]))
    matrix = GaussNewton(Objective.of(model, examples, recipe))
    assert power_iteration(matrix) == 0.0 and matrix.made == 1
