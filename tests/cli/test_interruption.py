"""Ctrl-C and kill: the same command goes on and ends with the same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from lacunar.core.weights import load_tensors
from tests.cli.conftest import call

OPTIONS = {
    "--model": "usercode:build",
    "--weights": "base.safetensors",
    "--data": "usercode:train_set",
    "--forget": "ids.csv",
    "--recipe": "usercode:recipe",
    "--method": "fine_tune",
    "--set": ["epochs=250", "batch_size=4", "lr=0.001"],
    "--checkpoint-seconds": "0.01",
}


def words(out):
    flat = [
        w
        for option, value in OPTIONS.items()
        for one in ([value] if isinstance(value, str) else value)
        for w in (option, one)
    ]
    return ["unlearn", *flat, "--out", out]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_goes_on_to_the_same_weights(folder, _user_folder, how):
    code = "import torch; torch.set_num_threads(1); import lacunar.cli; lacunar.cli.main()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, *words("cut")],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_user_folder), *sys.path])},
    )
    deadline = time.monotonic() + 60
    while not (folder / "cut/checkpoints/descent-000.safetensors").exists():
        assert child.poll() is None and time.monotonic() < deadline, child.stderr.read()
        time.sleep(0.01)
    child.send_signal(how)
    _, err = child.communicate(timeout=60)
    if how == signal.SIGINT:
        assert child.returncode == 130
        assert err.endswith("interrupted; repeat the same command to go on from the last checkpoint\n")
    assert not (folder / "cut/outcome.json").exists()
    short = {**OPTIONS, "--checkpoint-seconds": "60"}
    assert call("unlearn", {**short, "--out": "cut", "--quiet": ""}).code == 0
    assert call("unlearn", {**short, "--out": "whole", "--quiet": ""}).code == 0
    cut, whole = load_tensors("cut/model.safetensors"), load_tensors("whole/model.safetensors")
    assert all(torch.equal(cut[n], whole[n]) for n in whole)
    assert sorted(p.name for p in (folder / "cut").iterdir()) == ["model.safetensors", "outcome.json", "request.json"]


def test_another_request_does_not_go_on_in_its_folder(folder):
    few = {**OPTIONS, "--set": "epochs=1", "--out": "r"}
    assert call("unlearn", few).code == 0
    (folder / "r/outcome.json").unlink()
    said = call("unlearn", {**few, "--set": "epochs=2"})
    assert said.code == 2 and "holds no run of this request" in said.err


def test_a_folder_of_something_else_is_left_alone(folder):
    (folder / "r").mkdir()
    (folder / "r/thesis.tex").write_text("years of work")
    few = {**OPTIONS, "--set": "epochs=1", "--out": "r"}
    said = call("unlearn", few)
    assert said.code == 2 and "'r' is not empty" in said.err
    assert call("unlearn", {**few, "--force": ""}).code == 0
    assert (folder / "r/thesis.tex").read_text() == "years of work"


def test_a_finished_run_is_not_repeated(folder):
    few = {**OPTIONS, "--set": "epochs=1", "--out": "r"}
    assert call("unlearn", few).code == 0
    made = (folder / "r/model.safetensors").stat().st_mtime_ns
    said = call("unlearn", few)
    assert said.code == 0 and "epoch" not in said.err
    assert (folder / "r/model.safetensors").stat().st_mtime_ns == made
