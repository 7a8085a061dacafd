"""How a model is called and what its output means: logits, per-example losses, margins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lacunar.core.errors import BadInput, unknown
from lacunar.data.batches import Batch, Inputs
from lacunar.data.examples import Source

Prepare: TypeAlias = Callable[[Inputs], Inputs]
"""Raw inputs to what the model takes: cast and normalise."""


def logits(model: Callable[..., Any], x: Inputs) -> Tensor:
    """The logits of ``model`` on prepared inputs ``x``: ``[n, classes]`` (or ``[n, length, classes]``).

    A dict is passed as keywords, one with keys "0", "1", ... by position. An output may be a tensor, an object with
    ``.logits``, a dict with "logits", or a tuple that starts with one of these.
    """
    if not isinstance(x, dict):
        return _logits_in(model(x))
    if all(key.isdigit() for key in x):
        return _logits_in(model(*(x[key] for key in sorted(x, key=int))))
    return _logits_in(model(**x))


def _logits_in(output: Any) -> Tensor:
    if isinstance(output, Tensor):
        return output
    if hasattr(output, "logits"):
        return _logits_in(output.logits)
    if isinstance(output, Mapping) and "logits" in output:
        return _logits_in(output["logits"])
    if isinstance(output, (tuple, list)) and output:
        return _logits_in(output[0])
    raise BadInput(f"the model returned {type(output).__name__}; it must return logits, or an object with .logits")


def full_precision(z: Tensor) -> Tensor:
    """Logits as losses take them: half precision is too coarse and becomes float32, float64 stays what it is."""
    return z if z.dtype == torch.float64 else z.float()


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """-ln p_y per example, ``[n]``; for sequences ``[n, length, classes]`` the mean over labels that are not -100."""
    if z.ndim == 2:
        return F.cross_entropy(full_precision(z), y, reduction="none")
    per_token = F.cross_entropy(full_precision(z).movedim(-1, 1), y, reduction="none", ignore_index=-100)
    counted = (y != -100).flatten(1).sum(1).clamp(min=1)
    return per_token.flatten(1).sum(1) / counted


def binary_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """-ln p(y) per example for one logit each, ``z`` of shape ``[n]`` or ``[n, 1]`` and ``y`` in {0, 1}."""
    z = full_precision(z).reshape(len(z))
    return F.binary_cross_entropy_with_logits(z, y.to(z.dtype).reshape(len(y)), reduction="none")


def squared_error(z: Tensor, y: Tensor) -> Tensor:
    """½ ‖z - y‖² per example."""
    z = full_precision(z)
    gap = z - y.to(z.dtype).reshape(z.shape)
    return 0.5 * gap.reshape(len(z), -1).pow(2).sum(1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "squared_error": squared_error,
}


def loss_named(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The per-example loss ``(logits, y) -> [n]`` of this name.

    Raises:
        BadInput: no such loss; the choices are listed.
    """
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    return LOSSES[name]


def two_sided(z: Tensor) -> Tensor:
    """Logits with one column per class: a single logit z of a binary model becomes (0, z)."""
    z = z.reshape(len(z), 1) if z.ndim == 1 else z
    return torch.cat([torch.zeros_like(z), z], dim=1) if z.shape[1] == 1 else z


def margin(z: Tensor, y: Tensor) -> Tensor:
    r"""The confidence margin :math:`\phi = z_y - \log\sum_{c \ne y} e^{z_c} = \ln(p_y / (1 - p_y))`, ``[n]`` float64.

    Higher is more confident. Exact from the logits, never clipped; logits (2, 0, 0) with y = 0 give 2 - ln 2.
    """
    z = two_sided(z).double()
    own = F.one_hot(y.long(), z.shape[1]).bool()
    return z[own] - z.masked_fill(own, float("-inf")).logsumexp(1)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[nn.Module]:
    """Every module in eval mode inside the block; each one's own mode is restored after it."""
    was = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield model
    finally:
        for module, training in was.items():
            module.training = training


@torch.no_grad()
def head_of(model: nn.Module, x: Inputs) -> str | None:
    """The name of the layer whose output is the logits of prepared inputs ``x``; None when no layer's output is.

    Found by running the model, since neither shapes nor the order of registration tell: a hidden layer can have as many
    outputs as there are classes.
    """
    found: dict[int, str] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda module, args, output: found.update({t.data_ptr(): name for t in _tensors(output)})

    holders = {n: m for n, m in model.named_modules() if next(m.parameters(recurse=False), None) is not None}
    hooks = [module.register_forward_hook(note(name)) for name, module in holders.items()]
    try:
        with eval_mode(model):
            return found.get(logits(model, x).data_ptr())
    finally:
        for hook in hooks:
            hook.remove()


def _tensors(output: Any) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else [t for t in output if isinstance(t, Tensor)]


def accuracy(model: nn.Module, source: Source, prepare: Prepare) -> float:
    """The share of examples whose label has the highest logit, in [0, 1]."""
    z = two_sided(predict(model, source, prepare))
    return float((z.argmax(1) == source.y.cpu()).double().mean())


@torch.no_grad()
def predict(
    model: nn.Module,
    source: Source,
    prepare: Prepare,
    batch_size: int = 128,
    of: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """The logits of all examples in stored order, float32 on the CPU, in eval mode and without autocast.

    Larger batches than 128 are slower on a CPU, whose caches they leave.

    Args:
        of: what to keep of the logits and the labels of a batch, row by row; None for the logits.
    """
    parts: list[Tensor] = []
    with eval_mode(model), torch.autocast(source.on.type, enabled=False):
        for batch in source.batches(batch_size):
            assert isinstance(batch, Batch)
            z = logits(model, prepare(batch.x)).float()
            parts.append(z if of is None else of(z, batch.y))
    if not parts:
        raise BadInput("there are no examples to predict")
    return torch.cat(parts).cpu()
