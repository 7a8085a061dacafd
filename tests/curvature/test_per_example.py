import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.curvature import per_example, per_example_passes
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import GradientRows
from lacunar.curvature.per_example_passes import Cotangents, factored, pulled_back
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
    loop = [named.keep(g, mask) for g in oracle.gradients(model, examples, recipe)]
    flat = torch.stack([named.flat(g) for g in loop])
    inside = slice(None) if mask is None else named.flat(mask)
    expected = named.keep(oracle.squared_sum(model, examples, recipe), mask)
    assert relative(per_example.squared_sum(model, examples, recipe, mask), expected) < 1e-12
    assert torch.allclose(per_example.norms(model, examples, recipe, mask), flat.norm(dim=1), rtol=1e-12)
    assert torch.allclose(per_example.rows(model, examples, recipe, mask), flat[:, inside], rtol=1e-10, atol=1e-14)
    assert torch.allclose(per_example.gram(model, examples, recipe, mask), flat @ flat.T, rtol=1e-10)
    v = {n: torch.randn(w.shape, dtype=torch.float64) for n, w in loop[0].items()}
    along = per_example.directional(model, examples, recipe, v, mask)
    assert torch.allclose(along, flat @ named.flat(v), rtol=1e-10)
    a = torch.randn(N, dtype=torch.float64)
    summed = per_example.weighted_sum(model, examples, recipe, a, mask)
    assert torch.allclose(named.flat(summed), a @ flat, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["mlp", "residual", "positions"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chunk_size_changes_nothing(name, dtype):
    model, examples, recipe = net(name)
    model = model.to(dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    whole = per_example.squared_sum(model, examples, recipe, size=N)
    assert whole[next(iter(whole))].dtype == dtype
    for size in (1, 3, 32):
        assert relative(per_example.squared_sum(model, examples, recipe, size=size), whole) < tolerance
        assert (
            relative(per_example.weighted_sum(model, examples, recipe, size=size), oracle_sum(model, examples, recipe))
            < tolerance
        )


def oracle_sum(model, examples, recipe):
    loop = oracle.gradients(model, examples, recipe)
    return {name: sum(g[name] for g in loop) for name in loop[0]}


def test_float32_is_close_to_float64():
    model, examples, recipe = net("residual")
    exact = oracle.squared_sum(model, examples, recipe)
    assert relative(per_example.squared_sum(model.float(), examples, recipe), exact) < 1e-5


def test_the_square_of_the_batch_gradient_is_something_else():
    model, examples, recipe = net("mlp")
    batch = {name: g**2 / N for name, g in oracle_sum(model, examples, recipe).items()}
    assert relative(batch, oracle.squared_sum(model, examples, recipe)) > 0.5


def test_walking_the_graph_of_a_batch_gives_the_same_slowly():
    model, examples, recipe = net("residual")
    walked = oracle.graph_walk(model, examples, recipe, 3)
    assert relative(per_example.squared_sum(model, examples, recipe), walked) < 1e-12


def test_sums_not_means():
    model, examples, recipe = net("mlp")
    half = [per_example.squared_sum(model, examples.take(part), recipe) for part in torch.arange(N).tensor_split(2)]
    assert relative(named.add(*half), per_example.squared_sum(model, examples, recipe)) < 1e-12


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mlp", {"0", "2", "4"}),
        ("residual", {"head"}),
        ("tied", {"head"}),
        ("borrowed", {"head"}),
        ("positions", {"head"}),
        ("words", {"head"}),
    ],
)
def test_only_layers_that_see_one_position_are_factored(name, expected):
    objective = Objective.of(*net(name))
    with objective.open():
        assert set(factored(objective)) == expected


def test_a_mask_that_leaves_out_a_layer_does_not_differentiate_it():
    model, examples, recipe = net("residual")
    mask = {name: torch.full(p.shape, name.startswith("head")) for name, p in model.named_parameters()}
    objective = Objective.of(model, examples, recipe, mask)
    assert set(objective.weights) == {"head.weight", "head.bias"}
    expected = named.keep(oracle.squared_sum(model, examples, recipe), mask)
    assert relative(per_example.squared_sum(model, examples, recipe, mask), expected) < 1e-12


def test_forwards_and_backwards_are_counted():
    # A walk of the batch graph per example would make as many backward passes as there are examples.
    model, _, recipe = net("residual")
    examples = Examples.of(torch.randn(50, 2, 5, 5), torch.arange(50) % 3)
    calls = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    with torch.profiler.profile() as profile:
        per_example.squared_sum(model, examples, recipe, size=16)
    counts = {event.key: event.count for event in profile.key_averages()}
    door, chunks, convolutions = 4, 4, 2
    assert len(calls) <= chunks + door
    assert counts["aten::convolution_backward"] <= convolutions * (chunks + 1) * 2


def test_many_vectors_are_split_over_passes_when_they_do_not_fit(monkeypatch):
    model, examples, recipe = net("conv")
    objective = Objective.of(model, examples, recipe)
    both = Cotangents(lambda z, y, noise: torch.stack([z, 2 * z, 3 * z], 1), 3)
    with objective.open():
        together = sum(len(p.full["0.weight"]) * p.full["0.weight"].shape[1] for p in pulled_back(objective, both))
        whole = per_example.squares(objective, both)
        monkeypatch.setattr("lacunar.curvature.objective.HOST_BYTES", 1)
        pieces = [p.full["0.weight"].shape[:2] for p in pulled_back(objective, both)]
        split = per_example.squares(objective, both)
    assert together == 3 * N and pieces == [(1, 1)] * 3 * N
    assert relative(split, whole) < 1e-12


def test_gram_block_by_block(monkeypatch):
    model, examples, recipe = net("residual")
    for mask in (None, some(model)):
        whole = per_example.gram(model, examples, recipe, mask)
        with monkeypatch.context() as patch:
            patch.setattr("lacunar.curvature.objective.HOST_BYTES", 8 * N * 50)
            assert torch.allclose(per_example.gram(model, examples, recipe, mask), whole, rtol=1e-12)


@pytest.mark.parametrize("keep", [None, 0], ids=["stored", "recomputed"])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_rows_as_an_operator(keep, masked):
    model, examples, recipe = net("residual")
    mask = some(model) if masked else None
    flat = torch.stack([named.flat(named.keep(g, mask)) for g in oracle.gradients(model, examples, recipe)])
    rows = GradientRows(model, examples, recipe, mask, keep)
    v = {n: torch.randn(w.shape, dtype=torch.float64) for n, w in named.weights(model).items()}
    a = torch.randn(N, dtype=torch.float64)
    assert len(rows) == N
    assert torch.allclose(rows.gram(), flat @ flat.T, rtol=1e-10)
    assert torch.allclose(rows.times(v), flat @ named.flat(v), rtol=1e-10)
    assert torch.allclose(named.flat(rows.back(a)), a @ flat, rtol=1e-10, atol=1e-14)


class Branching(nn.Module):
    """Looks at its values, which no batched form can."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.picky, self.head = nn.Linear(5, 4), Picky(), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.picky(self.body(x)))


class Picky(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        return torch.stack([self.scale * row if row.sum().item() > 0 else row for row in x])


def test_an_operation_without_batched_form_falls_back_and_is_named():
    _, examples, recipe = net("mlp")
    torch.manual_seed(0)
    model = Branching().double().eval()
    loop = oracle.squared_sum(model, examples, recipe)
    with pytest.warns(UserWarning, match="Picky 'picky' has no batched form"):
        assert relative(per_example.squared_sum(model, examples, recipe), loop) < 1e-12


def test_recurrent_nets():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(5, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    _, examples, recipe = net("positions")
    torch.manual_seed(0)
    model = Recurrent().double().eval()
    with pytest.warns(UserWarning):
        found = per_example.squared_sum(model, examples, recipe)
    assert relative(found, oracle.squared_sum(model, examples, recipe)) < 1e-12


class Choosy(nn.Module):
    """Linear layers that overwrite their input, with a choice between them that has no batched form."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.act = nn.Linear(5, 4), nn.Linear(4, 3), nn.ReLU(inplace=True)

    def forward(self, x):
        h = self.act(self.first(x))
        return self.second(torch.stack([row if row.sum().item() > 0 else 2 * row for row in h]))


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_nets_of_linear_layers_take_an_ordinary_pass(masked, monkeypatch):
    monkeypatch.setattr(per_example_passes._Pass, "_batched", lambda *_: pytest.fail("no need for vmap"))
    _, examples, recipe = net("mlp")
    torch.manual_seed(0)
    model = Choosy().double().eval()
    mask = some(model) if masked else None
    expected = named.keep(oracle.squared_sum(model, examples, recipe), mask)
    for size in (None, 3):
        assert relative(per_example.squared_sum(model, examples, recipe, mask, size), expected) < 1e-12
    objective = Objective.of(model, examples, recipe, mask)
    several = Cotangents(
        lambda z, y, noise: torch.stack([z, 2 * z, noise[:, None] * z], 1), 3, lambda ids: ids.double()
    )
    with objective.open():
        by_hand = [
            per_example.matrix(
                objective, Cotangents(lambda z, y, noise, k=k: several.of(z, y, noise)[:, k, None], 1, several.noise)
            )
            for k in range(3)
        ]
        rows = per_example.matrix(objective, several).reshape(N, 3, -1)
    for k in range(3):
        assert torch.allclose(rows[:, k], by_hand[k], rtol=1e-12)
    assert torch.allclose(by_hand[1], 2 * by_hand[0]) and not torch.allclose(by_hand[2], by_hand[0])


@pytest.mark.parametrize(("name", "way"), [("residual", "_batched"), ("mlp", "_at_once")])
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("no room"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_halves_the_chunk(monkeypatch, error, name, way):
    model, examples, recipe = net(name)
    whole = per_example.squared_sum(model, examples, recipe)
    tried = []
    original = getattr(per_example_passes._Pass, way)

    def small(job, x, y, noise):
        tried.append(len(y))
        if len(y) > 2:
            raise error
        return original(job, x, y, noise)

    monkeypatch.setattr(per_example_passes._Pass, way, small)
    assert relative(per_example.squared_sum(model, examples, recipe), whole) < 1e-12
    assert tried[0] == N and max(t for t in tried if t <= 2) == 2
    monkeypatch.setattr(per_example_passes._Pass, way, lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(type(error), match=r"no room|memory"):
        per_example.squared_sum(model, examples, recipe)


def test_other_errors_of_an_ordinary_pass_are_not_hidden(monkeypatch):
    # Warnings are errors here: going on one example at a time would warn.
    monkeypatch.setattr(per_example_passes._Pass, "_at_once", lambda *_: (_ for _ in ()).throw(RuntimeError("broken")))
    with pytest.raises(RuntimeError, match="broken"):
        per_example.squared_sum(*net("mlp"))


def test_dict_inputs_and_other_losses():
    torch.manual_seed(0)
    x, y = torch.randn(N, 5), torch.arange(N) % 2
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    for loss in ("binary_cross_entropy", "squared_error"):
        examples, recipe = Examples.of(x, y), Recipe(loss=loss)
        found = per_example.squared_sum(model, examples, recipe)
        assert relative(found, oracle.squared_sum(model, examples, recipe)) < 1e-12


def test_wrong_number_of_coefficients():
    model, examples, recipe = net("mlp")
    with pytest.raises(BadInput, match="coefficients for 7 examples"):
        per_example.weighted_sum(model, examples, recipe, torch.ones(3))


def test_model_is_left_as_found():
    model, examples, recipe = net("residual")
    model.train()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = per_example.squared_sum(model.float(), examples, recipe)
        assert not torch.is_grad_enabled()
    assert all(m.training for m in model.modules()) and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name].float(), t.float()) for name, t in model.state_dict().items())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert relative(found, oracle.squared_sum(model.double().eval(), examples, recipe)) < 1e-5
