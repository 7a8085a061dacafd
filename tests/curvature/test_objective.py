import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lacunar.catalog.registry import find
from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.curvature import ggn, hessian, per_example
from lacunar.curvature.loss_curvature import loss_curvature_of
from lacunar.curvature.objective import Objective
from lacunar.data.examples import Examples
from lacunar.data.stream import Stream
from lacunar.training.recipe import Recipe
from tests import problems
from tests.curvature.nets import N, net, some


class StubbornDropout(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5, training=True)


class AlwaysTraining(nn.BatchNorm1d):
    def train(self, mode=True):
        return super().train(True)


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


def body(extra):
    return nn.Sequential(nn.Linear(5, 6), extra, nn.ReLU(), nn.Linear(6, 3)).double()


def test_active_dropout_is_refused():
    _, examples, recipe = net("mlp")
    model = body(StubbornDropout())
    state = torch.get_rng_state()
    with pytest.raises(NotApplicable, match=r"two forward passes .* dropout"):
        Objective.of(model, examples, recipe)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (AlwaysTraining(6, momentum=0.0), "BatchNorm '1' normalises by the statistics of the batch"),
        (nn.BatchNorm1d(6, track_running_stats=False), "BatchNorm '1' normalises by the statistics of the batch"),
        (Centred(), "an example alone and the same example within a batch"),
    ],
    ids=["train mode", "no statistics", "mean of the batch"],
)
def test_batch_statistics_are_refused(layer, why):
    _, examples, recipe = net("mlp")
    with pytest.raises(NotApplicable, match=why):
        Objective.of(body(layer), examples, recipe)


def test_ordinary_dropout_is_switched_off():
    _, examples, recipe = net("mlp")
    model = body(nn.Dropout(0.5)).train()
    assert Objective.of(model, examples, recipe).output == (3,)
    assert model.training


class Augmented(torch.utils.data.Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        return torch.randn(5), i % 3


def test_augmentation_in_the_data_is_refused_and_the_recipes_is_off():
    model, _, _ = net("mlp")
    stream = Stream(Augmented(), torch.arange(N), torch.arange(N) % 3, torch.arange(N))
    with pytest.raises(NotApplicable, match="augments at random"):
        Objective.of(model, stream, Recipe())
    conv, images, _ = net("conv")
    plain = per_example.squared_sum(Objective.of(conv, images, Recipe()))
    for name, value in per_example.squared_sum(Objective.of(conv, images, Recipe(augment="crop_flip"))).items():
        assert torch.equal(value, plain[name])


def test_streamed_data_give_the_same():
    model, examples, recipe = net("mlp")
    items = [(examples.x[i], int(examples.y[i])) for i in range(N)]
    stream = Stream(items, torch.arange(N), examples.y, examples.ids)
    for compute in (per_example.squared_sum, ggn.diagonal):
        a, b = (compute(Objective.of(model, source, recipe, size=3)) for source in (examples, stream))
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_nothing_to_compute_on():
    model, examples, recipe = net("mlp")
    with pytest.raises(BadInput, match="no examples"):
        Objective.of(model, examples.take(torch.zeros(0, dtype=torch.int64)), recipe)
    with pytest.raises(BadInput, match="mask is False everywhere"):
        Objective.of(model, examples, recipe, masks.full(named.weights(model), False))
    with pytest.raises(BadInput, match="same model"):
        Objective.of(model, examples, recipe, {"other": torch.ones(2, dtype=torch.bool)})
    with pytest.raises(BadInput, match="at least 1 or None, got 0"):
        Objective.of(model, examples, recipe, size=0)


@pytest.mark.parametrize("case", problems.CASES, ids=problems.CASE_IDS)
def test_toy_problems_of_every_form(case):
    problem = problems.problem(*case)
    found = ggn.diagonal(Objective.of(problem.model, problem.retain, problem.recipe, problem.mask))
    named.same_keys(found, named.weights(problem.model))
    for name, value in found.items():
        assert bool((value >= 0).all())
        assert problem.mask is None or not bool(value[~problem.mask[name]].any())


def test_other_examples_pass_the_door_too():
    model, examples, recipe = net("mlp")
    mask = some(model)
    objective = Objective.of(model, examples, recipe, mask, size=2)
    part = examples.take(torch.tensor([4, 1]))
    a, b = per_example.rows(objective.on(part)), per_example.rows(Objective.of(model, part, recipe, mask))
    assert torch.equal(a, b) and objective.on(part).size == 2
    stream = Stream(Augmented(), torch.arange(N), torch.arange(N) % 3, torch.arange(N))
    with pytest.raises(NotApplicable, match="augments at random"):
        objective.on(stream)


def test_vectors_go_there_and_back():
    model, examples, recipe = net("residual")
    mask = some(model)
    objective = Objective.of(model, examples, recipe, mask)
    values = masks.keep(named.weights(model), mask)
    again = objective.spread(objective.vector(values))
    assert objective.vector(values).numel() == masks.count(mask) == objective.width
    assert Objective.of(model, examples, recipe).width == named.count(values)
    assert all(torch.equal(again[name], values[name]) for name in values)


def test_half_precision_models_are_computed_in_full_precision():
    model, examples, recipe = net("residual")
    exact = per_example.squared_sum(Objective.of(model.bfloat16().float(), examples, recipe))
    found = per_example.squared_sum(Objective.of(model.bfloat16(), examples, recipe))
    assert all(t.dtype == torch.float32 for t in found.values())
    assert named.norm(named.add(found, exact, -1.0)) < 1e-5 * named.norm(exact)


def test_saved_bytes_are_counted():
    model, examples, recipe = net("mlp")
    # Inputs (5) and two rectified layers (6 and 4 entries), in float64.
    assert Objective.of(model, examples, recipe).saved == 8 * (5 + 6 + 4)


def test_uint8_images_are_prepared():
    x = torch.randint(0, 256, (N, 1, 8, 8), dtype=torch.uint8)
    model = problems.BatchNormNet()
    recipe = Recipe(normalize=((0.5,), (0.25,)))
    scaled = Examples.of((x.float() / 255 - 0.5) / 0.25, torch.arange(N) % 4)
    a = per_example.squared_sum(Objective.of(model, Examples.of(x, torch.arange(N) % 4), recipe))
    b = per_example.squared_sum(Objective.of(model, scaled, Recipe()))
    assert all(torch.allclose(a[name], b[name], rtol=1e-4, atol=1e-9) for name in a)


def test_recurrent_nets_have_products_and_settings_are_restored():
    model = Recipe(find("models", "char_lstm", symbols=5, embedding=3, hidden=4)).fresh(0).double()
    x = torch.randint(0, 5, (3, 6), generator=torch.Generator().manual_seed(0))
    rows = Examples.of(x, x.roll(-1, 1))
    v = {
        n: torch.randn(w.shape, dtype=w.dtype, generator=torch.Generator().manual_seed(1))
        for n, w in named.weights(model).items()
    }
    was = torch._C._get_mkldnn_enabled()
    found = ggn.GaussNewton(Objective.of(model, rows, Recipe()))(v)
    assert torch._C._get_mkldnn_enabled() == was
    base, step = named.weights(model), 1e-5

    def logits_at(size: float) -> torch.Tensor:
        named.write(model, named.add(base, v, size))
        return model(x)

    along = ((logits_at(step) - logits_at(-step)) / (2 * step)).detach()
    z = logits_at(0.0)
    wanted = torch.autograd.grad(
        z, list(model.parameters()), loss_curvature_of("cross_entropy").curve(z.detach(), rows.y, along)
    )
    for name, part in zip(base, wanted, strict=True):
        assert torch.allclose(found[name], part, atol=1e-7), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_recurrent_products_on_a_gpu_are_those_of_the_cpu():
    # Fused kernels have no double backward and no forward mode: without switching them off this raises.
    model = Recipe(find("models", "char_lstm", symbols=5, embedding=3, hidden=4)).fresh(0).double()
    x = torch.randint(0, 5, (3, 6), generator=torch.Generator().manual_seed(0))
    rows, v = Examples.of(x, x.roll(-1, 1)), named.weights(model)
    here = [kind(Objective.of(model, rows, Recipe()))(v) for kind in (ggn.GaussNewton, hessian.Hessian)]
    was = torch.backends.cudnn.enabled
    there, moved = copy.deepcopy(model).cuda(), {name: t.cuda() for name, t in v.items()}
    for kind, wanted in zip((ggn.GaussNewton, hessian.Hessian), here, strict=True):
        found = kind(Objective.of(there, rows.to("cuda"), Recipe()))(moved)
        assert all(torch.allclose(found[name].cpu(), t, rtol=1e-8, atol=1e-10) for name, t in wanted.items())
    assert torch.backends.cudnn.enabled == was


class Spare(nn.Module):
    """Has a layer that it does not use, and one that it uses without gradients."""

    def __init__(self):
        super().__init__()
        self.used, self.spare, self.blind = nn.Linear(5, 3), nn.Linear(2, 2), nn.Linear(5, 3)

    def forward(self, x):
        with torch.no_grad():
            shift = self.blind(x)
        return self.used(x) + shift


def test_weights_that_the_logits_do_not_depend_on():
    _, examples, recipe = net("mlp")
    model = Spare().double()
    found = per_example.squared_sum(Objective.of(model, examples, recipe))
    assert {n for n, t in found.items() if bool(t.any())} == {"used.weight", "used.bias"}
    spare = {name: torch.full(p.shape, name.startswith("spare")) for name, p in model.named_parameters()}
    with pytest.raises(BadInput, match="do not depend on the selected weights"):
        Objective.of(model, examples, recipe, spare)
