"""Fixtures that are slow to make are made once."""

from __future__ import annotations

import os
from pathlib import Path

# Before NumPy is imported: linear algebra of this size is slower on several threads, much slower on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch
from torch import nn

from lacunar.core.rng import seed_of
from lacunar.data.examples import Examples
from tests import problems

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _global_state_is_left_as_found():
    """No test may change grad mode, default dtype or the global generator's default."""
    grad, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    yield
    assert torch.is_grad_enabled() == grad
    assert torch.get_default_dtype() == dtype


@pytest.fixture(scope="session")
def digits() -> problems.World:
    """A small net trained on 600 digits, 8 % of them with wrong labels; see :func:`tests.problems.digits_world`."""
    return problems.digits_world()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The local folder of real data sets; tests that need it are skipped when it is absent."""
    named = os.environ.get("LACUNAR_DATA")
    candidates = [Path(named)] if named else [Path(__file__).parents[2] / "shared" / "data"]
    for folder in candidates:
        if folder.is_dir():
            return folder
    pytest.skip("no local data: set LACUNAR_DATA to the folder that holds fashion-mnist and cifar10")


@pytest.fixture
def tiny() -> Examples:
    """Twelve examples of three classes with ids that are not positions."""
    generator = torch.Generator().manual_seed(0)
    return Examples.of(torch.randn(12, 4, generator=generator), torch.arange(12) % 3, ids=torch.arange(12) * 10 + 5)


@pytest.fixture(scope="session")
def digits_oracles(digits: problems.World) -> tuple[nn.Module, ...]:
    """Six models retrained on the digits without the mislabelled ones, with the seeds that an audit gives oracles."""
    retain = digits.train.without(digits.flipped)
    return tuple(digits.recipe.fit(retain, seed_of(0, "oracle", i)) for i in range(6))
