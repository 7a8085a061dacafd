"""Names that have changed: an old one is taken for one version, with a sentence."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from lacunar.core.errors import BadInput

PLUGINS: dict[str, dict[str, str]] = {
    "evaluators": {"gap": "disparity", "prop2": "proposition2", "residue": "forget_margins"},
}
"""By kind of plug-in: the name of today for each former one."""


def plugin(kind: str, name: str) -> str:
    """The name of today of a plug-in."""
    now = PLUGINS.get(kind, {}).get(name)
    if now is None:
        return name
    _tell(f"the {kind.removesuffix('s')} {name!r} is called {now!r} now")
    return now


def settings(name: str, renamed: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the plug-in ``name`` under their names of today.

    Args:
        renamed: the name of today for each former one.

    Raises:
        BadInput: one setting under both of its names.
    """
    found: dict[str, Any] = {}
    for key, value in given.items():
        now = renamed.get(key, key)
        if now in found or (now != key and now in given):
            raise BadInput(
                f"{key!r} and {now!r} are one setting of {name}, the former name and that of today: give one"
            )
        if now != key:
            _tell(f"the setting {key!r} of {name} is called {now!r} now")
        found[now] = value
    return found


def _tell(sentence: str) -> None:
    # Not a DeprecationWarning, which Python shows to nobody but the caller's own code.
    warnings.warn(f"{sentence}; the former name is taken for this version only", FutureWarning, stacklevel=4)
