"""Requests to choose weights: their record is written first, and a finished one is not repeated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.files import read_json
from lacunar.core.weights import load_mask
from lacunar.jobs import select
from tests.jobs.test_unlearn import ASKED

OUT = Path("mask.new.safetensors")


def chosen(count=9, **more):
    return select.check(replace(ASKED, **more), "saliency", {"count": count})


def test_no_method_is_needed_and_the_record_is_beside_the_mask(folder):
    told = select.perform(chosen(), OUT)
    assert select.beside(OUT) == Path("mask.new.json")
    record = read_json("mask.new.json")
    assert record["mask_sha256"] == named.digest(load_mask(OUT)) and set(record["seen"]) == {
        "data",
        "forget",
        "weights",
    }
    assert told.facts["all"]["selected"] == 9 and "all: 9 of 67 (13.43%)" in told.lines
    assert select.describing(OUT).facts == told.facts


def test_a_finished_selection_is_not_repeated(folder, monkeypatch):
    first = select.perform(chosen(), OUT)
    monkeypatch.setattr(select.Selecting, "do", lambda job: pytest.fail("it is there already"))
    assert select.perform(chosen(), OUT).facts == first.facts


@pytest.mark.parametrize("change", [{"count": 8}, {"seed": 1}, {"mask": "mask.safetensors"}])
def test_another_one_does_not_take_its_place(folder, change):
    select.perform(chosen(), OUT)
    with pytest.raises(BadInput, match="is there already; choose another --out, or replace it with --force"):
        select.perform(chosen(**{k: v for k, v in change.items() if k != "mask"}, **mask_of(change)), OUT)
    assert select.perform(chosen(count=8), OUT, force=True).facts["all"]["selected"] == 8


def mask_of(change):
    if "mask" not in change:
        return {}
    from lacunar.core.weights import load_tensors, save_tensors

    mask = load_mask("mask.safetensors")
    save_tensors("sparse.safetensors", {n: t * mask[n] for n, t in load_tensors("base.safetensors").items()})
    return {"mask": "mask.safetensors", "weights": "sparse.safetensors"}


def test_it_goes_on_after_a_kill_between_record_and_mask(folder):
    whole = select.perform(chosen(), OUT)
    OUT.unlink()
    assert select.perform(chosen(), OUT).facts == whole.facts and OUT.is_file()


def test_a_mask_of_somebody_else_beside_an_equal_record_is_not_replaced(folder):
    select.perform(chosen(), OUT)
    OUT.write_bytes(Path("mask.safetensors").read_bytes())
    with pytest.raises(BadInput, match=r"'mask\.new\.safetensors' is there already"):
        select.perform(chosen(), OUT)


def test_temporary_files_of_a_killed_command_are_swept(folder):
    for name in (".mask.new.safetensors.abcd1234.tmp", ".mask.new.json.abcd1234.tmp"):
        (folder / name).write_text("x")
    select.perform(chosen(), OUT)
    assert not list(folder.glob(".*.tmp"))
