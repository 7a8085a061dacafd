import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.curvature import fisher, ggn
from lacunar.curvature.ggn_root import GgnRoot
from lacunar.curvature.objective import Objective
from lacunar.data.examples import Examples
from lacunar.training import forward
from lacunar.training.recipe import Recipe
from tests.curvature.nets import CASE_IDS, CASES, N, Tagger, net, some
from tests.curvature.test_per_example import relative
from tests.oracles import curvature as oracle

DRAWS = 2000


def small():
    # Fewer than 1,000 weights, three classes, logits far from uniform.
    model, examples, recipe = net("conv_groups")
    with torch.no_grad():
        model[-1].weight.mul_(4)
    return model, examples, recipe


@pytest.mark.parametrize(("name", "masked"), CASES, ids=CASE_IDS)
def test_products_and_diagonal_equal_the_dense_matrix(name, masked):
    model, examples, recipe = net(name)
    mask = some(model) if masked else None
    weights = named.weights(model)
    inside = torch.ones(named.count(weights), dtype=torch.bool) if mask is None else named.flat(mask)
    whole = oracle.dense_ggn(model, examples, recipe)
    block = whole * inside * inside[:, None]
    v = {n: torch.randn(w.shape, dtype=torch.float64) for n, w in weights.items()}
    for size in (None, 3):
        found = named.flat(ggn.GaussNewton(Objective.of(model, examples, recipe, mask, size=size))(v))
        assert torch.allclose(found, block @ named.flat(v), rtol=1e-10, atol=1e-12)
    diagonal = named.flat(ggn.exact_diagonal(Objective.of(model, examples, recipe, mask)))
    assert torch.allclose(diagonal, block.diagonal(), rtol=1e-10, atol=1e-14)
    assert torch.allclose(
        ggn.GaussNewton(Objective.of(model, examples, recipe, mask)).dense,
        whole[inside][:, inside],
        rtol=1e-9,
        atol=1e-13,
    )
    root = GgnRoot(Objective.of(model, examples, recipe, mask)).rows
    assert root.shape == (3 * N, int(inside.sum()))
    assert torch.allclose(root.T @ root, whole[inside][:, inside], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "squared_error"])
def test_other_losses(loss):
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).double()
    examples, recipe = Examples.of(torch.randn(N, 4), torch.arange(N) % 2), Recipe(loss=loss)
    whole = oracle.dense_ggn(model, examples, recipe)
    v = {n: torch.randn_like(w) for n, w in named.weights(model).items()}
    assert torch.allclose(
        named.flat(ggn.GaussNewton(Objective.of(model, examples, recipe))(v)), whole @ named.flat(v), rtol=1e-9
    )
    diagonal = named.flat(ggn.exact_diagonal(Objective.of(model, examples, recipe)))
    assert torch.allclose(diagonal, whole.diagonal(), rtol=1e-10)
    # One logit: signs square away, so one probe is exact; sampled labels are right on average.
    assert torch.allclose(named.flat(ggn.diagonal(Objective.of(model, examples, recipe))), diagonal, rtol=1e-10)
    draws = [
        named.flat(ggn.sampled_diagonal(Objective.of(model, examples, recipe), samples=40, seed=s)) for s in range(50)
    ]
    unbiased(torch.stack(draws), diagonal)


def test_tokens_with_and_without_labels():
    torch.manual_seed(1)
    tokens = torch.randint(0, 9, (N, 4))
    y = torch.where(torch.rand(N, 4) < 0.3, -100, tokens % 3)
    y[:, 0] = 1
    model, recipe = Tagger().double(), Recipe()
    examples = Examples(tokens, y, torch.arange(N))
    whole = oracle.dense_ggn(model, examples, recipe)
    v = {n: torch.randn_like(w) for n, w in named.weights(model).items()}
    assert torch.allclose(
        named.flat(ggn.GaussNewton(Objective.of(model, examples, recipe))(v)), whole @ named.flat(v), rtol=1e-9
    )
    diagonal = named.flat(ggn.exact_diagonal(Objective.of(model, examples, recipe)))
    assert torch.allclose(diagonal, whole.diagonal(), rtol=1e-9, atol=1e-14)
    for estimate, name in ((ggn.diagonal, "probes"), (ggn.sampled_diagonal, "samples")):
        draws = [named.flat(estimate(Objective.of(model, examples, recipe), seed=s, **{name: 50})) for s in range(40)]
        unbiased(torch.stack(draws), diagonal)


def unbiased(draws, expected):
    """Each coordinate's mean lies within 4 standard errors (5 for the most extreme of many)."""
    error = draws.std(0) / len(draws) ** 0.5
    gap = (draws.mean(0) - expected).abs()
    assert bool((gap <= 5 * error + 1e-12).all())
    assert float((gap[error > 0] / error[error > 0]).mean()) < 1.2


@pytest.mark.parametrize("estimate", [ggn.diagonal, ggn.sampled_diagonal], ids=["signs", "labels"])
def test_estimates_are_unbiased_and_never_negative(estimate):
    model, examples, recipe = small()
    exact = named.flat(ggn.exact_diagonal(Objective.of(model, examples, recipe)))
    many = {"probes" if estimate is ggn.diagonal else "samples": DRAWS // 40}
    draws = torch.stack(
        [named.flat(estimate(Objective.of(model, examples, recipe), seed=s, **many)) for s in range(40)]
    )
    assert bool((draws >= 0).all())
    assert float(draws.std(0).norm()) > 0
    unbiased(draws, exact)


def test_signs_beat_sampled_labels_on_a_trained_net(digits):
    few = digits.train.take(torch.arange(0, 600, 2))
    objective = Objective.of(digits.model, few, digits.recipe)
    exact = ggn.exact_diagonal(objective)
    error = [relative(f(objective, seed=1), exact) for f in (ggn.diagonal, ggn.sampled_diagonal)]
    assert error[0] < 0.25 and error[0] < error[1] / 1.5


@pytest.mark.parametrize("estimate", [ggn.diagonal, ggn.sampled_diagonal])
def test_draws_depend_on_seed_and_id_only(estimate):
    model, examples, recipe = small()
    one = estimate(Objective.of(model, examples, recipe), seed=3)
    order = torch.tensor([4, 2, 0, 6, 1, 5, 3])
    assert relative(estimate(Objective.of(model, examples.take(order), recipe, size=2), seed=3), one) < 1e-12
    assert relative(estimate(Objective.of(model, examples, recipe), seed=4), one) > 1e-3


def test_more_probes_are_means_of_more_draws():
    model, examples, recipe = small()
    exact = ggn.exact_diagonal(Objective.of(model, examples, recipe))
    few = sum(relative(ggn.diagonal(Objective.of(model, examples, recipe), seed=s), exact) for s in range(6))
    many = sum(
        relative(ggn.diagonal(Objective.of(model, examples, recipe), seed=s, probes=16), exact) for s in range(6)
    )
    assert many < few / 2.5


def test_labels_do_not_matter():
    model, examples, recipe = net("residual")
    turned = examples.labelled((examples.y + 1) % 3)
    for compute in (ggn.exact_diagonal, ggn.diagonal, ggn.sampled_diagonal, fisher.true):
        a, b = (compute(Objective.of(model, e, recipe)) for e in (examples, turned))
        assert all(torch.equal(a[name], b[name]) for name in a)
    v = named.weights(model)
    a, b = (ggn.GaussNewton(Objective.of(model, e, recipe))(v) for e in (examples, turned))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert (
        relative(
            fisher.empirical(Objective.of(model, turned, recipe)),
            fisher.empirical(Objective.of(model, examples, recipe)),
        )
        > 0.01
    )


def test_the_same_at_every_call_and_symmetric():
    model, examples, recipe = net("residual")
    operator = ggn.GaussNewton(Objective.of(model.float(), examples, recipe, size=2))
    torch.manual_seed(0)
    v, u = ({n: torch.randn_like(w) for n, w in named.weights(model).items()} for _ in range(2))
    one, two = operator(v), operator(v)
    assert all(torch.equal(one[n], two[n]) for n in one)
    assert named.dot(u, one) == pytest.approx(named.dot(operator(u), v), rel=1e-4)
    assert named.dot(v, one) >= 0


def test_a_loss_of_unknown_curvature_is_refused(monkeypatch):
    model, examples, _ = net("mlp")
    monkeypatch.setitem(forward.LOSSES, "hinge", lambda z, y: z.sum(1))
    for compute in (ggn.exact_diagonal, ggn.diagonal, ggn.GaussNewton):
        with pytest.raises(NotApplicable, match=r"'hinge' is not known; .* use the Hessian"):
            compute(Objective.of(model, examples, Recipe(loss="hinge")))


def test_no_draws():
    model, examples, recipe = net("mlp")
    with pytest.raises(BadInput, match="at least one draw"):
        ggn.diagonal(Objective.of(model, examples, recipe), probes=0)
