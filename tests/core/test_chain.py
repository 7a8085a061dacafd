"""Records that show tampering."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest

from lacunar.core.chain import GENESIS, sealed, verify
from lacunar.core.errors import BadInput


@dataclasses.dataclass(frozen=True)
class Note:
    """An entry of its own kind."""

    text: str
    numbers: tuple[int, ...] = ()
    previous: str = GENESIS
    digest: str = ""


def record() -> list[Note]:
    entries: list[Note] = []
    for i in range(4):
        entries.append(sealed(Note(f"{i}", (i, i + 1)), entries))
    return entries


def test_a_digest_is_that_of_the_entry_as_sorted_json():
    first, second = record()[:2]
    plain = {"text": "1", "numbers": [1, 2], "previous": first.digest, "digest": ""}
    assert second.digest == hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
    assert first.previous == GENESIS


@pytest.mark.parametrize(
    ("tamper", "place"),
    [
        (lambda r: [r[0], dataclasses.replace(r[1], text="x"), *r[2:]], 1),
        (lambda r: [r[0], r[2], r[3]], 1),
        (lambda r: [r[1], r[0], *r[2:]], 0),
        (lambda r: [*r[:3], dataclasses.replace(r[3], digest="0")], 3),
        (lambda r: [sealed(dataclasses.replace(r[0], text="x"), ()), *r[1:]], 1),
    ],
)
def test_a_record_that_was_changed_is_found(tamper, place):
    verify(record())
    with pytest.raises(BadInput, match=f"entry {place} of the record"):
        verify(tamper(record()))


def test_entries_that_are_missing_at_the_end_show_in_a_digest_that_was_noted():
    whole = record()
    verify(whole, last=whole[-1].digest)
    verify(whole[:-1])
    for shorter in (whole[:-1], []):
        with pytest.raises(BadInput, match="entries are missing at its end"):
            verify(shorter, last=whole[-1].digest)
    verify([])
