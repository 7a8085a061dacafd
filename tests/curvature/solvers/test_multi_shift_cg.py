"""Several dampings from one Krylov space, against dense solves."""

from __future__ import annotations

import pytest
import torch

from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.curvature.solvers.cg import Products
from lacunar.curvature.solvers.multi_shift_cg import MultiShiftCg

DAMPINGS = [10.0, 0.01, 1.0, 0.1]


def system(n: int = 30, rank: int = 12) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    g = torch.Generator().manual_seed(0)
    r = torch.randn(rank, n, generator=g, dtype=torch.float64) * torch.logspace(0, 1.5, rank)[:, None]
    b = {
        "a": torch.randn(4, 5, generator=g, dtype=torch.float64),
        "b": torch.randn(10, generator=g, dtype=torch.float64),
    }
    return r.T @ r, b


def times(matrix, like):
    calls = []

    def product(v):
        calls.append(1)
        return named.unflat(matrix @ named.flat(v), like)

    return product, calls


@pytest.mark.parametrize("masked", [False, True])
def test_each_damping_is_solved(masked):
    matrix, b = system()
    mask = {"a": torch.rand(4, 5) < 0.5, "b": torch.ones(10, dtype=torch.bool)} if masked else None
    product, calls = times(matrix, b)
    found = MultiShiftCg(1e-9).solve(Products(product, mask), b, DAMPINGS)
    inside = named.flat(masks.full(b, True) if mask is None else mask)
    for damping, solution in zip(DAMPINGS, found, strict=True):
        block = matrix[inside][:, inside] + damping * torch.eye(int(inside.sum()), dtype=torch.float64)
        wanted = torch.zeros(30, dtype=torch.float64)
        wanted[inside] = torch.linalg.solve(block, named.flat(b)[inside])
        assert solution.converged and not solution.measured
        assert torch.allclose(named.flat(solution.x), wanted, rtol=1e-6, atol=1e-7 * float(wanted.norm()))
        left = block @ named.flat(solution.x)[inside] - named.flat(b)[inside]
        assert float(left.norm() / named.flat(b)[inside].norm()) <= 1e-8, "the estimated residual is the real one"
    assert len(calls) == max(s.iterations for s in found) == found[1].iterations > found[0].iterations


def test_what_is_not_reached_is_not_converged():
    matrix, b = system()
    product, calls = times(matrix, b)
    found = MultiShiftCg(1e-6, 4).solve(Products(product), b, [1e-6, 1e7])
    assert [s.converged for s in found] == [False, True] and len(calls) == 4


def test_nothing_to_solve_takes_no_product():
    matrix, b = system()
    product, calls = times(matrix, b)
    found = MultiShiftCg().solve(Products(product), named.scale(b, 0.0), DAMPINGS)
    assert not calls and all(s.converged and not named.flat(s.x).any() for s in found)


@pytest.mark.parametrize("dampings", [[], [1.0, 0.0]])
def test_dampings_must_be_positive(dampings):
    with pytest.raises(BadInput, match="dampings must be > 0"):
        MultiShiftCg().solve(Products(dict), {"a": torch.ones(2)}, dampings)


def test_settings_out_of_range():
    for settings in ({"rtol": 0.0}, {"max_iter": 0}):
        with pytest.raises(BadInput, match="rtol must be > 0 and max_iter >= 1"):
            MultiShiftCg(**settings)
