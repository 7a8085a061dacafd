"""Where the work is done."""

from __future__ import annotations

import torch

from lacunar.core.errors import BadInput


def device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one.

    Raises:
        BadInput: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(name)
    except RuntimeError as error:
        raise BadInput(f"the device {name!r} is unknown: choose auto, cpu, cuda or cuda:0, cuda:1, ...") from error
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise BadInput(f"there is no device {name!r}: {torch.cuda.device_count()} CUDA devices are usable; use cpu")
    return wanted
