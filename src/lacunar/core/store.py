"""What is expensive to make, kept by what it was made from: trained models and masks."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from filelock import FileLock
from torch import Tensor

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.files import read_json, write_json
from lacunar.core.weights import load_tensors, save_tensors

Made: TypeAlias = tuple[Mapping[str, Tensor], dict[str, Any]]
"""Tensors, and JSON values about how they were made."""

Make: TypeAlias = Callable[[Path], Made]
"""Makes an entry; gets a folder for checkpoints, which survives an interruption and is removed at the end."""


@dataclass(frozen=True)
class Kept:
    """An entry of the store.

    Attributes:
        tensors: what was kept, on the CPU.
        about: how it was made, e.g. how many seconds it took.
        made: whether this call made it.
    """

    tensors: dict[str, Tensor] = field(repr=False)
    about: dict[str, Any]
    made: bool


def digest(facts: Any) -> str:
    """The SHA-256 of JSON values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, allow_nan=False).encode()).hexdigest()


@dataclass(frozen=True)
class Store:
    """A folder of entries, each under the hash of its facts: ``tensors.safetensors``, then ``entry.json``.

    An entry counts from the moment its ``entry.json`` is renamed into place, last of all, and only while the tensors
    have the digest that is written there. Processes that want the same entry wait for the one that makes it; a lock
    ends with its process, however that ends.
    """

    folder: Path

    def keep(self, facts: Mapping[str, Any], make: Make) -> Kept:
        """The entry of these facts, made now if there is none or if it is damaged.

        Args:
            facts: JSON values, everything that the tensors depend on.
        """
        place = self.folder / digest(facts)
        if (found := self._found(place)) is not None:
            return found
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / "lock"):
            if (found := self._found(place)) is not None:
                return found
            scratch = place / "unfinished"
            tensors, about = make(scratch)
            held = {name: t.detach().cpu() for name, t in tensors.items()}
            if held:
                save_tensors(place / "tensors.safetensors", held)
            entry = {"format": "lacunar-store-1", "facts": dict(facts), "about": about, "sha256": named.digest(held)}
            write_json(place / "entry.json", entry)
            shutil.rmtree(scratch, ignore_errors=True)
            return Kept(held, about, made=True)

    def has(self, facts: Mapping[str, Any]) -> bool:
        """Whether there is an entry; its tensors are not read."""
        return (self.folder / digest(facts) / "entry.json").is_file()

    def _found(self, place: Path) -> Kept | None:
        if not (place / "entry.json").is_file():
            return None
        try:
            entry = read_json(place / "entry.json")
            nothing = entry["sha256"] == named.digest({})
            tensors = {} if nothing else load_tensors(place / "tensors.safetensors")
            whole = named.digest(tensors) == entry["sha256"]
        except (BadInput, KeyError, TypeError) as error:
            warnings.warn(f"{str(place)!r} is damaged ({error}); it is made again", stacklevel=3)
            return None
        if not whole:
            warnings.warn(f"{str(place)!r} does not have the digest of its entry; it is made again", stacklevel=3)
            return None
        return Kept(tensors, entry["about"], made=False)
