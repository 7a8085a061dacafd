"""Masked and compacted nets give the same outputs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import pytest
import torch
from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, LacunarError, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.models.mlp import Mlp
from lacunar.models.resnet import Resnet
from lacunar.models.small_cnn import SmallCnn
from lacunar.models.vgg16_bn import Vgg16Bn
from lacunar.pruners.channel import Channel
from lacunar.pruners.global_magnitude import GlobalMagnitude
from lacunar.sparsity.channels.cut import SmallerBuild, cuts_of, sizes_of
from lacunar.sparsity.compact import Compacted, compact

IMAGE = (3, 32, 32)
ZOO: dict[str, Callable[[], nn.Module]] = {
    "mlp": Mlp((12,), hidden=16, depth=2),
    "small_cnn": SmallCnn((3, 8, 8), width=4),
    "small_cnn without batchnorm": SmallCnn((3, 8, 8), width=4, batchnorm=False),
    "resnet8": Resnet(IMAGE, depth=8, width=4),
    "resnet20": Resnet(IMAGE, depth=20, width=4),
    "resnet18": Resnet(IMAGE, depth=18, width=4),
    "vgg16_bn": Vgg16Bn(IMAGE, width=4),
}


def example_for(name: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    shape = ZOO[name].inputs
    return torch.randn((6, *shape), generator=torch.Generator().manual_seed(1)).to(dtype)


def pruned(build: Callable[[], nn.Module], residual: str = "tie", sparsity: float = 0.5):
    """A net with random weights, biases and statistics, half of its channels masked away."""
    torch.manual_seed(0)
    model = build()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif value.is_floating_point():
                value.add_(0.2 * torch.randn(value.shape))
    mask = Channel(sparsity, scope="conv+linear", residual=residual).mask(model, None, generator_of(0))
    named.write(model, masks.keep(named.weights(model), mask))
    return model, mask


def gap(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / a.abs().max())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("residual", ["exclude", "tie"])
@pytest.mark.parametrize("name", ZOO)
def test_outputs_are_equal_in_eval_and_in_train_mode(name, residual, dtype, tolerance):
    model, mask = pruned(ZOO[name], residual)
    model, x = model.to(dtype), example_for(name, dtype)
    before = named.digest(model.state_dict())
    smaller = compact(model, mask).model
    assert type(smaller) is type(model)
    for training in (False, True):
        with torch.no_grad():
            assert gap(model.train(training)(x), smaller.train(training)(x)) <= tolerance
            if not training:
                assert named.digest(model.state_dict()) == before
    statistics = smaller.state_dict()
    for key, value in model.state_dict().items():
        if key.endswith("running_mean") and value.shape != statistics[key].shape:
            # The mean a train-mode pass leaves in a dead channel is just the decayed old one.
            assert len(statistics[key]) < len(value)


def test_sizes_of_all_layers_follow():
    model, mask = pruned(ZOO["vgg16_bn"])
    found = compact(model, mask, example_for("vgg16_bn"))
    layer, norm = found.model.conv3_2, found.model.bn3_2
    assert (layer.in_channels, layer.out_channels) == (8, 8) and tuple(layer.weight.shape) == (8, 8, 3, 3)
    assert norm.num_features == len(norm.running_var) == 8
    assert (found.model.head.in_features, found.model.head.out_features) == (16, 10)
    before, after = found.parameters
    assert after == named.count(named.weights(found.model)) and before == named.count(named.weights(model))
    assert abs(after / before - 0.25) < 0.02, "half of the channels is a quarter of the weights"
    assert found.mask is None
    assert found.multiply_adds[0] / found.multiply_adds[1] > 3


def test_multiply_adds_by_hand():
    model, mask = pruned(ZOO["mlp"])
    assert compact(model, mask, example_for("mlp")).multiply_adds == (
        12 * 16 + 16 * 16 + 16 * 10,
        12 * 8 + 8 * 8 + 8 * 10,
    )
    model, mask = pruned(ZOO["small_cnn"])
    before, _ = compact(model, mask, example_for("small_cnn")).multiply_adds
    assert before == 64 * 4 * 3 * 9 + 16 * 8 * 4 * 9 + 4 * 16 * 8 * 9 + 16 * 10


def test_a_step_of_training_masked_equals_one_compacted():
    model, mask = pruned(ZOO["small_cnn"])
    model, x = model.double(), example_for("small_cnn", torch.float64)
    smaller = compact(model, mask).model
    losses = []
    for net in (model, smaller):
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        for _ in range(3):
            optimizer.zero_grad()
            loss = net(x).logsumexp(1).sum()
            loss.backward()
            optimizer.step()
            if net is model:
                named.write(model, masks.keep(named.weights(model), mask))
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_flattened_maps_and_depthwise_convolutions():
    class Net(nn.Module):
        inputs = (3, 5, 5)

        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
            self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
            self.norm = nn.BatchNorm1d(72)
            self.head = nn.Linear(72, 4)

        def forward(self, x):
            x = torch.relu(self.depthwise(self.bn(self.conv(x))))
            return self.head(self.norm(x.flatten(1)))

    model, mask = pruned(Net)
    x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    found = compact(model, mask, x)
    assert found.model.depthwise.groups == 4 and found.model.head.in_features == 36
    assert found.model.norm.num_features == 36


def test_record_and_weights_rebuild_the_net(tmp_path):
    build = ZOO["resnet8"]
    model, mask = pruned(build)
    x = example_for("resnet8")
    found = compact(model, mask, x)
    found.save(tmp_path)
    again = Compacted.load(tmp_path, build)
    assert named.digest(again.model.state_dict()) == named.digest(found.model.state_dict())
    assert json.dumps(again.record()) == json.dumps(found.record())
    assert again.mask is None and again.cuts == found.cuts
    assert torch.equal(again.model.eval()(x), found.model.eval()(x))
    fresh = SmallerBuild(build, found.cuts)()
    assert named.count(named.weights(fresh)) == found.parameters[1]


def test_single_weights_that_are_masked_besides_stay_masked(tmp_path):
    model, mask = pruned(ZOO["small_cnn"])
    fine = GlobalMagnitude(0.6).mask(model, None, generator_of(0), within=mask)
    named.write(model, masks.keep(named.weights(model), fine))
    found = compact(model, fine, example_for("small_cnn"))
    assert 0 < masks.density(found.mask) < 1
    for name, w in named.weights(found.model).items():
        assert torch.equal(w != 0, found.mask[name] & (w != 0)) and bool((w[~found.mask[name]] == 0).all())
    assert masks.count({n: found.mask[n] for n in ("conv1.weight",)}) == masks.count({"c": fine["conv1.weight"]})
    found.save(tmp_path)
    assert named.digest(Compacted.load(tmp_path, ZOO["small_cnn"]).mask) == named.digest(found.mask)


def test_a_zero_filter_before_a_live_batchnorm_is_constant_and_stays():
    model, mask = pruned(ZOO["small_cnn"], sparsity=0.0)
    mask["conv1.weight"] = mask["conv1.weight"].clone()
    mask["conv1.weight"][0] = False
    named.write(model, masks.keep(named.weights(model), mask))
    with pytest.raises(NotApplicable, match="no channel is dead"):
        compact(model, mask)
    with torch.no_grad():
        x = model.eval().bn1(model.conv1(example_for("small_cnn")))[:, 0]
    assert float(x.abs().max()) > 0


def test_element_masks_are_refused_with_the_reason():
    model, _ = pruned(ZOO["small_cnn"], sparsity=0.0)
    mask = GlobalMagnitude(0.5).mask(model, None, generator_of(0))
    named.write(model, masks.keep(named.weights(model), mask))
    with pytest.raises(NotApplicable, match="single weights save no compute"):
        compact(model, mask)


def test_a_layer_without_channels_is_refused():
    model, mask = pruned(ZOO["small_cnn"], sparsity=0.0)
    mask |= {n: torch.zeros_like(mask[n]) for n in ("conv2.weight", "bn2.weight", "bn2.bias")}
    named.write(model, masks.keep(named.weights(model), mask))
    with pytest.raises(NotApplicable, match=r"every channel of conv2\.weight is dead"):
        compact(model, mask)


def test_weights_outside_the_mask_and_foreign_masks_are_refused():
    model, mask = pruned(ZOO["small_cnn"])
    with torch.no_grad():
        model.conv2.weight += 1
    with pytest.raises(BadInput, match=r"conv2\.weight are not zero outside the mask"):
        compact(model, mask)
    with pytest.raises(BadInput, match="do not belong to the same model"):
        compact(model, {"w": mask["conv1.weight"]})


def test_an_operation_that_moves_zero_is_caught_by_the_outputs(monkeypatch):
    model, mask = pruned(ZOO["small_cnn"])
    model.relu1 = nn.Sigmoid()
    with pytest.raises(NotApplicable, match="no channel is dead"):
        compact(nn.Sequential(model.conv1, model.bn1, model.relu1), {
            f"{i}.{n}": m for i, (layer, names) in enumerate([("conv1", ["weight"]), ("bn1", ["weight", "bias"])])
            for n in names for m in [mask[f"{layer}.{n}"]]
        })  # fmt: skip
    # As if the tracer had taken a sigmoid for an operation that keeps zero at zero.
    monkeypatch.setattr("lacunar.sparsity.channels.tracing.ZERO_KEEPING", (nn.Sigmoid, nn.ReLU))
    with pytest.raises(LacunarError, match="does not keep zero at zero"):
        compact(model, mask, example_for("small_cnn"))


def test_a_record_without_sizes_builds_a_net_but_loads_none(tmp_path):
    model, mask = pruned(ZOO["small_cnn"])
    found = compact(model, mask)
    saved = found.record()
    assert sizes_of(saved) == (found.parameters, None)
    assert sizes_of(saved | {"multiply_adds": [8, 4]}) == (found.parameters, (8, 4))
    found.save(tmp_path)
    del saved["parameters"]
    (tmp_path / "compact.json").write_text(json.dumps(saved))
    assert cuts_of(json.loads(json.dumps(saved))) == found.cuts
    with pytest.raises(BadInput, match="does not say how many parameters"):
        Compacted.load(tmp_path, ZOO["small_cnn"])


def test_with_the_extra_any_net_can_be_compacted():
    pytest.importorskip("torch_pruning", reason="the prune extra is not installed")

    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = copy.deepcopy(ZOO["small_cnn"]())

        def forward(self, x):
            return self.net(x) if x.sum() < 1e9 else x

    model, mask = pruned(ZOO["small_cnn"])
    wrapped = Branching()
    wrapped.net.load_state_dict(model.state_dict())
    found = compact(wrapped, {f"net.{n}": m for n, m in mask.items()}, example_for("small_cnn"))
    assert found.parameters == compact(model, mask).parameters
    assert found.model.net.conv2.weight.shape[:2] == (4, 2)
