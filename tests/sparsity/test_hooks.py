"""Masks from and for torch.nn.utils.prune."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.utils import prune

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.sparsity.hooks import from_hooks, to_hooks
from tests.problems import BatchNormNet


def hooked() -> torch.nn.Module:
    torch.manual_seed(0)
    model = BatchNormNet()
    prune.l1_unstructured(model.second, "weight", 0.5)
    prune.random_unstructured(model.head, "weight", 0.25)
    return model


def test_import_gives_a_plain_net_with_exact_zeros_that_can_be_copied():
    source, plain = hooked(), BatchNormNet()
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(source)
    mask = from_hooks(source.state_dict(), plain)
    copy.deepcopy(plain)
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(plain.eval()(x), source.eval()(x))
    assert torch.equal(mask["second.weight"], source.second.weight_mask.bool())
    assert list(mask) == list(named.weights(plain)) and bool(mask["first.weight"].all())
    dead = plain.second.weight[~mask["second.weight"]]
    assert torch.equal(dead.view(torch.int32), torch.zeros_like(dead).int()), "no negative zeros"


def test_export_and_import_are_inverse():
    plain, again = BatchNormNet(), BatchNormNet()
    mask = from_hooks(hooked().state_dict(), plain)
    state = to_hooks(plain, mask)
    assert set(state) == set(hooked().state_dict())
    back = from_hooks(state, again)
    assert named.digest(back) == named.digest(mask)
    assert named.digest(again.state_dict()) == named.digest(plain.state_dict())


def test_export_loads_into_a_hooked_net():
    plain, target = BatchNormNet(), hooked()
    mask = from_hooks(hooked().state_dict(), plain)
    target.load_state_dict(to_hooks(plain, mask))
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(plain.eval()(x), target.eval()(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("head.weight_mask"), "have an _orig but no _mask"),
        (lambda s: s.pop("head.bias"), r"differ at head\.bias"),
        (lambda s: s.update({"head.weight_mask": s["head.weight_mask"] * 0.5}), "other than 0 and 1"),
        (lambda s: s.update({"bn1.bias": torch.zeros(7)}), r"other shapes at bn1\.bias"),
    ],
)
def test_a_state_dict_that_does_not_fit(change, message):
    state = dict(hooked().state_dict())
    change(state)
    plain = BatchNormNet()
    before = named.digest(plain.state_dict())
    with pytest.raises(BadInput, match=message):
        from_hooks(state, plain)
    assert named.digest(plain.state_dict()) == before


def test_export_refuses_a_mask_of_another_model():
    with pytest.raises(BadInput, match="do not belong to the same model"):
        to_hooks(BatchNormNet(), {"w": torch.ones(1, dtype=torch.bool)})
