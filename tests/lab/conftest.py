"""A tiny experiment that runs in a second or two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lacunar.catalog import source_code

TINY = """
title = "Tiny"
dataset = "synthetic:n_train=80,n_test=40,classes=3,shape=[6],validation=0.25"
model = "mlp:hidden=8"
scenarios = ["random_subset:fraction=0.2"]
methods = ["fine_tune:epochs=1"]
evaluators = ["accuracy"]
seeds = [0, 1, 2]
oracles = 2

[recipe]
epochs = 2
batch_size = 16
"""


@pytest.fixture
def edit(monkeypatch: pytest.MonkeyPatch) -> Callable[[type], None]:
    """Makes the source of a plug-in another one."""
    digest, edited = source_code.class_digest, set()
    monkeypatch.setattr(
        source_code, "class_digest", lambda cls, rooms=(): f"{digest(cls, rooms)}{'*' * (cls in edited)}"
    )
    return edited.add


@pytest.fixture
def tiny_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the tiny experiment, with lines replaced, and returns its folder."""
    monkeypatch.delenv("LACUNAR_STORE", raising=False)

    def write(*replaced: tuple[str, str], text: str = TINY) -> Path:
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "experiment.toml").write_text(text)
        return tmp_path

    return write
