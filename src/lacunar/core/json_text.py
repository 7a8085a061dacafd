"""JSON as the standard has it: no key twice, no NaN, and nothing that breaks the reader."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def parsed(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: a text that is not JSON, an object with a key twice (of which one would be lost), NaN or infinity, a
            number of thousands of digits, or lists nested so deeply that they cannot be read.
    """
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise ValueError(f"the key {twice[:60]!r} stands twice in one object")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
