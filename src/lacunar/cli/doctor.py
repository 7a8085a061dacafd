"""``lacunar doctor``: what is on this machine."""

from __future__ import annotations

from lacunar.cli._options import Json
from lacunar.cli._show import tell
from lacunar.cli._verb import verb


@verb()
def doctor(json: Json = False) -> int:
    """Show versions, processor features, threads, GPUs, allocator, data folders, write permission."""
    from lacunar.jobs.doctor import perform

    return tell(perform(), json=json)
