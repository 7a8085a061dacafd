"""Models, masks and states as safetensors plus JSON: nothing is ever unpickled."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lacunar.core.errors import BadInput, sample_of
from lacunar.core.files import atomic
from lacunar.core.named import not_finite

_PICKLE_STARTS = (b"PK\x03\x04", b"\x80", b"\x1f\x8b")


def save_tensors(path: Path | str, tensors: Mapping[str, Tensor], meta: Mapping[str, str] | None = None) -> Path:
    """Write tensors (and text metadata) to one safetensors file, atomically.

    Raises:
        BadInput: a tensor with NaN or infinity.
    """
    if bad := not_finite(tensors):
        raise BadInput(f"refused to save NaN or infinity in {sample_of(bad)}; the model has diverged")
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    with atomic(path) as temporary:
        save_file(plain, temporary, metadata=dict(meta or {}))
    return Path(path)


def load_tensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        BadInput: a missing, truncated or hostile file, a pickle (``.pt``, ``.pth``, ``.bin``), NaN or infinity.
    """
    source = Path(path)
    if not source.is_file():
        raise BadInput(f"there is no weights file {str(path)!r}")
    with source.open("rb") as handle:
        head = handle.read(9)
    whole = len(head) == 9 and head[8:] == b"{" and struct.unpack("<Q", head[:8])[0] <= source.stat().st_size - 8
    if not whole and head.startswith(_PICKLE_STARTS):
        raise BadInput(
            f"{str(path)!r} looks like a pickle or zip, which can run code when it is read, so it is refused; "
            "convert it once where you trust it: "
            "safetensors.torch.save_file(torch.load(f, weights_only=True), 'model.safetensors')"
        )
    if not whole:
        raise BadInput(f"{str(path)!r} is not a whole safetensors file; it is truncated or of another format")
    try:
        tensors = load_file(source)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise BadInput(f"{str(path)!r} cannot be read as safetensors ({error})") from error
    if bad := not_finite(tensors):
        raise BadInput(f"{str(path)!r} holds NaN or infinity in {sample_of(bad)}; use a checkpoint from before that")
    return tensors


def model_state(model: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers, by name; tensors that share memory appear under their first name only."""
    seen: set[int] = set()
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        key = value.data_ptr()
        if key in seen and value.numel():
            continue
        seen.add(key)
        state[name] = value
    return state


def save_model(path: Path | str, model: nn.Module) -> Path:
    """Write the weights and buffers of ``model``, atomically; it reloads bit-equal."""
    return save_tensors(path, model_state(model), {"format": "lacunar-model-1"})


def load_model(path: Path | str, model: nn.Module) -> nn.Module:
    """Put the weights and buffers of a file into ``model``.

    Raises:
        BadInput: as :func:`load_tensors`, or keys or shapes that are not those of the model.
    """
    tensors = load_tensors(path)
    expected = model_state(model)
    missing, foreign = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(model.state_dict()))
    if missing or foreign:
        parts = [f"missing {sample_of(missing, 5)}"] * bool(missing) + [f"unknown {sample_of(foreign, 5)}"] * bool(
            foreign
        )
        raise BadInput(f"{str(path)!r} does not fit this model: {'; '.join(parts)}. Is it another architecture?")
    for name, value in expected.items():
        if tensors[name].shape != value.shape:
            head = " (another number of classes?)" if value.ndim <= 2 else ""
            raise BadInput(
                f"{str(path)!r} does not fit this model: {name} is {tuple(tensors[name].shape)} in the file, "
                f"{tuple(value.shape)} in the model{head}"
            )
    with torch.no_grad():
        for name, value in expected.items():
            value.copy_(tensors[name])
    return model


def save_mask(path: Path | str, mask: Mapping[str, Tensor]) -> Path:
    """Write a mask as bool tensors."""
    return save_tensors(path, mask, {"format": "lacunar-mask-1"})


def load_mask(path: Path | str) -> dict[str, Tensor]:
    """Read a mask.

    Raises:
        BadInput: as :func:`load_tensors`, or tensors that are not bool.
    """
    mask = load_tensors(path)
    if wrong := [name for name, t in mask.items() if t.dtype != torch.bool]:
        raise BadInput(f"{str(path)!r} is not a mask: {sample_of(wrong)} are not bool")
    return mask
