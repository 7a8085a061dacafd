"""Arrays that take seconds to unpack, unpacked once: memory-mapped copies in the user's cache folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lacunar.core.errors import BadInput
from lacunar.core.files import atomic
from lacunar.datasets._files import downloads


def mapped(source: Path, make: Callable[[Path], Tensor]) -> Tensor:
    """What ``make`` makes of the file ``source``, from a copy on disk of which only the rows in use are read.

    The copy belongs to the path, size and time of change of ``source`` and to the name of ``make``, a function of a
    module; an older copy is swept. Where the cache folder cannot be written, the array stays in memory.

    Raises:
        BadInput: there is no such file, or as ``make``.
    """
    try:
        stamp = source.stat()
    except OSError as error:
        raise BadInput(f"{str(source)!r} cannot be read ({error.strerror}); fetch it again") from error
    whose = hashlib.sha256(f"{source.resolve()}|{make.__module__}.{make.__qualname__}".encode()).hexdigest()[:20]
    place = downloads() / "arrays" / f"{whose}-{stamp.st_size:x}-{stamp.st_mtime_ns:x}.npy"
    return _kept(source, make, place)


@cache
def _kept(source: Path, make: Callable[[Path], Tensor], place: Path) -> Tensor:
    found = _opened(place)
    if found is None:
        made = make(source)
        found = _opened(place) if _written(place, made) else None
        return made if found is None else found
    return found


def _opened(place: Path) -> Tensor | None:
    try:
        # Copy on write: what a caller does to the rows never reaches the file.
        return torch.from_numpy(np.lib.format.open_memmap(place, mode="c"))
    except (OSError, ValueError, TypeError, SyntaxError):
        return None


def _written(place: Path, made: Tensor) -> bool:
    try:
        with atomic(place) as temporary, temporary.open("wb") as handle:
            np.lib.format.write_array(handle, made.numpy(), allow_pickle=False)
    except OSError:
        return False
    for older in place.parent.glob(f"{place.name.partition('-')[0]}-*.npy"):
        if older != place:
            with suppress(OSError):
                older.unlink()
    return True
