"""Every random draw comes from a named stream of one seed, and the global generators are left as found."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

_WORD = 1 << 64


def seed_of(seed: int, *names: object) -> int:
    """The 63-bit seed of the stream ``names`` under ``seed``: a hash, so that streams do not overlap.

    Any integer is a valid seed, 0 and negative ones included.
    """
    text = "\x1f".join([str(int(seed)), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator_of(seed: int, *names: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for the stream ``names`` ("order", "noise", "labels", "init", ...) under ``seed``."""
    return torch.Generator(device=device).manual_seed(seed_of(seed, *names))


def numpy_generator(seed: int, *names: object) -> np.random.Generator:
    """The same as :func:`generator_of` for NumPy."""
    return np.random.default_rng(seed_of(seed, *names))


@contextmanager
def isolated(seed: int, *names: object) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch inside the block, and restore them after it.

    For code that can only draw globally: a user's ``build()``, dropout.
    """
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global state is what is kept
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    value = seed_of(seed, *names)
    try:
        with torch.random.fork_rng(devices=devices):
            random.seed(value)
            np.random.seed(value % (1 << 32))  # noqa: NPY002
            torch.manual_seed(value)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


@contextmanager
def as_found() -> Iterator[None]:
    """Restore grad mode and default dtype after the block, whatever happens inside."""
    grad, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)


def _signed(value: int) -> int:
    value %= _WORD
    return value - _WORD if value >= _WORD >> 1 else value


def _mix(x: Tensor) -> Tensor:
    # The splitmix64 finaliser (Steele, Lea, Flood 2014) on int64: products wrap, shifts are made logical by a mask.
    x = (x ^ ((x >> 30) & ((1 << 34) - 1))) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ ((x >> 27) & ((1 << 37) - 1))) * _signed(0x94D049BB133111EB)
    return x ^ ((x >> 31) & ((1 << 33) - 1))


def keyed_integers(seed: int, key: int, ids: Tensor, draws: int) -> Tensor:
    """Integers in [0, 2^31) keyed by (seed, key, id): ``[len(ids), draws]`` int64, on the device of ``ids``.

    The draw of an id depends on nothing else: not on the batch it is in, the order, or the device.
    """
    base = _mix(ids.to(torch.int64) + _signed(seed_of(seed, "keyed", key)))
    steps = torch.arange(1, draws + 1, device=ids.device) * _signed(0x9E3779B97F4A7C15)
    return (_mix(base[:, None] + steps[None, :]) >> 33) & ((1 << 31) - 1)
