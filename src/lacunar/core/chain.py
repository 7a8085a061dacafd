"""A record that shows tampering: each entry carries the hash of the one before it.

An entry is any frozen dataclass of JSON values with the fields ``previous`` and ``digest``. Whoever can write the whole
record can write another whole one: note the digest of the last entry where its writer cannot change it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from lacunar.core.errors import BadInput

GENESIS = "0" * 64
"""What stands for the digest of the entry before the first one."""


class Entry(Protocol):
    """What an entry of a record is."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def previous(self) -> str:
        """The digest of the entry before."""

    @property
    def digest(self) -> str:
        """The SHA-256 of this entry without its digest, as JSON with sorted keys."""


E = TypeVar("E", bound=Entry)


def sealed(entry: E, record: Sequence[E]) -> E:
    """This entry as the next one of ``record``: with the digest of the last one, and its own.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Note:
    ...     text: str
    ...     previous: str = GENESIS
    ...     digest: str = ""
    >>> record = [sealed(Note("one"), [])]
    >>> record.append(sealed(Note("two"), record))
    >>> verify(record, last=record[-1].digest)
    """
    linked = dataclasses.replace(entry, previous=record[-1].digest if record else GENESIS)
    return dataclasses.replace(linked, digest=_hash(linked))


def verify(record: Sequence[Entry], last: str | None = None) -> None:
    """Check that no entry was changed, removed from within or added out of order.

    Args:
        last: the digest of the last entry, noted elsewhere; without it, entries can be missing at the end.

    Raises:
        BadInput: the first entry that does not fit, or another last one.
    """
    before = GENESIS
    for i, entry in enumerate(record):
        if entry.previous != before or entry.digest != _hash(entry):
            raise BadInput(f"entry {i} of the record does not fit: it, or one before it, was changed")
        before = entry.digest
    if last is not None and last != before:
        raise BadInput(f"the record does not end in {last}: entries are missing at its end, or it is another record")


def _hash(entry: Entry) -> str:
    content = dataclasses.asdict(dataclasses.replace(entry, digest=""))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
