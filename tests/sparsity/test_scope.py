"""Which weights are in scope, and exact counts."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.sparsity.scope import Scope, live_counts
from tests.oracles.pruning import kept_positions
from tests.problems import BatchNormNet


def scores_of(model: nn.Module, levels: int = 5) -> named.Named:
    """Scores with many ties."""
    g = torch.Generator().manual_seed(0)
    return {n: torch.randint(0, levels, w.shape, generator=g).float() for n, w in named.weights(model).items()}


def in_scope(mask, model, scope):
    return {name: mask[name] for name in scope.names(model)}


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("level", ["global", "layer"])
@pytest.mark.filterwarnings("ignore:nothing of")
def test_counts_are_exact_with_ties(sparsity, level):
    model, scope = BatchNormNet(), Scope(sparsity, "conv+linear", level)
    mask = scope.select(model, scores_of(model))
    part = in_scope(mask, model, scope)
    if level == "global":
        assert masks.count(part) == named.count(part) - round(sparsity * named.count(part))
    for m in part.values():
        if level == "layer":
            assert int(m.sum()) == m.numel() - round(sparsity * m.numel())


@given(st.integers(0, 10_000), st.integers(9, 20))
@settings(max_examples=30, deadline=None)
def test_ties_go_to_the_lowest_flat_index(seed, kept):
    model, scope = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), Scope(scope="conv+linear")
    g = torch.Generator().manual_seed(seed)
    scores = {n: torch.randint(0, 3, w.shape, generator=g).float() for n, w in named.weights(model).items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        mask = scope.select(model, scores, kept)
    found = {(n, int(j)) for n in scope.names(model) for j in mask[n].flatten().nonzero()}
    assert found == kept_positions({n: scores[n] for n in scope.names(model)}, kept)


def test_kept_counts_equal_the_target_whatever_the_sizes():
    # Pruning again to a rate drifts by rounding; pruning to a count does not.
    g = torch.Generator().manual_seed(1)
    for _ in range(100):
        width = int(torch.randint(2, 30, (), generator=g))
        model = nn.Sequential(nn.Linear(width, 7), nn.Linear(7, 3))
        scope = Scope(float(torch.rand((), generator=g)) * 0.5, "conv+linear", "layer")
        first = scope.select(model, scores_of(model))
        again = scope.select(model, scores_of(model, 50), live_counts(first))
        assert live_counts(again) == live_counts(first)


def test_conv_scope_leaves_linear_norm_and_bias_dense():
    model = BatchNormNet()
    assert Scope().names(model) == ["first.weight", "second.weight"]
    assert Scope(scope="conv+linear").names(model) == ["first.weight", "second.weight", "head.weight"]
    assert Scope(scope=("head*", "bn1.weight")).names(model) == ["bn1.weight", "head.weight", "head.bias"]
    mask = Scope(0.5).select(model, scores_of(model))
    assert all(bool(m.all()) for n, m in mask.items() if n not in ("first.weight", "second.weight"))
    assert list(mask) == list(named.weights(model))


def test_nothing_outside_an_earlier_mask_comes_back():
    model, scope = BatchNormNet(), Scope(0.5)
    first = scope.select(model, scores_of(model))
    inverted = {n: -s for n, s in scores_of(model).items()}
    second = scope.select(model, inverted, 30, first)
    assert masks.count(in_scope(second, model, scope)) == 30
    assert not any(bool((second[n] & ~first[n]).any()) for n in first)
    with pytest.raises(BadInput, match="in scope are live"):
        scope.select(model, inverted, named.count(in_scope(first, model, scope)), first)


def test_fields_come_from_the_pruner():
    pruner = SimpleNamespace(sparsity=0.3, scope="conv", level="layer", allow_empty=False, share=0.2)
    assert Scope.of(pruner) == Scope(0.3, "conv", "layer", False)


@pytest.mark.parametrize("sparsity", [1.0, -0.1, math.nan, 2])
def test_sparsity_outside_its_range(sparsity):
    with pytest.raises(BadInput, match=r"in \[0, 1\)"):
        Scope(sparsity)


def test_unknown_words():
    with pytest.raises(BadInput, match=r"unknown scope.*conv\+linear"):
        Scope(scope="convs")
    with pytest.raises(BadInput, match="unknown level"):
        Scope(level="tensor")


def test_a_scope_without_match_lists_what_could_be_pruned():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(NotApplicable, match=r"prunable are 0\.weight, 2\.weight"):
        Scope().names(model)
    with pytest.raises(NotApplicable, match=r"prunable are weight"):
        Scope().names(nn.Embedding(3, 2))
    with pytest.raises(BadInput, match=r"no weight is named like 'nope\*'"):
        Scope(scope=("0*", "nope*")).names(model)


def test_nan_scores_are_refused():
    model = BatchNormNet()
    scores = scores_of(model)
    scores["second.weight"][0, 0, 0, 0] = math.nan
    with pytest.raises(BadInput, match=r"NaN in second\.weight"):
        Scope().select(model, scores)


def test_counts_that_cannot_be_kept():
    model, scope = BatchNormNet(), Scope()
    with pytest.raises(BadInput, match="cannot keep 9999"):
        scope.select(model, scores_of(model), 9999)
    with pytest.raises(BadInput, match=r"counts lack second\.weight"):
        scope.select(model, scores_of(model), {"first.weight": 3})
    with pytest.raises(BadInput, match=r"counts name bn1\.weight"):
        scope.select(model, scores_of(model), {"first.weight": 3, "second.weight": 4, "bn1.weight": 2})
    with pytest.raises(BadInput, match=r"cannot keep 55 of first\.weight: 54 are live"):
        scope.select(model, scores_of(model), {"first.weight": 55, "second.weight": 4})


def test_a_layer_without_weights_is_named():
    model = BatchNormNet()
    counts = {"first.weight": 0, "second.weight": 5}
    with pytest.warns(UserWarning, match=r"nothing of first\.weight is left"):
        Scope().select(model, scores_of(model), counts)
    with pytest.raises(BadInput, match=r"nothing of first\.weight is left.*lower sparsity"):
        Scope(allow_empty=False).select(model, scores_of(model), counts)
