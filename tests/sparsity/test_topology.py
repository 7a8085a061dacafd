"""Comparing masks."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.sparsity import topology
from tests.oracles.topology import overlap as slow_overlap


def draw(seed: int, density: float = 0.3, shapes=((40, 30), (25, 4, 3))) -> masks.Mask:
    g = torch.Generator().manual_seed(seed)
    return {f"w{i}": torch.rand(shape, generator=g) < density for i, shape in enumerate(shapes)}


def complement(mask):
    return {name: ~m for name, m in mask.items()}


def test_overlap_of_equal_disjoint_and_swapped_masks():
    a, b = draw(0), draw(1)
    assert topology.overlap(a, a) == 1 and topology.overlap(a, complement(a)) == 0
    assert topology.overlap(a, b) == topology.overlap(b, a) == slow_overlap(a, b)
    empty = masks.full(a, False)
    assert topology.overlap(empty, empty) == topology.chance(empty, empty) == topology.kappa(empty, empty) == 1
    assert topology.overlap(a, empty) == 0


def test_independent_masks_overlap_as_chance_says():
    # Densities differ by layer and between the masks, so that no shortcut gives the right number.
    values, expected = [], 0.0
    for seed in range(200):
        a = {"w0": draw(seed, 0.1)["w0"], "w1": draw(seed, 0.6)["w1"]}
        b = {"w0": draw(seed + 1000, 0.3)["w0"], "w1": draw(seed + 1000, 0.5)["w1"]}
        values.append(topology.overlap(a, b))
        expected += topology.chance(a, b) / 200
    sample = torch.tensor(values, dtype=torch.float64)
    assert abs(float(sample.mean()) - expected) < 4 * float(sample.std()) / math.sqrt(200)
    assert topology.chance(draw(0, 1.1), draw(0, 1.1)) == 1


def test_kappa_is_cohens():
    for seed in range(3):
        a, b = draw(seed, 0.2), draw(seed + 10, 0.4)
        wanted = cohen_kappa_score(named.flat(a).numpy(), named.flat(b).numpy())
        assert topology.kappa(a, b) == pytest.approx(wanted, abs=1e-12)


def test_churn_revived_removed():
    before = {"w": torch.tensor([True, True, False, False, False])}
    after = {"w": torch.tensor([True, False, True, True, False])}
    assert topology.revived(before, after) == 2 and topology.revived(after, before) == 1
    assert topology.churn(before, after) == 3 / 5
    assert topology.shared(before, after) == 1


def test_filters_and_layers():
    mask = {"w": torch.tensor([[True, False], [False, False]]), "b": torch.tensor([True, True])}
    assert {n: m.tolist() for n, m in topology.filters(mask).items()} == {"w": [True, False]}
    a, b = draw(0), draw(1)
    by_layer = topology.per_layer(topology.overlap, a, b)
    assert by_layer == {n: slow_overlap({n: a[n]}, {n: b[n]}) for n in a}
    assert list(topology.part(a, ["w1"])) == ["w1"]


def test_a_live_weight_that_is_zero_stays_live():
    # A mask is a value, not read off from `w != 0` (trap U7).
    mask = {"w": torch.ones(3, dtype=torch.bool)}
    assert topology.overlap(mask, mask) == 1 and masks.count(mask) == 3


@pytest.mark.parametrize("seeds", [range(200), pytest.param(range(200, 1000), marks=pytest.mark.slow)])
@pytest.mark.parametrize("per_layer", [False, True])
def test_margin_bound_is_never_violated(per_layer, seeds):
    for seed in seeds:
        g = torch.Generator().manual_seed(seed)
        noise = float(torch.rand((), generator=g)) * 0.5
        reference = {f"w{i}": torch.randn(20 + 7 * i, generator=g) for i in range(2)}
        if seed % 2:  # ties
            reference = named.apply(lambda w: (w * 3).round() / 3, reference)
        weights = named.apply(lambda w: w + noise * (2 * torch.rand(w.shape, generator=g) - 1), reference)
        kept = {n: int(torch.randint(0, w.numel() + 1, (), generator=g)) for n, w in reference.items()}
        if per_layer:
            pair = [{n: masks.top_k({n: w[n].abs()}, kept[n])[n] for n in w} for w in (weights, reference)]
            found = topology.margin(weights, reference, kept)
        else:
            total = sum(kept.values())
            pair = [masks.top_k(named.apply(torch.abs, w), total) for w in (weights, reference)]
            found = topology.margin(weights, reference, total)
        assert topology.overlap(*pair) >= found.bound - 1e-12
        assert topology.revived(*pair) <= found.movable
        assert found.epsilon <= noise + 1e-6


def test_margin_is_not_trivial():
    g = torch.Generator().manual_seed(0)
    reference = {"w": torch.randn(1000, generator=g)}
    assert topology.margin(reference, reference, 300).bound == 1
    close = {"w": reference["w"] + 1e-3}
    assert 0.9 < topology.margin(close, reference, 300).bound < 1
    assert topology.margin(close, reference, 0).bound == 1


def test_near_threshold_counts_what_noise_can_move():
    weights = {"w": torch.tensor([5.0, -4.0, 3.0, -2.0, 1.0])}
    assert topology.near_threshold(weights, 3, [0.0, 0.5, 1.0]) == [1, 3, 5]
    with pytest.raises(BadInput, match="no 6-th largest of 5"):
        topology.near_threshold(weights, 6, [0.1])


def test_likelihood_ratio_separates_planted_families_and_not_identical_ones():
    g = torch.Generator().manual_seed(0)
    one = torch.rand(400, generator=g).clamp(0.1, 0.9)
    other = torch.rand(400, generator=g).clamp(0.1, 0.9)

    def family(q, n):
        return [{"w": torch.rand(400, generator=g) < q} for _ in range(n)]

    def auc(q):
        first, second = topology.keep_frequency(family(one, 20)), topology.keep_frequency(family(q, 20))
        masks, labels = family(one, 40) + family(q, 40), [1] * 40 + [0] * 40
        return roc_auc_score(labels, [topology.log_likelihood_ratio(m, first, second) for m in masks])

    assert auc(other) == 1
    assert abs(auc(one) - 0.5) < 0.15


def test_keep_frequency_never_reaches_the_ends():
    masks = [{"w": torch.tensor([True, False])}] * 3
    assert topology.keep_frequency(masks)["w"].tolist() == [3.5 / 4, 0.5 / 4]
    with pytest.raises(BadInput, match="at least one mask"):
        topology.keep_frequency([])


def test_masks_of_different_models_are_refused():
    a, b = draw(0), draw(0, shapes=((40, 30), (25, 12)))
    for measure in (topology.overlap, topology.churn, topology.kappa, topology.chance, topology.revived):
        with pytest.raises(BadInput, match="they differ at w1"):
            measure(a, b)
