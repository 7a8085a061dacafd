"""Which weights are in scope, and exact counts: of what lives, and of what is chosen alone."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lacunar.catalog import registry
from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.sparsity.amount import Count, Rest, Share, live_counts
from lacunar.sparsity.scope import Scope
from lacunar.sparsity.score import Score
from tests import problems
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
    model, scope = BatchNormNet(), Scope("conv+linear", Rest(sparsity), level)
    mask = scope.live(model, scores_of(model))
    part = in_scope(mask, model, scope)
    if level == "global":
        assert masks.count(part) == named.count(part) - round(sparsity * named.count(part))
    for m in part.values():
        if level == "layer":
            assert int(m.sum()) == m.numel() - round(sparsity * m.numel())


@given(st.integers(0, 10_000), st.integers(9, 20))
@settings(max_examples=30, deadline=None)
def test_ties_go_to_the_lowest_flat_index(seed, kept):
    model, scope = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), Scope("conv+linear")
    g = torch.Generator().manual_seed(seed)
    scores = {n: torch.randint(0, 3, w.shape, generator=g).float() for n, w in named.weights(model).items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        mask = scope.live(model, scores, kept)
    found = {(n, int(j)) for n in scope.names(model) for j in mask[n].flatten().nonzero()}
    assert found == kept_positions({n: scores[n] for n in scope.names(model)}, kept)


def test_kept_counts_equal_the_target_whatever_the_sizes():
    # Pruning again to a rate drifts by rounding; pruning to a count does not.
    g = torch.Generator().manual_seed(1)
    for _ in range(100):
        width = int(torch.randint(2, 30, (), generator=g))
        model = nn.Sequential(nn.Linear(width, 7), nn.Linear(7, 3))
        scope = Scope("conv+linear", Rest(float(torch.rand((), generator=g)) * 0.5), "layer")
        first = scope.live(model, scores_of(model))
        again = scope.live(model, scores_of(model, 50), live_counts(first))
        assert live_counts(again) == live_counts(first)


def test_conv_scope_leaves_linear_norm_and_bias_dense():
    model = BatchNormNet()
    assert Scope("conv").names(model) == ["first.weight", "second.weight"]
    assert Scope("conv+linear").names(model) == ["first.weight", "second.weight", "head.weight"]
    assert Scope(("head*", "bn1.weight")).names(model) == ["bn1.weight", "head.weight", "head.bias"]
    mask = Scope("conv", Rest(0.5)).live(model, scores_of(model))
    assert all(bool(m.all()) for n, m in mask.items() if n not in ("first.weight", "second.weight"))
    assert list(mask) == list(named.weights(model))


def test_nothing_outside_an_earlier_mask_comes_back():
    model, scope = BatchNormNet(), Scope("conv", Rest(0.5))
    first = scope.live(model, scores_of(model))
    inverted = {n: -s for n, s in scores_of(model).items()}
    second = scope.live(model, inverted, 30, first)
    assert masks.count(in_scope(second, model, scope)) == 30
    assert not any(bool((second[n] & ~first[n]).any()) for n in first)
    with pytest.raises(BadInput, match="in scope are live"):
        scope.live(model, inverted, named.count(in_scope(first, model, scope)), first)


def test_fields_come_from_the_pruner():
    pruner = SimpleNamespace(sparsity=0.3, scope="conv", level="layer", allow_empty=False, share=0.2)
    assert Scope.of(pruner) == Scope("conv", Rest(0.3), "layer", allow_empty=False)


@pytest.mark.parametrize("sparsity", [1.0, -0.1, math.nan, 2])
def test_sparsity_outside_its_range(sparsity):
    with pytest.raises(BadInput, match=r"in \[0, 1\)"):
        Rest(sparsity)


def test_unknown_words():
    with pytest.raises(BadInput, match=r"unknown scope.*conv\+linear"):
        Scope("convs")
    with pytest.raises(BadInput, match="unknown level"):
        Scope(level="tensor")


def test_a_scope_without_match_lists_what_could_be_pruned():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(NotApplicable, match=r"prunable are 0\.weight, 2\.weight"):
        Scope("conv").names(model)
    with pytest.raises(NotApplicable, match=r"prunable are weight"):
        Scope("conv").names(nn.Embedding(3, 2))
    with pytest.raises(BadInput, match=r"no weight is named like 'nope\*'"):
        Scope(("0*", "nope*")).names(model)


def test_nan_scores_are_refused():
    model = BatchNormNet()
    scores = scores_of(model)
    scores["second.weight"][0, 0, 0, 0] = math.nan
    with pytest.raises(BadInput, match=r"NaN in second\.weight"):
        Scope("conv").live(model, scores)


def test_counts_that_cannot_be_kept():
    model, scope = BatchNormNet(), Scope("conv")
    with pytest.raises(BadInput, match="cannot keep 9999"):
        scope.live(model, scores_of(model), 9999)
    with pytest.raises(BadInput, match=r"counts lack second\.weight"):
        scope.live(model, scores_of(model), {"first.weight": 3})
    with pytest.raises(BadInput, match=r"counts name bn1\.weight"):
        scope.live(model, scores_of(model), {"first.weight": 3, "second.weight": 4, "bn1.weight": 2})
    with pytest.raises(BadInput, match=r"cannot keep 55 of first\.weight: 54 are live"):
        scope.live(model, scores_of(model), {"first.weight": 55, "second.weight": 4})


def test_a_layer_without_weights_is_named():
    model = BatchNormNet()
    counts = {"first.weight": 0, "second.weight": 5}
    with pytest.warns(UserWarning, match=r"nothing of first\.weight is left"):
        Scope("conv").live(model, scores_of(model), counts)
    with pytest.raises(BadInput, match=r"nothing of first\.weight is left.*lower sparsity"):
        Scope("conv", allow_empty=False).live(model, scores_of(model), counts)


def normal_scores(model, seed=0):
    g = torch.Generator().manual_seed(seed)
    return {name: torch.randn(w.shape, generator=g) for name, w in named.weights(model).items()}


def choosing(share=0.05, count=None, **more):
    return Scope(amount=Share(share) if count is None else Count(count), **more)


def selected(scope, model, scores=None, within=None, seed=0):
    return scope.chosen(model, scores or normal_scores(model), generator_of(seed, "test"), within)


@pytest.mark.parametrize("order", ["largest", "smallest", "random"])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.29, 0.5, 1.0])
def test_sizes_are_exact(order, share):
    model = nn.Linear(10, 10, bias=False)
    mask = selected(choosing(share, order=order), model)
    assert masks.count(mask) == round(share * 100)
    assert list(mask) == list(named.weights(model))


def test_the_ends_of_the_rank():
    model = problems.mlp()
    scores = normal_scores(model)
    flat = named.flat(scores)
    largest = named.flat(selected(choosing(count=50), model, scores))
    smallest = named.flat(selected(choosing(count=50, order="smallest"), model, scores))
    assert flat[largest].min() > flat[~largest].max()
    assert flat[smallest].max() < flat[~smallest].min()


def test_ties_go_to_the_lowest_index_even_at_minus_infinity():
    model = nn.Linear(4, 2)
    even = {name: torch.full_like(w, float("-inf")) for name, w in named.weights(model).items()}
    for order in ("largest", "smallest"):
        mask = selected(choosing(count=2, order=order, biases=False), model, even)
        assert named.flat(mask).nonzero().reshape(-1).tolist() == [0, 1]


def test_random_depends_on_the_seed_and_not_on_scores():
    model = problems.mlp()
    pick = choosing(0.1, order="random")
    one = selected(pick, model, normal_scores(model, 0))
    assert named.digest(one) == named.digest(selected(pick, model, normal_scores(model, 1)))
    assert named.digest(one) != named.digest(selected(pick, model, seed=1))


def test_per_layer_takes_the_share_of_each():
    model = problems.mlp()
    mask = selected(choosing(0.1, level="layer"), model)
    assert [masks.count({n: m}) for n, m in mask.items()] == [409, 6, 64, 1]
    dead = {name: torch.full_like(m, not name.startswith("0")) for name, m in mask.items()}
    assert [masks.count({n: m}) for n, m in selected(choosing(0.1, level="layer"), model, within=dead).items()] == [
        0, 0, 64, 1,
    ]  # fmt: skip


def test_a_layer_too_small_for_the_share_gives_none():
    model = problems.mlp()
    for order in ("largest", "smallest", "random"):
        mask = selected(choosing(0.05, level="layer", order=order), model)
        assert [masks.count({n: m}) for n, m in mask.items()] == [204, 3, 32, 0]
    with pytest.raises(BadInput, match=r"a share of 0\.0001 is not one weight in any layer; the largest has 4096"):
        selected(choosing(1e-4, level="layer"), model)


def test_candidates_by_kind():
    model = problems.BatchNormNet()
    names = lambda s: {n for n, m in s.candidates(model).items() if bool(m.all())}  # noqa: E731
    everything = set(named.weights(model))
    assert names(choosing()) == everything
    assert names(choosing(norms=False)) == everything - {"bn1.weight", "bn1.bias", "bn2.weight", "bn2.bias"}
    assert names(choosing(biases=False)) == everything - {"bn1.bias", "bn2.bias", "head.bias"}
    assert names(choosing(last_layers=1)) == {"head.weight", "head.bias"}
    assert names(choosing(last_layers=2)) == {"head.weight", "head.bias", "bn2.weight", "bn2.bias"}
    assert names(choosing(last_layers=2, norms=False)) == {"head.weight", "head.bias"}
    assert names(choosing(layers=("bn*", "head"))) == {n for n in everything if n[:2] in ("bn", "he")}


def test_recurrent_and_attention_biases_are_biases():
    held = choosing(biases=False).candidates(nn.LSTM(3, 2))
    assert {n for n, m in held.items() if bool(m.any())} == {"weight_ih_l0", "weight_hh_l0"}
    held = choosing(biases=False).candidates(nn.MultiheadAttention(4, 2))
    assert {n for n, m in held.items() if bool(m.any())} == {"in_proj_weight", "out_proj.weight"}


def test_nothing_outside_the_live_weights_is_selected():
    problem = problems.problem("images", masked=True)
    mask = selected(choosing(0.3), problem.model, within=problem.mask)
    assert masks.count(mask) == int(0.3 * masks.count(problem.mask))
    assert not any(bool(m[~problem.mask[n]].any()) for n, m in mask.items())


def test_frozen_weights_are_no_candidates():
    model = problems.mlp()
    model[0].weight.requires_grad_(False)
    assert set(choosing().candidates(model)) == {"0.bias", "2.weight", "2.bias"}


def test_the_order_of_keys_does_not_matter():
    model = problems.mlp()
    scores = normal_scores(model)
    turned = {name: scores[name] for name in sorted(scores)}
    assert named.digest(selected(choosing(), model, scores)) == named.digest(selected(choosing(), model, turned))


def test_nan_scores_are_refused_only_among_candidates():
    model = problems.mlp()
    scores = normal_scores(model)
    scores["0.bias"][3] = float("nan")
    with pytest.raises(BadInput, match="NaN"):
        selected(choosing(), model, scores)
    assert masks.count(selected(choosing(count=7, biases=False), model, scores)) == 7


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"share": 0.0}, r"share must be in \(0, 1\], got 0.0"),
        ({"share": 5}, "write 0.05 for 5 %"),
        ({"count": 0}, "count must be at least 1"),
        ({"count": 3, "level": "layer"}, "count goes with level='global', got 3 and 'layer'"),
        ({"order": "sharpest"}, "unknown order 'sharpest'"),
        ({"level": "block"}, "unknown level 'block'"),
        ({"last_layers": 0}, "last_layers must be at least 1"),
    ],
)
def test_settings_that_make_no_sense(settings, why):
    with pytest.raises(BadInput, match=why):
        choosing(**settings)


def test_selections_that_select_nothing():
    model = problems.mlp()
    with pytest.raises(BadInput, match=r"a share of 1e-05 of 4810 candidate weights is 0; ask for 1 to 4810"):
        selected(choosing(1e-5), model)
    with pytest.raises(BadInput, match="4811 of 4810 candidate weights"):
        selected(choosing(count=4811), model)
    with pytest.raises(BadInput, match=r"no weight can be selected .* layers with weights: 0, 2"):
        selected(choosing(layers=("head",)), model)
    with pytest.raises(BadInput, match="same model"):
        selected(choosing(), model, {"w": torch.ones(3)})


@pytest.mark.parametrize("name", registry.names("importance"))
def test_every_method_moves_only_what_a_score_selected(name):
    problem = problems.problem("vectors")
    score = registry.find("importance", name)
    assert isinstance(score, Score)
    mask = choosing(0.2).chosen(problem.model, problem.scores(score), generator_of(0, "rank"))
    chosen = problems.problem("vectors", where=mask)
    after = named.weights(registry.find("methods", "fine_tune", epochs=1)(chosen).model)
    before = named.weights(problem.model)
    for key, inside in mask.items():
        assert torch.equal(after[key][~inside], before[key][~inside])
    assert any(not torch.equal(after[key], before[key]) for key in mask)


def test_what_comes_back_is_chosen_within_what_was_pruned():
    # Growth: the scope of a pruner, and the weights that are not live.
    model = BatchNormNet()
    live = Scope("conv", Rest(0.5)).live(model, scores_of(model))
    pruned = {name: ~part for name, part in live.items()}
    grown = Scope("conv", Count(7)).chosen(model, normal_scores(model), generator_of(0, "grow"), pruned)
    assert masks.count(grown) == 7 and masks.count(masks.both(grown, live)) == 0
    assert masks.count(named.apply(torch.logical_or, live, grown)) == masks.count(live) + 7


def test_kinds_and_layers_narrow_one_another():
    model = BatchNormNet()
    assert Scope("conv+linear", last_layers=1).names(model) == ["head.weight"]
    assert Scope(("*weight",), norms=False).names(model) == ["first.weight", "second.weight", "head.weight"]
    with pytest.raises(BadInput, match=r"no weight can be selected .* layers with weights: first, bn1"):
        Scope("conv", last_layers=1).names(model)
