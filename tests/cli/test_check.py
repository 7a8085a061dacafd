from __future__ import annotations

import pytest

from tests.cli.conftest import call, tree

RUN = {
    "--model": "usercode:build",
    "--weights": "base.safetensors",
    "--data": "usercode:train_set",
    "--recipe": "usercode:recipe",
    "--forget": "ids.csv",
    "--method": "fine_tune",
    "--set": "epochs=1",
}


def test_a_request_is_checked_and_nothing_is_written(folder):
    before = tree(folder)
    said = call("check", {**RUN, "--out": "r", "--json": ""})
    assert said.code == 0, said.err
    assert tree(folder) == before and said.json


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"--method": "fine_tun"}, "unknown method 'fine_tun'"),
        ({"--forget": "absent.csv"}, "absent.csv"),
        ({"--weights": "small_head.safetensors"}, "small_head.safetensors"),
        ({"--set": "epochs=0"}, "epochs must be at least 1"),
    ],
)
def test_what_unlearn_would_refuse_is_refused(folder, changed, sentence):
    checked, run = (call(verb, {**RUN, "--out": "r", **changed}) for verb in ("check", "unlearn"))
    assert checked.code == run.code == 2 and checked.err == run.err
    assert sentence in checked.err


def test_a_folder_that_cannot_be_used_is_told_too(folder):
    (folder / "r").mkdir()
    (folder / "r" / "thesis.tex").touch()
    said = call("check", {**RUN, "--out": "r"})
    assert said.code == 2 and "is not empty" in said.err
    assert call("check", {**RUN, "--out": "r", "--force": ""}).code == 0
