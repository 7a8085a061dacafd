import random

import numpy as np
import pytest
import torch

from lacunar.core.rng import as_found, generator_of, isolated, keyed_integers, seed_of


def test_streams_are_reproducible_and_apart():
    draws = {name: torch.rand(4, generator=generator_of(0, name)).tolist() for name in ("order", "noise", "init")}
    assert draws["order"] == torch.rand(4, generator=generator_of(0, "order")).tolist()
    assert len({tuple(d) for d in draws.values()}) == 3
    assert seed_of(0, "order") != seed_of(1, "order") != seed_of(-1, "order")
    assert seed_of(1, "a", "b") != seed_of(1, "ab")


def test_seed_zero_is_a_seed_like_any_other():
    assert generator_of(0, "x").initial_seed() not in (0, generator_of(1, "x").initial_seed())


def test_isolated_seeds_inside_and_restores_after_even_when_it_fails():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    with isolated(5, "a"):
        first = torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
    with isolated(5, "a"):
        again = torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
    assert torch.equal(first[0], again[0]) and first[1].tolist() == again[1].tolist() and first[2] == again[2]
    with pytest.raises(ZeroDivisionError), isolated(5, "a"):
        torch.rand(1)
        _ = 1 / 0
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])


def test_as_found_restores_grad_mode_and_default_dtype():
    with as_found():
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32


def test_keyed_integers_depend_on_seed_key_and_id_alone():
    ids = torch.tensor([7, 3, 123456789, 0])
    draws = keyed_integers(1, 2, ids, 3)
    assert draws.shape == (4, 3) and int(draws.min()) >= 0 and int(draws.max()) < 2**31
    assert torch.equal(keyed_integers(1, 2, ids.flip(0), 3), draws.flip(0))
    assert torch.equal(keyed_integers(1, 2, ids[:1], 3), draws[:1])
    assert not torch.equal(keyed_integers(1, 3, ids, 3), draws)
    assert not torch.equal(keyed_integers(2, 2, ids, 3), draws)


def test_keyed_integers_are_uniform():
    draws = keyed_integers(0, 0, torch.arange(90_000), 2)
    for column in draws.T:
        counts = torch.bincount(column % 9, minlength=9).double()
        chi_square = float(((counts - 10_000) ** 2 / 10_000).sum())
        assert chi_square < 26.1  # 99.9 % quantile of chi-square with 8 degrees of freedom
    joint = torch.corrcoef(draws.T.double())[0, 1]
    assert abs(float(joint)) < 0.015
