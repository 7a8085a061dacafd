"""A command that is killed, at any call that changes a file, goes on when it is repeated, to an equal end."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

import pytest

from lacunar.core.files import temporaries, write_text
from tests.cli.conftest import call, tree

ENDED, KILLED = 0, 77
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.truncate", "os.link", "shutil.rmtree"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
OWN = {
    "--model": "usercode:build",
    "--data": "usercode:train_set",
    "--recipe": ["epochs=2", "lr=0.05", "batch_size=16"],
    "--device": "cpu",
    "--quiet": "",
}
FORGET = {**OWN, "--weights": "base.safetensors", "--forget": "ids.csv"}
CNN = {
    "--model": "small_cnn:width=4,depth=2",
    "--data": "digits:n_train=40,n_test=20",
    "--recipe": ["epochs=1", "precision=float32"],
    "--quiet": "",
}
TIMES = {"seconds", "cpu_seconds", "peak_bytes"}

VERBS = {
    "train": ("train", {**OWN, "--checkpoint-seconds": "0"}),
    "train over another run": ("train", {**OWN, "--force": ""}),
    "prune": (
        "prune",
        {**OWN, "--pruner": "global_magnitude:sparsity=0.5,scope=conv+linear", "--finetune": "epochs=1"},
    ),
    "compact": ("compact", {"--weights": "sparse", "--quiet": ""}),
    "select": ("select", {**FORGET, "--score": "saliency", "--pick": "share=0.2"}),
    "unlearn do_nothing": ("unlearn", {**FORGET, "--method": "do_nothing"}),
    "unlearn influence": ("unlearn", {**FORGET, "--method": "influence", "--set": "damping=0.1"}),
    "unlearn fine_tune": (
        "unlearn",
        {**FORGET, "--method": "fine_tune", "--set": ["epochs=1", "batch_size=16"], "--checkpoint-seconds": "0"},
    ),
}

LONG = {"train over another run", "prune", "unlearn fine_tune"}
"""Tried by `make test-slow`: the same calls as the others', many more of them."""


def killed(verb, options, call_number) -> bool:
    """Whether a process with this command was killed at this of its calls that change files; else it ended well."""
    with warnings.catch_warnings():
        # The child runs on one thread, as the parent's numerical libraries do.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (ENDED, KILLED)
        return code == KILLED
    here, count = Path.cwd(), 0

    def watch(event, arguments):
        nonlocal count
        changes = event in CHANGES or (event == "open" and (arguments[2] or 0) & WRITING)
        if changes and (here / os.fsdecode(arguments[0])).is_relative_to(here):
            count += 1
            if count == call_number:
                os._exit(KILLED)

    code = 1
    try:
        sys.addaudithook(watch)
        code = call(verb, options).code
    finally:
        os._exit(code)


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(one) for key, one in value.items() if key not in TIMES}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def left(place):
    """The files of a run by name, without what differs between two equal runs."""
    found = tree(place)
    return {name: without_times(json.loads(b)) if name.endswith(".json") else b for name, b in found.items()}


@pytest.fixture
def sparse(folder):
    assert call("train", {**CNN, "--out": "dense"}).code == 0
    assert call("prune", {"--weights": "dense", "--pruner": "channel:sparsity=0.5", "--out": "sparse"}).code == 0
    return folder


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in VERBS])
def test_killed_at_each_call_that_changes_a_file(name, sparse):
    verb, options = VERBS[name]

    def asked(place):
        (sparse / place).mkdir(exist_ok=True)
        if "--force" in options:
            assert call("train", {**OWN, "--out": f"{place}/run", "--seed": "1"}).code == 0
        return {**options, "--out": f"{place}/{'mask.safetensors' if verb == 'select' else 'run'}"}

    assert call(verb, asked("whole")).code == 0
    whole, number = left(sparse / "whole"), 1
    while killed(verb, again := asked(f"cut{number}"), number):
        said = call(verb, again)
        assert said.code == 0, (number, said.err)
        assert left(sparse / f"cut{number}") == whole, number
        number += 1
    assert number > 5


def test_a_lone_temporary_file_of_ours_is_no_obstacle_and_is_swept(folder):
    (folder / "run").mkdir()
    left_over = folder / "run/.request.json.abcd1234.tmp"
    left_over.write_text("{")
    assert temporaries(folder / "run/request.json") == [left_over]
    assert call("train", {**OWN, "--out": "run"}).code == 0
    assert sorted(path.name for path in (folder / "run").iterdir()) == ["base.safetensors", "request.json"]


def test_a_temporary_file_of_somebody_else_is_one(folder):
    write_text(folder / "run/.thesis.tex.abcd1234.tmp", "years of work")
    said = call("train", {**OWN, "--out": "run"})
    assert said.code == 2 and "'run' is not empty" in said.err
