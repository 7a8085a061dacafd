import copy
import dataclasses

import pytest
import torch
from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Examples
from lacunar.methods.closed_form.fisher_forgetting import FisherForgetting
from lacunar.training import forward
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.oracles import curvature as oracle


def deviation(method, problem):
    head = forward.head_of(problem.model, problem.recipe.prepare(problem.retain.inputs_at(torch.tensor([0]))))
    return method.deviation(method.fisher(problem.model, problem), head, problem)


def test_noise_has_the_promised_variance(digits, monkeypatch):
    problem = digits.problem(digits.flipped[:20])
    method = FisherForgetting(alpha=1e-4)
    known = method.fisher(problem.model, problem)
    monkeypatch.setattr(FisherForgetting, "fisher", lambda self, model, given: known)
    spread, before = named.flat(deviation(method, problem)), named.flat(named.weights(problem.model))
    total = torch.zeros_like(spread, dtype=torch.float64)
    for seed in range(200):
        moved = named.flat(named.weights(method(digits.problem(digits.flipped[:20], seed=seed)).model)) - before
        total += (moved.double() / spread.double()) ** 2 / 200
    assert float(total.mean()) == pytest.approx(1.0, abs=0.02)
    assert float(total.max()) < 2


def test_the_diagonal_is_per_example_over_all_labels():
    """As one example at a time; public code squares batch means, or adds a constant inside the square."""
    problem = problems.problem("vectors")
    expected = oracle.true_fisher(problem.model, problem.retain, problem.recipe)
    found = FisherForgetting().fisher(problem.model, problem)
    gap = named.add(found, {n: t.float() / len(problem.retain) for n, t in expected.items()}, -1.0)
    assert named.norm(gap) < 1e-5 * named.norm(found)


def test_corrected_rows_count_as_retained():
    problem = problems.problem("vectors")
    corrected = dataclasses.replace(problem.forget, x=2 * problem.forget.x)
    posed = dataclasses.replace(problem, corrected=corrected)
    joined = problems.with_parts(problem, problem.retain + corrected, problems.renumbered(problem.forget))
    for method in (FisherForgetting(), FisherForgetting(reference=True), FisherForgetting(samples=2)):
        found, wanted = (method.fisher(problem.model, p) for p in (posed, joined))
        assert named.digest(found) == named.digest(wanted)


def test_no_noise_in_the_limit():
    problem = problems.problem("vectors")
    after = named.weights(FisherForgetting(alpha=1e-30)(problem).model)
    assert named.norm(named.add(after, named.weights(problem.model), -1.0)) < 1e-10


def test_variance_clamps_averages_and_boosts():
    problem = problems.problem("vectors")
    plain = {"alpha": 1.0, "smooth": False, "boost": 1.0}
    diagonal = {n: torch.full_like(w, 1e-2) for n, w in named.weights(problem.model).items()}
    diagonal["0.weight"][0] = 0.0
    spread = FisherForgetting(**plain).deviation(diagonal, "2", problem)
    assert torch.allclose(spread["0.weight"][1:], torch.tensor(10.0))
    assert torch.allclose(spread["0.weight"][0], torch.tensor(1e3**0.5))
    assert torch.allclose(
        FisherForgetting(**plain).deviation({**diagonal, "2.bias": torch.zeros(3)}, "2", problem)["2.bias"],
        torch.tensor(10.0),
    )
    diagonal["0.weight"] = torch.rand(8, 6) + 0.1
    mean = (1 / diagonal["0.weight"]).mean(1, keepdim=True).expand(8, 6)
    smooth = FisherForgetting(alpha=1.0).deviation(diagonal, "2", problem)
    assert torch.allclose(smooth["0.weight"], mean.sqrt())
    assert torch.allclose(smooth["0.bias"], torch.tensor((10 * 100.0) ** 0.5))
    assert torch.allclose(smooth["2.weight"], torch.tensor((10 * 100.0) ** 0.5))
    root = FisherForgetting(alpha=1.0, power=0.25).deviation(diagonal, "2", problem)
    assert torch.allclose(root["0.weight"], mean.sqrt().sqrt())


def test_the_older_public_variant_cuts_the_deviation():
    problem = problems.problem("vectors")
    diagonal = {n: torch.rand(w.shape) * 3 for n, w in named.weights(problem.model).items()}
    older = FisherForgetting(alpha=1e-6, clamp=1, clamp_head=1, smooth=False, boost=1)
    for name, found in older.deviation(diagonal, "2", problem).items():
        assert torch.allclose(found, (1e-6 / diagonal[name]).sqrt().clamp(max=1e-3), rtol=1e-4)


def test_pruned_neighbours_do_not_set_the_noise():
    """A pruned weight has F = 0 and so the largest variance, which must not enter the average over live ones."""
    problem = problems.problem("vectors")
    diagonal = {n: torch.full_like(w, 0.5) for n, w in named.weights(problem.model).items()}
    found = []
    for pruned in (1, 5):
        mask = masks.full(diagonal, True)
        mask["0.weight"][:, :pruned] = False
        masked = problems.problem("vectors", masked=True)
        object.__setattr__(masked, "mask", mask)
        zeroed = masks.keep(diagonal, mask)
        found.append(FisherForgetting().deviation(zeroed, "2", masked)["0.weight"][:, 5])
    assert torch.equal(*found)
    assert torch.allclose(found[0], torch.tensor((3e-8 * 2) ** 0.5), rtol=1e-5)


class TenFilters(nn.Module):
    """A hidden convolution with as many filters as classes, which a test of shapes takes for the classifier."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(10, 10)
        self.hidden = nn.Conv2d(1, 10, 3)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(x)).mean((2, 3)))


def test_the_classifier_is_found_by_running_not_by_shape():
    torch.manual_seed(0)
    examples = Examples.of(torch.randn(40, 1, 5, 5), torch.arange(40) % 10)
    model = TenFilters()
    assert forward.head_of(model, examples.x[:1]) == "head"
    problem = Problem.of(model, examples, torch.arange(4), Recipe(TenFilters), device="cpu")
    diagonal = {n: torch.zeros_like(w) for n, w in named.weights(model).items()}
    spread = FisherForgetting(alpha=1.0).deviation(diagonal, "head", problem)
    assert torch.allclose(spread["hidden.weight"], torch.tensor(1e3**0.5))
    assert torch.allclose(spread["head.weight"], torch.tensor((1e2 * 10) ** 0.5))


def test_a_random_forget_set_of_any_size_wipes_no_class(digits):
    """Public code takes a set of one particular size for a class, and then erases the last one."""
    rows = []
    for n in (49, 50, 51):
        for reference in (False, True):
            problem = digits.problem(torch.arange(n) * 3)
            after = named.weights(FisherForgetting(reference=reference)(problem).model)["2.weight"]
            rows.append(after.norm(dim=1) / named.weights(digits.model)["2.weight"].norm(dim=1))
    assert bool((torch.stack(rows) - 1).abs().max() < 0.05)


def test_only_the_reference_wipes_a_class_that_disappears(digits):
    last = digits.train.ids[digits.train.y == 9]
    for reference in (False, True):
        problem = digits.problem(last)
        after = named.weights(FisherForgetting(reference=reference)(problem).model)["2.weight"]
        share = after.norm(dim=1) / named.weights(digits.model)["2.weight"].norm(dim=1)
        assert bool((share[:9] - 1).abs().max() < 0.05)
        assert (float(share[9]) < 0.6) is reference
        assert not reference or float(after[9].std()) == pytest.approx(1e-3**0.5, rel=0.4)


def test_a_class_that_corrected_rows_still_have_is_not_wiped(digits):
    last = digits.train.where(digits.train.ids[digits.train.y == 9])
    problem = dataclasses.replace(digits.problem(last.ids), corrected=last)
    after = named.weights(FisherForgetting(reference=True)(problem).model)["2.weight"]
    share = after.norm(dim=1) / named.weights(digits.model)["2.weight"].norm(dim=1)
    assert bool((share - 1).abs().max() < 0.05)


def test_the_published_diagonal_squares_batch_means():
    problem = problems.problem("vectors")
    model, recipe = problem.model, problem.recipe
    expected = named.scale(named.weights(model), 0.0)
    for start in (0, 32):
        batch = problem.retain.take(torch.arange(start, min(start + 32, len(problem.retain))))
        for c, p in enumerate(model(batch.x).softmax(1).mean(0).tolist()):
            wrong = batch.labelled(torch.full_like(batch.y, c))
            g = named.gradient(recipe.losses(model(wrong.x), wrong.y).mean(), model)
            expected = named.apply(lambda t, g, p=p: t + p * g**2 / 2, expected, g)
    found = FisherForgetting(reference=True).fisher(model, problem)
    assert named.norm(named.add(found, expected, -1.0)) < 1e-5 * named.norm(expected)
    ours = FisherForgetting().fisher(model, problem)
    assert named.norm(named.add(found, ours, -1.0)) > 0.3 * named.norm(ours)


def test_sampled_labels_serve_many_classes(monkeypatch):
    problem = problems.problem("vectors")
    found = FisherForgetting(samples=200).fisher(problem.model, problem)
    exact = FisherForgetting().fisher(problem.model, problem)
    assert named.norm(named.add(found, exact, -1.0)) < 0.2 * named.norm(exact)
    monkeypatch.setattr("lacunar.methods.closed_form.fisher_forgetting.MOST_CLASSES", 2)
    with pytest.raises(NotApplicable, match=r"all 3 labels .* set samples=1"):
        FisherForgetting()(problem)
    FisherForgetting(samples=1)(problem)


def test_the_clamped_share_is_told(digits):
    notes = FisherForgetting()(digits.problem(digits.flipped)).notes
    assert any("largest variance allowed" in note for note in notes)


def test_nothing_that_may_move():
    problem = problems.problem("vectors")
    nowhere = masks.full(named.weights(problem.model), False)
    pruned = named.scale(named.weights(problem.model), 0.0)
    model = copy.deepcopy(problem.model)
    named.write(model, pruned)
    with pytest.raises(BadInput, match="no weight"):
        FisherForgetting()(dataclasses.replace(problem, model=model, mask=nowhere))


def test_settings_out_of_range():
    with pytest.raises(BadInput, match="alpha must be > 0, got 0"):
        FisherForgetting(alpha=0.0)


def test_a_sampled_diagonal_depends_on_the_seed():
    first, second = (
        FisherForgetting(samples=1).fisher(p.model, p) for p in (problems.problem("vectors", seed=s) for s in (0, 1))
    )
    assert named.digest(first) != named.digest(second)
