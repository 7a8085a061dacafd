"""The errors a user can meet: each is one sentence saying what was given, why it cannot be, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LacunarError(Exception):
    """Base of every error that lacunar raises on purpose."""


class BadInput(LacunarError, ValueError):
    """What was given cannot be used; nothing was computed and nothing was written."""


class NotApplicable(LacunarError):
    """The request is sound, but this plug-in cannot serve it here; the message says why and what would help."""


class Diverged(LacunarError):
    """A loss or a weight stopped being finite, so there is no result; the message names the step."""


def unknown(what: str, given: str, choices: Iterable[str]) -> BadInput:
    """The error for a name that is not one of ``choices``: names the nearest match and lists all choices."""
    options = sorted(choices)
    near = difflib.get_close_matches(given, options, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listing = ", ".join(options) if options else "none are available"
    return BadInput(f"unknown {what} {given!r}: {hint}choose from {listing}")


def sample_of(items: Iterable[object], most: int = 10) -> str:
    """The first ``most`` items, comma-separated, with the total count when some are left out."""
    listed = list(items)
    shown = ", ".join(str(item) for item in listed[:most])
    return shown if len(listed) <= most else f"{shown}, ... ({len(listed)} in all)"
