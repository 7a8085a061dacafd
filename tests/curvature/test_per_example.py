import pytest
import torch
from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.curvature import per_example
from lacunar.curvature.objective import Objective
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe
from tests.curvature.nets import CASE_IDS, CASES, N, net, some
from tests.oracles import curvature as oracle


def relative(a, b):
    return named.norm(named.add(a, b, -1.0)) / named.norm(b)


@pytest.mark.parametrize(("name", "masked"), CASES, ids=CASE_IDS)
def test_everything_equals_the_loop_of_one(name, masked):
    model, examples, recipe = net(name)
    mask = some(model) if masked else None
    loop = [masks.keep(g, mask) for g in oracle.gradients(model, examples, recipe)]
    flat = torch.stack([named.flat(g) for g in loop])
    inside = slice(None) if mask is None else named.flat(mask)
    expected = masks.keep(oracle.squared_sum(model, examples, recipe), mask)
    assert relative(per_example.squared_sum(Objective.of(model, examples, recipe, mask)), expected) < 1e-12
    assert torch.allclose(per_example.norms(Objective.of(model, examples, recipe, mask)), flat.norm(dim=1), rtol=1e-12)
    assert torch.allclose(
        per_example.rows(Objective.of(model, examples, recipe, mask)), flat[:, inside], rtol=1e-10, atol=1e-14
    )
    assert torch.allclose(per_example.gram(Objective.of(model, examples, recipe, mask)), flat @ flat.T, rtol=1e-10)
    v = {n: torch.randn(w.shape, dtype=torch.float64) for n, w in loop[0].items()}
    along = per_example.directional(Objective.of(model, examples, recipe, mask), v)
    assert torch.allclose(along, flat @ named.flat(v), rtol=1e-10)
    a = torch.randn(N, dtype=torch.float64)
    summed = per_example.weighted_sum(Objective.of(model, examples, recipe, mask), a)
    assert torch.allclose(named.flat(summed), a @ flat, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["mlp", "residual", "positions"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chunk_size_changes_nothing(name, dtype):
    model, examples, recipe = net(name)
    model = model.to(dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    whole = per_example.squared_sum(Objective.of(model, examples, recipe, size=N))
    assert whole[next(iter(whole))].dtype == dtype
    for size in (1, 3, 32):
        assert relative(per_example.squared_sum(Objective.of(model, examples, recipe, size=size)), whole) < tolerance
        assert (
            relative(
                per_example.weighted_sum(Objective.of(model, examples, recipe, size=size)),
                oracle_sum(model, examples, recipe),
            )
            < tolerance
        )


def oracle_sum(model, examples, recipe):
    loop = oracle.gradients(model, examples, recipe)
    return {name: sum(g[name] for g in loop) for name in loop[0]}


def test_float32_is_close_to_float64():
    model, examples, recipe = net("residual")
    exact = oracle.squared_sum(model, examples, recipe)
    assert relative(per_example.squared_sum(Objective.of(model.float(), examples, recipe)), exact) < 1e-5


def test_the_square_of_the_batch_gradient_is_something_else():
    model, examples, recipe = net("mlp")
    batch = {name: g**2 / N for name, g in oracle_sum(model, examples, recipe).items()}
    assert relative(batch, oracle.squared_sum(model, examples, recipe)) > 0.5


def test_walking_the_graph_of_a_batch_gives_the_same_slowly():
    model, examples, recipe = net("residual")
    walked = oracle.graph_walk(model, examples, recipe, 3)
    assert relative(per_example.squared_sum(Objective.of(model, examples, recipe)), walked) < 1e-12


def test_sums_not_means():
    model, examples, recipe = net("mlp")
    half = [
        per_example.squared_sum(Objective.of(model, examples.take(part), recipe))
        for part in torch.arange(N).tensor_split(2)
    ]
    assert relative(named.add(*half), per_example.squared_sum(Objective.of(model, examples, recipe))) < 1e-12


def test_a_mask_that_leaves_out_a_layer_does_not_differentiate_it():
    model, examples, recipe = net("residual")
    mask = {name: torch.full(p.shape, name.startswith("head")) for name, p in model.named_parameters()}
    objective = Objective.of(model, examples, recipe, mask)
    assert set(objective.weights) == {"head.weight", "head.bias"}
    expected = masks.keep(oracle.squared_sum(model, examples, recipe), mask)
    assert relative(per_example.squared_sum(Objective.of(model, examples, recipe, mask)), expected) < 1e-12


def test_gram_block_by_block(monkeypatch):
    model, examples, recipe = net("residual")
    for mask in (None, some(model)):
        whole = per_example.gram(Objective.of(model, examples, recipe, mask))
        with monkeypatch.context() as patch:
            patch.setattr("lacunar.curvature.objective.HOST_BYTES", 8 * N * 50)
            assert torch.allclose(per_example.gram(Objective.of(model, examples, recipe, mask)), whole, rtol=1e-12)


def test_dict_inputs_and_other_losses():
    torch.manual_seed(0)
    x, y = torch.randn(N, 5), torch.arange(N) % 2
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    for loss in ("binary_cross_entropy", "squared_error"):
        examples, recipe = Examples.of(x, y), Recipe(loss=loss)
        found = per_example.squared_sum(Objective.of(model, examples, recipe))
        assert relative(found, oracle.squared_sum(model, examples, recipe)) < 1e-12


def test_wrong_number_of_coefficients():
    model, examples, recipe = net("mlp")
    with pytest.raises(BadInput, match="coefficients for 7 examples"):
        per_example.weighted_sum(Objective.of(model, examples, recipe), torch.ones(3))


def test_model_is_left_as_found():
    model, examples, recipe = net("residual")
    model.train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = per_example.squared_sum(Objective.of(model.float(), examples, recipe))
        assert not torch.is_grad_enabled()
    assert all(m.training for m in model.modules()) and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name].float(), t.float()) for name, t in model.state_dict().items())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert relative(found, oracle.squared_sum(model.double().eval(), examples, recipe)) < 1e-5
