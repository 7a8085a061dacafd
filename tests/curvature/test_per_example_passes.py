"""How gradients of single examples are made: in closed form, batched, one by one, and in as much memory as there is."""

import pytest
import torch
from torch import nn

from lacunar.core import masks
from lacunar.curvature import per_example, per_example_passes
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example_passes import Cotangents, factored, pulled_back
from lacunar.data.examples import Examples
from tests.curvature.nets import N, net, some
from tests.curvature.test_per_example import relative
from tests.oracles import curvature as oracle


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


def test_forwards_and_backwards_are_counted():
    # A walk of the batch graph per example would make as many backward passes as there are examples.
    model, _, recipe = net("residual")
    examples = Examples.of(torch.randn(50, 2, 5, 5), torch.arange(50) % 3)
    calls = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    with torch.profiler.profile() as profile:
        per_example.squared_sum(Objective.of(model, examples, recipe, size=16))
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
        assert relative(per_example.squared_sum(Objective.of(model, examples, recipe)), loop) < 1e-12


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
        found = per_example.squared_sum(Objective.of(model, examples, recipe))
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
    monkeypatch.setattr(per_example_passes, "vmap", lambda *_, **__: pytest.fail("no need for vmap"))
    _, examples, recipe = net("mlp")
    torch.manual_seed(0)
    model = Choosy().double().eval()
    mask = some(model) if masked else None
    expected = masks.keep(oracle.squared_sum(model, examples, recipe), mask)
    for size in (None, 3):
        assert (
            relative(per_example.squared_sum(Objective.of(model, examples, recipe, mask, size=size)), expected) < 1e-12
        )
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


NO_ROOM = [torch.OutOfMemoryError("no room"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]


def logits(z, y, noise):
    return z[:, None]


@pytest.mark.parametrize("error", NO_ROOM)
@pytest.mark.parametrize("most", [2, 0], ids=["for two", "for none"])
def test_out_of_memory_halves_the_chunk_of_an_ordinary_pass(error, most):
    objective, tried = Objective.of(*net("mlp")), []

    def hungry(z, y, noise):
        tried.append(len(z))
        if len(z) > most:
            raise error
        return logits(z, y, noise)

    with objective.open():
        if most == 0:
            with pytest.raises(type(error), match=r"no room|memory"):
                per_example.squares(objective, Cotangents(hungry))
            return
        halved = per_example.squares(objective, Cotangents(hungry))
        whole = per_example.squares(objective, Cotangents(logits))
    assert relative(halved, whole) < 1e-12
    assert tried[0] == N and max(t for t in tried if t <= 2) == 2


@pytest.mark.parametrize("error", NO_ROOM)
@pytest.mark.parametrize("most", [2, 0], ids=["for two", "for none"])
def test_out_of_memory_halves_the_chunk_of_a_batched_pass(monkeypatch, error, most):
    objective, tried, original = Objective.of(*net("residual")), [], per_example_passes.vmap

    def hungry(one, **how):
        def over(weights, taps, x, y, noise):
            tried.append(len(y))
            if len(y) > most:
                raise error
            return original(one, **how)(weights, taps, x, y, noise)

        return over

    with objective.open():
        whole = per_example.squares(objective, Cotangents(logits))
        monkeypatch.setattr(per_example_passes, "vmap", hungry)
        if most == 0:
            with pytest.raises(type(error), match=r"no room|memory"):
                per_example.squares(objective, Cotangents(logits))
            return
        halved = per_example.squares(objective, Cotangents(logits))
    assert relative(halved, whole) < 1e-12
    assert tried[0] == N and max(t for t in tried if t <= 2) == 2


def test_other_errors_of_an_ordinary_pass_are_not_hidden():
    # Warnings are errors here: going on one example at a time would warn.
    def broken(z, y, noise):
        raise RuntimeError("broken")

    objective = Objective.of(*net("mlp"))
    with objective.open(), pytest.raises(RuntimeError, match="broken"):
        per_example.squares(objective, Cotangents(broken))
