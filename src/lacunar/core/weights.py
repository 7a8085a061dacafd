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
from lacunar.core.tensor_names import remedy

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
        try:
            save_file(plain, temporary, metadata=dict(meta or {}))
        except SafetensorError as error:
            raise OSError(f"{str(path)!r} cannot be written ({error}); is the disk full?") from error
    return Path(path)


def load_tensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        BadInput: a missing, truncated or hostile file, a pickle (``.pt``, ``.pth``, ``.bin``), NaN or infinity.
    """
    source = Path(path)
    if not source.is_file():
        raise BadInput(f"there is no weights file {str(path)!r}")
    if is_pickle(source):
        raise BadInput(
            f"{str(path)!r} looks like a pickle or zip, which can run code when it is read, so it is refused; "
            f"convert it once: lacunar convert {path} --out base.safetensors"
        )
    if not _is_whole(source):
        raise BadInput(f"{str(path)!r} is not a whole safetensors file; it is truncated or of another format")
    try:
        tensors = load_file(source)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise BadInput(f"{str(path)!r} cannot be read as safetensors ({error})") from error
    if bad := not_finite(tensors):
        raise BadInput(f"{str(path)!r} holds NaN or infinity in {sample_of(bad)}; use a checkpoint from before that")
    return tensors


def is_pickle(path: Path) -> bool:
    """Whether a file begins like a pickle, or like the zip archives that hold one, and is no safetensors file."""
    with path.open("rb") as handle:
        return handle.read(9).startswith(_PICKLE_STARTS) and not _is_whole(path)


def _is_whole(path: Path) -> bool:
    # The first byte of a safetensors file is the low byte of its header's length, which may be a pickle's first byte.
    with path.open("rb") as handle:
        head = handle.read(9)
    return len(head) == 9 and head[8:] == b"{" and struct.unpack("<Q", head[:8])[0] <= path.stat().st_size - 8


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
    """Write the weights and buffers of ``model``, atomically; it reloads bit-equal.

    Tied weights stand there under each of their names, so that torch's own ``load_state_dict`` takes the file strictly.
    """
    return save_tensors(path, model.state_dict(), {"format": "lacunar-model-1"})


def load_model(path: Path | str, model: nn.Module) -> nn.Module:
    """Put the weights and buffers of a file into ``model``.

    Raises:
        BadInput: as :func:`load_tensors`, keys, shapes or kinds of numbers that are not those of the model, or other
            values for tied weights. The names of wrapped models (DataParallel, torch.compile) are recognised.
    """
    tensors = load_tensors(path)
    if why := _misfit(str(path), tensors, model):
        raise BadInput(f"{str(path)!r} does not fit this model: {why}")
    with torch.no_grad():
        for name, value in model_state(model).items():
            value.copy_(tensors[name])
    return model


def _misfit(path: str, tensors: Mapping[str, Tensor], model: nn.Module) -> str | None:
    expected = model_state(model)
    missing, foreign = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(model.state_dict()))
    if missing or foreign:
        if told := remedy(path, tensors, expected):
            return told
        parts = [
            f"{word} {sample_of(names, 5)}" for word, names in (("missing", missing), ("unknown", foreign)) if names
        ]
        return f"{'; '.join(parts)}. Is it another architecture?"
    for name, value in expected.items():
        given = tensors[name]
        if given.shape != value.shape:
            head = " (another number of classes?)" if value.ndim <= 2 else ""
            return f"{name} is {tuple(given.shape)} in the file, {tuple(value.shape)} in the model{head}"
        if not _loses_nothing(given.dtype, value.dtype):
            kinds = [str(t.dtype).removeprefix("torch.") for t in (given, value)]
            return f"{name} is {kinds[0]} in the file, {kinds[1]} in the model; save it as numbers of that kind"
    return _untied(tensors, model)


_COMPUTED_WITH = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def _loses_nothing(given: torch.dtype, wanted: torch.dtype) -> bool:
    """Whether a copy keeps the numbers, up to the precision of floats that models compute with."""
    if given == wanted or (given in _COMPUTED_WITH and wanted in _COMPUTED_WITH):
        return True
    whole = not any(d.is_floating_point or d.is_complex or d == torch.bool for d in (given, wanted))
    return whole and torch.promote_types(given, wanted) == wanted


def _untied(tensors: Mapping[str, Tensor], model: nn.Module) -> str | None:
    first: dict[int, str] = {}
    for name, value in model.state_dict().items():
        owner = first.setdefault(value.data_ptr(), name) if value.numel() else name
        if owner != name and name in tensors and not torch.equal(tensors[name], tensors[owner]):
            return f"it ties {name} to {owner}, and the file has other values for the two; build it without tying them"
    return None


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
