"""Prune first, then unlearn."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from lacunar.catalog import registry
from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Examples
from lacunar.methods.combiners.prune_first import PruneFirst
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.methods.fine_tuning.fine_tune import FineTune
from lacunar.models.small_cnn import SmallCnn
from lacunar.pruners.channel import Channel
from lacunar.pruners.global_magnitude import GlobalMagnitude
from lacunar.pruners.iterative_magnitude import IterativeMagnitude
from lacunar.pruners.snip import Snip
from lacunar.sparsity.channels.cut import SmallerBuild
from lacunar.sparsity.compact import compact
from lacunar.sparsity.prune_and_train import prune_trained, train_pruned
from lacunar.training.log import Log
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem

RECIPE = Recipe(SmallCnn((1, 8, 8), classes=4, width=4, depth=2), epochs=3, lr=0.05, batch_size=8, precision="float32")
QUICK = FineTune(epochs=2, batch_size=8)


def images() -> Examples:
    g = torch.Generator().manual_seed(0)
    y = torch.arange(24) % 4
    return Examples.of(torch.randn(24, 1, 8, 8, generator=g) + y[:, None, None, None], y)


def problem(**more) -> Problem:
    return Problem.of(RECIPE.fit(images(), 0), images(), [1, 2, 3], RECIPE, device="cpu", **more)


def test_equals_pruning_by_hand_and_then_the_method():
    posed = problem()
    outcome = PruneFirst(QUICK, GlobalMagnitude(0.6), finetune_epochs=1)(posed)
    tuned = dataclasses.replace(RECIPE, epochs=1, lr=0.01, schedule="constant")
    sparse, mask = prune_trained(posed.model, RECIPE, images(), GlobalMagnitude(0.6), "none", 0, finetune=tuned)
    # The method's own descent is the second of the job: it shuffles anew.
    inner = dataclasses.replace(posed, log=Log(descents=1)).hand_to(QUICK, sparse, mask=mask)
    assert named.digest(named.weights(outcome.model)) == named.digest(named.weights(inner))
    assert named.digest(outcome.mask) == named.digest(mask)


def test_reports_densities_and_the_seconds_that_are_no_unlearning(tmp_path):
    # A name that says "prune" must prune, and say how much.
    outcome = PruneFirst(QUICK, GlobalMagnitude(0.5), finetune_epochs=1)(problem())
    facts = outcome.facts
    assert facts["density_before"] == {"scope": 1.0, "net": 1.0}
    assert facts["density_after"] == {"scope": 162 / 324, "net": masks.density(outcome.mask)}
    zeros = sum(int((w == 0).sum()) for n, w in named.weights(outcome.model).items() if n.startswith("conv"))
    assert zeros == 162
    assert 0 < facts["preparation_seconds"] < outcome.seconds
    outcome.save(tmp_path)
    assert json.loads((tmp_path / "outcome.json").read_text())["facts"] == facts


def test_a_mask_that_is_sparse_enough_is_kept():
    model, mask = train_pruned(RECIPE, images(), GlobalMagnitude(0.7), "init", 0)
    posed = Problem.of(model, images(), [1, 2], RECIPE, device="cpu", mask=mask)
    outcome = PruneFirst(QUICK, GlobalMagnitude(0.6))(posed)
    assert named.digest(named.weights(outcome.model)) == named.digest(named.weights(QUICK(posed).model))
    assert outcome.facts == {} and outcome.mask is posed.mask


def test_a_mask_that_is_not_sparse_enough_is_pruned_further():
    model, mask = train_pruned(RECIPE, images(), GlobalMagnitude(0.3), "init", 0)
    posed = Problem.of(model, images(), [1, 2], RECIPE, device="cpu", mask=mask)
    outcome = PruneFirst(QUICK, GlobalMagnitude(0.6), finetune_epochs=1)(posed)
    assert not any(bool((outcome.mask[n] & ~mask[n]).any()) for n in mask)
    assert outcome.facts["density_before"]["scope"] == pytest.approx(0.7, abs=0.01)
    assert outcome.facts["density_after"]["scope"] == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize(("prune_on", "sees"), [("all", True), ("retain", False)])
def test_pruning_sees_the_forgotten_examples_only_when_asked_to(prune_on, sees, monkeypatch):
    posed, seen = problem(), set()
    original = Recipe.for_training

    def recording(recipe, seed, augmented=True):
        prepared = original(recipe, seed, augmented)

        def watch(batch):
            seen.update(batch.ids.tolist())
            return prepared(batch)

        return watch

    monkeypatch.setattr(Recipe, "for_training", recording)
    PruneFirst(DoNothing(), Snip(0.5, per_class=100), prune_on=prune_on, finetune_epochs=1)(posed)
    assert ({1, 2, 3} <= seen) == sees and set(posed.retain.ids.tolist()) <= seen


def test_pruning_without_the_forgotten_sees_their_corrected_rows(monkeypatch):
    given = images()
    corrected = given.where([1, 2, 3]).labelled(torch.tensor([0, 0, 0]))
    posed = problem(corrected=corrected)
    seen = []
    monkeypatch.setattr(
        "lacunar.methods.combiners.prune_first.prune_trained",
        lambda *a, **k: seen.append(a[2]) or prune_trained(*a, **k),
    )
    PruneFirst(DoNothing(), GlobalMagnitude(0.5), prune_on="retain", finetune_epochs=0)(posed)
    assert seen[0].where([1, 2, 3]).y.tolist() == [0, 0, 0] and len(seen[0]) == 24


def test_iterative_pruning_without_training_is_refused():
    with pytest.raises(NotApplicable, match="so it would prune once"):
        PruneFirst(QUICK, IterativeMagnitude(0.6), finetune_epochs=0)(problem())


def test_rewinding_repeats_the_original_training():
    outcome = PruneFirst(DoNothing(), GlobalMagnitude(0.5), rewind=1)(problem())
    wanted, _ = train_pruned(RECIPE, images(), GlobalMagnitude(0.5), 1, 0, log=Log())
    assert named.digest(named.weights(outcome.model)) == named.digest(named.weights(wanted))


def test_prune_channels_compact_unlearn():
    posed = problem()
    pruned = PruneFirst(DoNothing(), Channel(0.5), finetune_epochs=1)(posed)
    small = compact(pruned.model, pruned.mask, posed.recipe.prepare(posed.retain.x))
    recipe = dataclasses.replace(RECIPE, build=SmallerBuild(RECIPE.build, small.cuts))
    smaller = Problem.of(small.model, images(), [1, 2, 3], recipe, device="cpu", mask=small.mask)
    outcome = QUICK(smaller)
    assert named.count(named.weights(outcome.model)) == small.parameters[1] < small.parameters[0]
    assert registry.find("methods", "retrain")(smaller).model.conv1.out_channels == 2


def test_settings_nest_and_round_trip():
    method = registry.parse("methods", "prune_first:method=fine_tune(epochs=3),pruner=channel(sparsity=0.3),rewind=2")
    assert method == PruneFirst(FineTune(epochs=3), Channel(0.3), 2)
    assert registry.from_spec("methods", json.loads(json.dumps(method.spec()))) == method
    assert registry.parse("methods", "prune_first:rewind=init").rewind == "init"


def test_the_inner_method_is_checked_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr("lacunar.methods.combiners.prune_first.prune_trained", lambda *a, **k: pytest.fail("too late"))
    lacking = dataclasses.replace(problem(), recipe=dataclasses.replace(RECIPE, build=None))
    with pytest.raises(NotApplicable, match="retrain needs a recipe that can train again"):
        PruneFirst(registry.find("methods", "retrain"))(lacking)


def test_what_it_cannot_do():
    posed = problem()
    where = masks.full(named.weights(posed.model), True)
    where["conv1.weight"] = torch.zeros_like(where["conv1.weight"])
    with pytest.raises(NotApplicable, match="cannot leave those outside where="):
        PruneFirst(QUICK)(dataclasses.replace(posed, where=where))
    with pytest.raises(BadInput, match="rewind=3 is no epoch"):
        PruneFirst(QUICK, rewind=3)(posed)
