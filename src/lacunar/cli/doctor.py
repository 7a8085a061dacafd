"""``lacunar doctor``: what is on this machine."""

from __future__ import annotations

from pathlib import Path

from lacunar.cli._options import Json
from lacunar.cli._show import show
from lacunar.cli._verb import emit, verb


@verb()
def doctor(json: Json = False) -> None:
    """Show versions, processor features, threads, GPUs, allocator, data folders, write permission."""
    from lacunar.machine.doctor import examine

    found = examine(Path.cwd())
    if json:
        emit(found)
    else:
        show(found)
