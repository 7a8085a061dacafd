import pytest
import torch

from lacunar.catalog import registry
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.rng import generator_of
from lacunar.curvature import fisher, ggn
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import weighted_sum
from tests import problems
from tests.curvature.nets import net
from tests.oracles import curvature as oracle


def score(name, notes=None, **settings):
    """The score on the first four examples as kept and the last three as forgotten, on a float64 net."""
    model, examples, recipe = net(settings.pop("net", "mlp"))
    kept, gone = examples.take(torch.arange(4)), examples.take(torch.arange(4, 7))
    given = {"forget": gone, "corrected": settings.pop("corrected", None), "notes": notes}
    return registry.find("importance", name, **settings).scores(model, kept, recipe, generator_of(5, "rank"), **given)


def parts():
    model, examples, recipe = net("mlp")
    kept, gone = examples.take(torch.arange(4)), examples.take(torch.arange(4, 7))
    loop = oracle.gradients(model, gone, recipe)
    total = {name: sum(g[name] for g in loop) for name in loop[0]}
    return model, kept, gone, recipe, total


def assert_same(a, b, tolerance=1e-10):
    assert named.norm(named.add(a, b, -1.0)) <= tolerance * named.norm(b)


def test_magnitude_is_the_absolute_weight():
    assert_same(score("magnitude"), {n: w.abs() for n, w in named.weights(net("mlp")[0]).items()}, 0)


def test_saliency_is_the_size_of_the_forget_gradient():
    total = parts()[-1]
    assert_same(score("saliency"), {n: g.abs() for n, g in total.items()})


def test_taylor_multiplies_by_the_weight():
    model, *_, total = parts()
    assert_same(score("taylor"), named.apply(lambda w, g: (w * g).abs(), named.weights(model), total))


def test_fisher_over_given_and_over_all_labels():
    model, kept, _, recipe, _ = parts()
    assert_same(score("fisher_diagonal"), oracle.squared_sum(model, kept, recipe))
    assert_same(score("fisher_diagonal", labels="all"), oracle.true_fisher(model, kept, recipe))


@pytest.mark.parametrize(
    ("name", "setting"), [("mc_fisher", {"samples": 400}), ("ggn_diagonal", {"probes": 400})], ids=["labels", "signs"]
)
def test_sampled_scores_approach_the_true_fisher(name, setting):
    model, kept, _, recipe, _ = parts()
    exact = fisher.true(Objective.of(model, kept, recipe))
    assert_same(score(name, **setting), exact, 0.1)
    assert_same(score("ggn_diagonal", estimator="exact"), exact)


def test_hessian_diagonal_says_how_it_was_made():
    for kind, word in (("mlp", "Gauss-Newton"), ("gelu", "curved")):
        model, examples, recipe = net(kind)
        notes = []
        found = score("hessian_diagonal", notes, net=kind)
        exact = oracle.dense_hessian(model, examples.take(torch.arange(4)), recipe).diagonal()
        assert torch.allclose(named.flat(found), exact, rtol=1e-8, atol=1e-12)
        assert len(notes) == 1 and word in notes[0]


def test_hutchinson_tells_its_error():
    notes = []
    found = score("hutchinson", notes, probes=60)
    model, kept, _, recipe, _ = parts()
    exact = oracle.dense_hessian(model, kept, recipe).diagonal()
    assert float((named.flat(found) - exact).norm()) < float(exact.norm())
    assert "60 probes" in notes[0] and "% of the norm" in notes[0]


def test_forget_newton_is_the_decrease_along_each_weight():
    model, kept, gone, recipe, total = parts()
    seed = int(torch.randint(0, 1 << 62, (), generator=generator_of(5, "rank")))
    diagonal = ggn.diagonal(Objective.of(model, kept, recipe), probes=3, seed=seed)
    floor = 4 * (5e-4 + 0.2)
    shrunk = named.add(total, named.weights(model), 3 * 5e-4)
    expected = named.apply(lambda g, c: g**2 / (c + floor), shrunk, diagonal)
    assert_same(score("forget_newton", damping=0.2, probes=3), expected)
    changed = gone.labelled((gone.y + 1) % 3)
    edit = named.add(weighted_sum(Objective.of(model, changed, recipe)), total, -1.0)
    expected = named.apply(lambda g, c: g**2 / (c + floor), edit, diagonal)
    assert_same(score("forget_newton", damping=0.2, probes=3, corrected=changed), expected)
    assert named.norm(score("forget_newton", corrected=gone)) == 0
    with pytest.raises(BadInput, match="damping must be >= 0"):
        registry.find("importance", "forget_newton", damping=-1.0)


def test_random_differs_by_seed_and_lies_in_the_unit_interval():
    problem = problems.problem("vectors")
    one = problem.scores(registry.find("importance", "random"))
    two = problems.problem("vectors", seed=1).scores(registry.find("importance", "random"))
    assert named.digest(one) != named.digest(two)
    assert float(named.flat(one).min()) >= 0 and float(named.flat(one).max()) < 1


def test_corrected_rows_count_as_kept():
    problem = problems.problem("vectors")
    corrected = problem.forget.labelled((problem.forget.y + 1) % 3)
    edited = problems.problem("vectors", corrected=corrected)
    expected = fisher.empirical(Objective.of(edited.model, problem.retain + corrected, edited.recipe))
    assert_same(edited.scores(registry.find("importance", "fisher_diagonal")), expected, 1e-6)


def test_sharpness_does_not_see_wrong_labels():
    # The Gauss-Newton diagonal is label-free, so for label edits it cannot tell which labels were wrong.
    problem = problems.problem("vectors")
    turned = problem.retain.labelled((problem.retain.y + 1) % 3)
    for name, blind in (("ggn_diagonal", True), ("hessian_diagonal", True), ("fisher_diagonal", False)):
        find = registry.find("importance", name)
        a, b = (
            find.scores(problem.model, e, problem.recipe, generator_of(0, "rank")) for e in (problem.retain, turned)
        )
        assert (named.digest(a) == named.digest(b)) is blind
