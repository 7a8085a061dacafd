from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.core.store import Store, digest

FACTS = {"kind": "test", "seed": 3}


def noting(log: Path, seconds: float = 0.0):
    """Makes an entry and notes in ``log`` that it did."""

    def make(scratch):
        with log.open("a") as handle:
            handle.write("made\n")
        time.sleep(seconds)
        return {"w": torch.arange(4.0), "m": torch.tensor([True, False])}, {"seconds": 0.5}

    return make


def ask(folder: Path, log: Path) -> None:
    assert torch.equal(Store(folder).keep(FACTS, noting(log, 1.0)).tensors["w"], torch.arange(4.0))


def test_made_once_then_found(tmp_path):
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    first, second = (store.keep(FACTS, noting(log)) for _ in range(2))
    assert (first.made, second.made) == (True, False)
    assert second.about == {"seconds": 0.5}
    assert all(torch.equal(first.tensors[n], second.tensors[n]) for n in ("w", "m"))
    assert log.read_text() == "made\n"
    assert store.has(FACTS) and not store.has({**FACTS, "seed": 4})


def test_an_entry_may_have_no_tensors(tmp_path):
    for made in (True, False):
        found = Store(tmp_path).keep(FACTS, lambda scratch: ({}, {"why": "nothing to keep"}))
        assert found.made is made and found.tensors == {} and found.about == {"why": "nothing to keep"}


def test_two_processes_that_want_the_same_make_it_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    store, log = tmp_path / "store", tmp_path / "log"
    other = context.Process(target=ask, args=(store, log))
    other.start()
    while not log.exists() and other.is_alive():
        time.sleep(0.01)
    assert not Store(store).has(FACTS)
    ask(store, log)
    other.join()
    assert other.exitcode == 0
    assert log.read_text() == "made\n"


def test_facts_in_any_order_are_the_same_and_each_one_counts():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1, "b": 2}) != digest({"a": 1, "b": 3})


@pytest.mark.parametrize(
    ("file", "damage", "why"),
    [
        ("tensors.safetensors", lambda b: b[:-5], "not a whole safetensors file|cannot be read"),
        ("tensors.safetensors", lambda b: b[:-1] + bytes([b[-1] ^ 1]), "does not have the digest"),
        ("tensors.safetensors", lambda b: b"", "not a whole safetensors file"),
        ("entry.json", lambda b: b[: len(b) // 2], "not a JSON file"),
        ("entry.json", lambda b: b"{}", "is damaged"),
    ],
)
def test_damage_is_noticed_and_mended(tmp_path, file, damage, why):
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    store.keep(FACTS, noting(log))
    path = tmp_path / "store" / digest(FACTS) / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=why):
        mended = store.keep(FACTS, noting(log))
    assert mended.made
    assert not store.keep(FACTS, noting(log)).made


def test_what_is_not_finished_is_not_there(tmp_path):
    store = Store(tmp_path / "store")

    def interrupted(scratch):
        scratch.mkdir()
        (scratch / "checkpoint").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.keep(FACTS, interrupted)
    assert not store.has(FACTS)

    def goes_on(scratch):
        assert (scratch / "checkpoint").read_text() == "half"
        return {"w": torch.ones(1)}, {}

    assert store.keep(FACTS, goes_on).made
    assert not (tmp_path / "store" / digest(FACTS) / "unfinished").exists()


def test_a_model_that_diverged_is_not_kept(tmp_path):
    store = Store(tmp_path / "store")
    with pytest.raises(BadInput, match="refused to save NaN or infinity in w"):
        store.keep(FACTS, lambda scratch: ({"w": torch.tensor([float("nan")])}, {}))
    assert not store.has(FACTS)
