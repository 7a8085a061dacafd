"""A user's folder: code that lacunar has never seen, weights, lists of ids."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from lacunar.cli import app
from lacunar.core.rng import isolated
from lacunar.core.weights import save_mask, save_model, save_tensors
from tests.problems import half_mask

MODULE = '''
"""A user's own code: plain torch, nothing of lacunar but the recipe."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

import lacunar


class Points(Dataset):
    """Like a data set of torchvision: (x, y) by position, and no more."""

    def __init__(self, n, seed):
        print("files already downloaded")
        generator = torch.Generator().manual_seed(seed)
        self.y = [i % 3 for i in range(n)]
        self.x = torch.randn(n, 4, generator=generator) + 2 * torch.eye(3, 4)[self.y]

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Customers(Points):
    """The same with ids of its own."""

    def __init__(self, n, seed, first):
        super().__init__(n, seed)
        self.ids = [first + 7 * i for i in range(n)]


class Words(nn.Module):
    """Takes keywords, returns an object with .logits, as models of Hugging Face do."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(20, 8), nn.Linear(8, 3)

    def forward(self, input_ids, attention_mask):
        weight = attention_mask[..., None].float()
        self_like = type("Output", (), {})()
        self_like.logits = self.head((self.embed(input_ids) * weight).sum(1) / weight.sum(1).clamp(min=1))
        return self_like


def build():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def small_head():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def wide():
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))


def sentences(n, seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 20, (n, 5), generator=generator)
    return [{"input_ids": row, "attention_mask": row > 2, "labels": i % 3} for i, row in enumerate(ids)]


def three():
    return 3


def fails():
    raise RuntimeError("the database is down")


train_set, test_set = Points(30, 0), Points(12, 1)
customers, other_customers = Customers(30, 0, first=1000), Customers(12, 1, first=5000)
customers_twice = Customers(12, 1, first=1000)
recipe = lacunar.Recipe(epochs=2, lr=0.05, batch_size=8)
constant = 3


def words():
    return sentences(30, 0)


def more_words():
    return sentences(12, 1)


def more_digits():
    return np.ones((10, 1, 8, 8), dtype=np.uint8), np.arange(10)


def one_based():
    return np.ones((6, 4), dtype=np.float32), np.array([1, 2, 3, 1, 2, 3])


def not_numbers():
    x = np.ones((6, 4), dtype=np.float32)
    x[2, 1] = np.nan
    return x, np.array([0, 1, 2, 0, 1, 2])


def two_classes():
    return np.eye(5, 4, dtype=np.float32), np.array([0, 0, 0, 0, 2])


def shaky():
    return [(torch.randn(4), i % 3) for i in range(6)]


class Broken:
    def __len__(self):
        return 3

    def __getitem__(self, i):
        raise KeyError("image 3 is missing")


broken = Broken()
'''


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


Call = Callable[..., Said]


@pytest.fixture(scope="session")
def _user_folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("user")
    (place / "usercode.py").write_text(MODULE)
    (place / "broken_code.py").write_text("import module_that_is_not_there\n")
    sys.path.insert(0, str(place))
    code = importlib.import_module("usercode")
    with isolated(0):
        model = code.build()
        save_model(place / "base.safetensors", model)
        save_model(place / "words.safetensors", code.Words())
        save_model(place / "small_head.safetensors", code.small_head())
    save_mask(place / "mask.safetensors", half_mask(model))
    torch.save(model.state_dict(), place / "base.pt")
    broken = {name: t.clone() for name, t in model.state_dict().items()}
    save_tensors(place / "nan.safetensors", broken)
    raw = bytearray((place / "nan.safetensors").read_bytes())
    raw[-4:] = np.float32("nan").tobytes()
    (place / "nan.safetensors").write_bytes(raw)
    (place / "short.safetensors").write_bytes(raw[: len(raw) // 2])
    (place / "ids.csv").write_text("3\n5\n8\n")
    return place


@pytest.fixture
def folder(_user_folder: Path, tmp_path: Path, monkeypatch) -> Path:
    """A fresh copy of the user's files, as the current directory; its code is importable already."""
    for path in _user_folder.iterdir():
        if path.suffix in (".safetensors", ".csv", ".pt"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(verb: str, options: Mapping[str, str | list[str] | None] | None = None, *more: str) -> Said:
    """Run ``lacunar VERB`` in this process; an option that is None is left out."""
    words = [verb, *more]
    for option, value in (options or {}).items():
        for one in value if isinstance(value, list) else [value]:
            words += [] if one is None else [option] if one == "" else [option, one]
    result = CliRunner().invoke(app, words)
    return Said(result.exit_code, result.stdout, result.stderr)


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder with their contents."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
