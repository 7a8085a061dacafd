"""What the contract tests share: plug-ins with small settings, and what a plug-in must leave as it found it."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

from lacunar.catalog import registry
from lacunar.catalog.plugin import Plugin
from lacunar.core import named
from lacunar.data.examples import Source
from tests import problems

SMALL = {"epochs": 2, "batch_size": 8, "probes": 2}
"""Settings that make a plug-in quick, for those that have them."""


def quick(kind: str, name: str, **settings: Any) -> Any:
    """The plug-in with :data:`SMALL` settings where it has them; everything else as by default."""
    fields = {f.name for f in dataclasses.fields(registry.plugin_class(kind, name))}
    return registry.find(kind, name, **{k: v for k, v in SMALL.items() if k in fields}, **settings)


def grid(names: list[str]) -> list[Any]:
    """Every plug-in of a kind on every toy problem, as parameters of a test."""
    cases = list(zip(problems.CASES, problems.CASE_IDS, strict=True))
    return [pytest.param(name, *case, id=f"{name}-{label}") for name in names for case, label in cases]


def choices(kind: str, name: str) -> list[tuple[str, str]]:
    """Every setting of a plug-in that is one of a few words, with each of its words."""
    hints = get_type_hints(registry.plugin_class(kind, name))
    return [(key, word) for key, hint in hints.items() if get_origin(hint) is Literal for word in get_args(hint)]


def documented(kind: str, name: str, base: type[Plugin]) -> type[Any]:
    """The class of a plug-in, which is a frozen dataclass with a docstring, named like its file."""
    cls = registry.plugin_class(kind, name)
    assert issubclass(cls, base) and cls.kind == kind and cls.name() == name
    assert dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen
    assert cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}("), "a dataclass's own docstring says nothing"
    return cls


def read_back(kind: str, plugin: Plugin) -> Any:
    """The plug-in as it comes back from its settings in JSON."""
    return registry.from_spec(kind, json.loads(json.dumps(plugin.spec())))


def shape_of(model: nn.Module) -> list[Any]:
    """Everything about a model that a plug-in must leave as it found it."""
    hooks = [len(m._forward_hooks) + len(m._backward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    flags = [(p.requires_grad, p.grad is None) for p in model.parameters()]
    return [named.digest(model.state_dict()), flags, [m.training for m in model.modules()], hooks]


def surroundings() -> list[Any]:
    """The global state that a plug-in must leave as it found it."""
    python, legacy = str(random.getstate()), str(np.random.get_state())  # noqa: NPY002
    return [python, legacy, torch.get_rng_state().tolist(), torch.is_grad_enabled(), torch.get_default_dtype()]


def content(examples: Source) -> str:
    """A hash of what the examples hold now; their own digest is computed once and kept."""
    return dataclasses.replace(examples).digest()
