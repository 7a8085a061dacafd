import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from lacunar.training.optimizer import optimizer_of
from lacunar.training.settings import Descent


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("adam", Adam), ("adamw", AdamW)])
def test_settings_reach_the_optimiser(name, kind):
    found = optimizer_of(
        Descent(optimizer=name, lr=0.3, weight_decay=0.02, momentum=0.7), [nn.Parameter(torch.ones(2))]
    )
    (group,) = found.param_groups
    assert type(found) is kind and (group["lr"], group["weight_decay"], group["fused"]) == (0.3, 0.02, True)
    assert group.get("momentum", 0.7) == 0.7


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_weight_may_begin_to_move_later_than_others(name, momentum):
    how = Descent(optimizer=name, lr=0.1, weight_decay=0.01, momentum=momentum)
    together = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.full((2,), 2.0))]
    optimizer = optimizer_of(how, together)
    plain = [nn.Parameter(p.detach().clone()) for p in together]
    kinds = {"sgd": lambda p: SGD([p], lr=0.1, momentum=momentum, weight_decay=0.01), "adam": lambda p: Adam(
        [p], lr=0.1, weight_decay=0.01), "adamw": lambda p: AdamW([p], lr=0.1, weight_decay=0.01)}  # fmt: skip
    alone = [kinds[name](p) for p in plain]
    for step in range(4):
        for i, (p, q) in enumerate(zip(together, plain, strict=True)):
            grad = None if i == 1 and step < 2 else torch.full_like(p, 0.5 + step)
            p.grad, q.grad = grad, grad
        optimizer.step()
        for one in alone:
            one.step()
    for p, q in zip(together, plain, strict=True):
        assert torch.allclose(p, q, atol=1e-6)
