import pytest
import torch
from torch import nn

from lacunar.catalog import registry
from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.core.rng import generator_of
from lacunar.sparsity.score import Score
from lacunar.sparsity.selection import Selection, describe
from tests import problems


def scores_of(model, seed=0):
    g = torch.Generator().manual_seed(seed)
    return {name: torch.randn(w.shape, generator=g) for name, w in named.weights(model).items()}


def selected(selection, model, scores=None, among=None, seed=0):
    return selection.mask(model, scores or scores_of(model), generator_of(seed, "test"), among)


@pytest.mark.parametrize("order", ["largest", "smallest", "random"])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.29, 0.5, 1.0])
def test_sizes_are_exact(order, share):
    model = nn.Linear(10, 10, bias=False)
    mask = selected(Selection(share, order=order), model)
    assert masks.count(mask) == round(share * 100)
    assert list(mask) == list(named.weights(model))


def test_the_ends_of_the_rank():
    model = problems.mlp()
    scores = scores_of(model)
    flat = named.flat(scores)
    largest = named.flat(selected(Selection(count=50), model, scores))
    smallest = named.flat(selected(Selection(count=50, order="smallest"), model, scores))
    assert flat[largest].min() > flat[~largest].max()
    assert flat[smallest].max() < flat[~smallest].min()


def test_ties_go_to_the_lowest_index_even_at_minus_infinity():
    model = nn.Linear(4, 2)
    even = {name: torch.full_like(w, float("-inf")) for name, w in named.weights(model).items()}
    for order in ("largest", "smallest"):
        mask = selected(Selection(count=2, order=order, biases=False), model, even)
        assert named.flat(mask).nonzero().reshape(-1).tolist() == [0, 1]


def test_random_depends_on_the_seed_and_not_on_scores():
    model = problems.mlp()
    pick = Selection(0.1, order="random")
    one = selected(pick, model, scores_of(model, 0))
    assert named.digest(one) == named.digest(selected(pick, model, scores_of(model, 1)))
    assert named.digest(one) != named.digest(selected(pick, model, seed=1))


def test_per_layer_takes_the_share_of_each():
    model = problems.mlp()
    mask = selected(Selection(0.1, level="layer"), model)
    assert [masks.count({n: m}) for n, m in mask.items()] == [409, 6, 64, 1]
    dead = {name: torch.full_like(m, not name.startswith("0")) for name, m in mask.items()}
    assert [masks.count({n: m}) for n, m in selected(Selection(0.1, level="layer"), model, among=dead).items()] == [
        0, 0, 64, 1,
    ]  # fmt: skip


def test_a_layer_too_small_for_the_share_gives_none():
    model = problems.mlp()
    for order in ("largest", "smallest", "random"):
        mask = selected(Selection(0.05, level="layer", order=order), model)
        assert [masks.count({n: m}) for n, m in mask.items()] == [204, 3, 32, 0]
    with pytest.raises(BadInput, match=r"a share of 0\.0001 is not one weight in any layer; the largest has 4096"):
        selected(Selection(1e-4, level="layer"), model)


def test_candidates_by_kind():
    model = problems.BatchNormNet()
    names = lambda s: {n for n, m in s.candidates(model).items() if bool(m.all())}  # noqa: E731
    everything = set(named.weights(model))
    assert names(Selection()) == everything
    assert names(Selection(norms=False)) == everything - {"bn1.weight", "bn1.bias", "bn2.weight", "bn2.bias"}
    assert names(Selection(biases=False)) == everything - {"bn1.bias", "bn2.bias", "head.bias"}
    assert names(Selection(last_layers=1)) == {"head.weight", "head.bias"}
    assert names(Selection(last_layers=2)) == {"head.weight", "head.bias", "bn2.weight", "bn2.bias"}
    assert names(Selection(last_layers=2, norms=False)) == {"head.weight", "head.bias"}
    assert names(Selection(layers=("bn*", "head"))) == {n for n in everything if n[:2] in ("bn", "he")}


def test_recurrent_and_attention_biases_are_biases():
    held = Selection(biases=False).candidates(nn.LSTM(3, 2))
    assert {n for n, m in held.items() if bool(m.any())} == {"weight_ih_l0", "weight_hh_l0"}
    held = Selection(biases=False).candidates(nn.MultiheadAttention(4, 2))
    assert {n for n, m in held.items() if bool(m.any())} == {"in_proj_weight", "out_proj.weight"}


def test_nothing_outside_the_live_weights_is_selected():
    problem = problems.problem("images", masked=True)
    mask = selected(Selection(0.3), problem.model, among=problem.mask)
    assert masks.count(mask) == int(0.3 * masks.count(problem.mask))
    assert not any(bool(m[~problem.mask[n]].any()) for n, m in mask.items())


def test_frozen_weights_are_no_candidates():
    model = problems.mlp()
    model[0].weight.requires_grad_(False)
    assert set(Selection().candidates(model)) == {"0.bias", "2.weight", "2.bias"}


def test_the_order_of_keys_does_not_matter():
    model = problems.mlp()
    scores = scores_of(model)
    turned = {name: scores[name] for name in sorted(scores)}
    assert named.digest(selected(Selection(), model, scores)) == named.digest(selected(Selection(), model, turned))


def test_nan_scores_are_refused_only_among_candidates():
    model = problems.mlp()
    scores = scores_of(model)
    scores["0.bias"][3] = float("nan")
    with pytest.raises(BadInput, match="NaN"):
        selected(Selection(), model, scores)
    assert masks.count(selected(Selection(count=7, biases=False), model, scores)) == 7


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"share": 0.0}, r"share must be in \(0, 1\], got 0.0"),
        ({"share": 5}, "write 0.05 for 5 %"),
        ({"count": 0}, "count must be at least 1"),
        ({"count": 3, "level": "layer"}, "level='global'"),
        ({"order": "sharpest"}, "unknown order 'sharpest'"),
        ({"level": "block"}, "unknown level 'block'"),
        ({"last_layers": 0}, "last_layers must be at least 1"),
    ],
)
def test_settings_that_make_no_sense(settings, why):
    with pytest.raises(BadInput, match=why):
        Selection(**settings)


def test_selections_that_select_nothing():
    model = problems.mlp()
    with pytest.raises(BadInput, match=r"a share of 1e-05 of 4810 candidate weights is 0; ask for 1 to 4810"):
        selected(Selection(1e-5), model)
    with pytest.raises(BadInput, match="4811 of 4810 candidate weights"):
        selected(Selection(count=4811), model)
    with pytest.raises(BadInput, match=r"no weight can be selected .* layers with weights: 0, 2"):
        selected(Selection(layers=("head",)), model)
    with pytest.raises(BadInput, match="same model"):
        selected(Selection(), model, {"w": torch.ones(3)})


def test_description_counts_per_tensor_and_in_all():
    model = problems.mlp()
    rows = describe(selected(Selection(0.5), model))
    assert [row["weight"] for row in rows] == [*named.weights(model), "all"]
    assert rows[-1] == {"weight": "all", "selected": 2405, "of": 4810, "share": 0.5}
    assert sum(row["selected"] for row in rows[:-1]) == 2405


@pytest.mark.parametrize("name", registry.names("importance"))
def test_every_method_moves_only_what_a_score_selected(name):
    problem = problems.problem("vectors")
    score = registry.find("importance", name)
    assert isinstance(score, Score)
    mask = Selection(0.2).mask(problem.model, problem.scores(score), generator_of(0, "rank"))
    chosen = problems.problem("vectors", where=mask)
    after = named.weights(registry.find("methods", "fine_tune", epochs=1)(chosen).model)
    before = named.weights(problem.model)
    for key, inside in mask.items():
        assert torch.equal(after[key][~inside], before[key][~inside])
    assert any(not torch.equal(after[key], before[key]) for key in mask)
