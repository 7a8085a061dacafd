"""Every wrong request ends before any compute: one sentence, exit code 2, nothing written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lacunar.catalog.registry import names
from tests.cli.conftest import call, tree

GOOD = {
    "--model": "usercode:build",
    "--weights": "base.safetensors",
    "--data": "usercode:train_set",
    "--test": "usercode:test_set",
    "--forget": "ids.csv",
    "--recipe": "usercode:recipe",
    "--method": "fine_tune",
    "--set": "epochs=1",
    "--out": "r",
}
METHODS, DATASETS, SCENARIOS = (", ".join(names(kind)) for kind in ("methods", "datasets", "scenarios"))

CASES = {
    "strangers": (
        {"--forget": "strangers.csv"},
        "12 of 13 ids are not in the data (which holds 30 examples): 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, "
        "... (12 in all); give ids of training examples",
    ),
    "empty": ({"--forget": "empty.csv"}, "there are no ids to forget: the list is empty"),
    "nothing left": (
        {"--forget": "all.csv"},
        "all 30 training examples are to be forgotten: nothing is left to retain",
    ),
    "test ids": (
        {"--data": "usercode:customers", "--test": "usercode:customers_twice", "--forget": "customers.csv"},
        "2 of 2 ids to forget are in the test data as well: 1007, 1014; a model cannot be judged on examples that it "
        "was trained on",
    ),
    "test copies": (
        {"--test": "usercode:train_set"},
        "every example to forget is in the test data as well; is --test the training set?",
    ),
    "labels": (
        {"--data": "usercode:one_based", "--forget": "one.csv"},
        "labels run from 1 to 3, but the model has 3 logits (classes 0 to 2); is the head of another size, or do "
        "labels start at 1?",
    ),
    "test labels": (
        {"--test": "usercode:one_based"},
        "the test data do not fit: labels run from 1 to 3, but the model has 3 logits (classes 0 to 2); is the head of "
        "another size, or do labels start at 1?",
    ),
    "NaN weights": (
        {"--weights": "nan.safetensors"},
        "'nan.safetensors' holds NaN or infinity in 2.weight; use a checkpoint from before that",
    ),
    "NaN data": (
        {"--data": "usercode:not_numbers"},
        "x holds NaN or infinity at positions 2; clean the data",
    ),
    "head in file": (
        {"--weights": "small_head.safetensors"},
        "'small_head.safetensors' does not fit this model: 2.weight is (2, 8) in the file, (3, 8) in the model "
        "(another number of classes?)",
    ),
    "head too small": (
        {"--weights": "small_head.safetensors", "--model": "usercode:small_head"},
        "labels run from 0 to 2, but the model has 2 logits (classes 0 to 1); is the head of another size, or do "
        "labels start at 1?",
    ),
    "other architecture": (
        {"--weights": "words.safetensors"},
        "'words.safetensors' does not fit this model: missing 0.bias, 0.weight, 2.bias, 2.weight; unknown "
        "embed.weight, head.bias, head.weight. Is it another architecture?",
    ),
    "inputs of another size": (
        {"--model": "usercode:wide", "--weights": "wide.safetensors"},
        "the model cannot take the inputs of these data, Examples(n=2, x=(4,), classes=2): mat1 and mat2 shapes cannot "
        "be multiplied (2x4 and 5x8)",
    ),
    "pickle": (
        {"--weights": "base.pt"},
        "'base.pt' looks like a pickle or zip, which can run code when it is read, so it is refused; convert it "
        "once: lacunar convert base.pt --out base.safetensors",
    ),
    "truncated": (
        {"--weights": "short.safetensors"},
        "'short.safetensors' is not a whole safetensors file; it is truncated or of another format",
    ),
    "no weights": ({"--weights": "base2.safetensors"}, "there is no weights file 'base2.safetensors'"),
    "no base in folder": (
        {"--weights": "nothing"},
        "'nothing' holds no base.safetensors; give a file with weights, or a folder that train has finished",
    ),
    "no list": ({"--forget": "id.csv"}, "there is no file 'id.csv' with ids to forget"),
    "bad row": (
        {"--forget": "bad.csv"},
        "row 4 of 'bad.csv' is '8a', which is not a whole number of at most 64 bits",
    ),
    "no such column": (
        {"--forget": "table.csv", "--id-column": "customer"},
        "unknown column of 'table.csv': 'customer': did you mean 'customer_id'? choose from customer_id, name",
    ),
    "unknown method": (
        {"--method": "l1_spars"},
        f"unknown method 'l1_spars': did you mean 'l1_sparse'? choose from {METHODS}",
    ),
    "unused setting": (
        {"--set": "gamma=0.1"},
        "unknown setting of fine_tune 'gamma': choose from batch_size, epochs, lr, momentum, weight_decay",
    ),
    "wrong value": (
        {"--set": "epochs=many"},
        "setting epochs of fine_tune cannot be 'many': Input should be a valid integer, unable to parse string as an "
        "integer",
    ),
    "impossible value": ({"--set": "lr=-1"}, "lr must be a finite number >= 0, got -1.0"),
    "setting twice": ({"--set": ["epochs=1", "epochs=2"]}, "the setting 'epochs' is given twice"),
    "setting in line and option": (
        {"--method": "fine_tune:epochs=3"},
        "the setting 'epochs' of fine_tune is given twice",
    ),
    "no equals": ({"--set": "epochs"}, "a setting is written name=value, got 'epochs'"),
    "does not apply": (
        {"--recipe": None, "--method": "neg_grad_plus", "--set": "alpha=2"},
        "alpha weighs retain against forget and lies in [0, 1], got 2.0",
    ),
    "recipe setting": (
        {"--recipe": "epoch=3"},
        "unknown setting of recipe 'epoch': did you mean 'epochs'? choose from augment, batch_size, build, clip, "
        "compile, epochs, loss, lr, momentum, normalize, optimizer, precision, schedule, train, warmup, weight_decay",
    ),
    "recipe of another type": (
        {"--recipe": "usercode:three"},
        "usercode:three is an object of type int, not a lacunar.Recipe",
    ),
    "not a module": (
        {"--model": "usercode:three"},
        "usercode:three returned an object of type int, not a torch.nn.Module",
    ),
    "not callable": (
        {"--model": "usercode:constant"},
        "usercode:constant is an object of type int; a model is given as a function or class that builds a fresh one, "
        "since retrained oracles start anew",
    ),
    "fails": (
        {"--model": "usercode:fails"},
        "calling usercode:fails() failed: RuntimeError: the database is down",
    ),
    "no module": (
        {"--model": "user_code:build"},
        "there is no module 'user_code' in the current directory ({here}) or among the installed packages",
    ),
    "module fails": (
        {"--model": "broken_code:build"},
        "importing broken_code failed: it needs the module 'module_that_is_not_there', which is missing",
    ),
    "no attribute": (
        {"--recipe": "usercode:recip"},
        "unknown attribute of usercode 'recip': did you mean 'recipe'? choose from {attributes}",
    ),
    "not a data set": (
        {"--data": "usercode:three"},
        "usercode:three is an object of type int, not a data set: it must have __len__ and __getitem__ (items (x, y)), "
        "or be a pair (x, y) of arrays",
    ),
    "data fail": (
        {"--data": "usercode:broken"},
        "item 0 of the data set cannot be read (KeyError: 'image 3 is missing'); repair it or leave it out",
    ),
    "unknown data": (
        {"--data": "digit"},
        f"unknown dataset 'digit': did you mean 'digits'? choose from {DATASETS}",
    ),
    "two requests": (
        {"--scenario": "whole_class:label=1"},
        "say what must be forgotten, by either --forget FILE or --scenario NAME, not both",
    ),
    "no request": (
        {"--forget": None},
        "say what must be forgotten, by either --forget FILE or --scenario NAME, not both",
    ),
    "column without a file": (
        {"--forget": None, "--scenario": "whole_class:label=1", "--id-column": "customer_id"},
        "--id-column belongs to --forget FILE, and there is none",
    ),
    "unknown scenario": (
        {"--forget": None, "--scenario": "whole_clas:label=1"},
        f"unknown scenario 'whole_clas': did you mean 'whole_class'? choose from {SCENARIOS}",
    ),
    "mask of other weights": (
        {"--mask": "mask.safetensors"},
        "the model has non-zero weights outside its mask; set them to zero or give the right mask",
    ),
    "weights as mask": (
        {"--mask": "base.safetensors"},
        "'base.safetensors' is not a mask: 0.bias, 0.weight, 2.bias, 2.weight are not bool",
    ),
    "no device": (
        {"--device": "gpu"},
        "the device 'gpu' is unknown: choose auto, cpu, cuda or cuda:0, cuda:1, ...",
    ),
    "no method": ({"--method": None}, "--method is missing; see --help for what it takes"),
    "no model": ({"--model": None}, "--model is missing; see --help for what it takes"),
}


@pytest.fixture
def lists(folder):
    """The lists of ids that the cases name."""
    for name, ids in {
        "strangers.csv": [3, *range(100, 112)],
        "empty.csv": [],
        "all.csv": range(30),
        "customers.csv": [1007, 1014],
        "one.csv": [1],
    }.items():
        (folder / name).write_text("".join(f"{i}\n" for i in ids))
    (folder / "nothing").mkdir()
    (folder / "bad.csv").write_text("customer_id\n3\n5\n8a\n")
    (folder / "table.csv").write_text("customer_id,name\n3,a\n5,b\n")
    (folder / "broken_code.py").write_text("import module_that_is_not_there\n")
    return folder


@pytest.mark.parametrize("case", CASES)
def test_one_sentence_and_nothing_written(case, lists):
    import usercode

    from lacunar.core.weights import save_model

    save_model(lists / "wide.safetensors", usercode.wide())
    changes, sentence = CASES[case]
    before = tree(lists)
    said = call("unlearn", {**GOOD, **changes})
    attributes = ", ".join(sorted(name for name in dir(usercode) if not name.startswith("_")))
    assert said.err == f"error: {sentence}\n".replace("{here}", str(lists)).replace("{attributes}", attributes)
    assert (said.code, said.out) == (2, "")
    assert {k: v for k, v in tree(lists).items() if "__pycache__" not in k} == before


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.json", '{"id": [3]}', "'x.json' must hold a list of ids, or {\"ids\": [...]}"),
        ("x.json", "[3, true]", "entry 2 of 'x.json' is True, which is not a whole number of at most 64 bits"),
        ("x.json", "[3,", "'x.json' is not a JSON file (Expecting value: line 1 column 4 (char 3))"),
        ("x.json", '[{"id": 3, "n": 1}]', "'x.json' holds objects with id, n: say with --id-column which is the id"),
        ("x.csv", "id,name\n3,a\n", "'x.csv' has the columns id, name: say with --id-column which holds the ids"),
        ("x.txt", "3\n\n5.5\n", "row 3 of 'x.txt' is '5.5', which is not a whole number of at most 64 bits"),
        (
            "x.xlsx",
            "3",
            "unknown ending of the file with ids to forget: '.xlsx': choose from .csv, .json, .npy, .parquet, .txt",
        ),
        ("x.npy", "3", None),
    ],
)
def test_lists_that_cannot_be_read(folder, name, content, sentence):
    (folder / name).write_text(content)
    said = call("check", {**GOOD, "--out": None, "--forget": name})
    assert said.code == 2
    if sentence is None:
        assert said.err.startswith(f"error: {name!r} cannot be read as a plain NumPy array")
    else:
        assert said.err == f"error: {sentence}\n"


def test_arrays_of_objects_are_not_unpickled(folder):
    np.save(folder / "x.npy", np.array([object()], dtype=object), allow_pickle=True)
    said = call("check", {**GOOD, "--out": None, "--forget": "x.npy"})
    assert said.code == 2 and "cannot be read as a plain NumPy array" in said.err


def test_duplicates_are_told_and_go_on(folder):
    (folder / "ids.csv").write_text("3\n5\n3\n3\n")
    said = call("unlearn", GOOD)
    assert said.code == 0
    assert "note: the forget list has 4 entries but 2 distinct ids; each is forgotten once\n" in said.err
    assert json.loads((folder / "r/outcome.json").read_text())["forget"]["count"] == 2


@pytest.mark.filterwarnings("default::FutureWarning")
def test_a_former_name_is_told_and_goes_on(folder):
    said = call("check", {**GOOD, "--out": None, "--method": "l1_sparse", "--set": "schedule=cosine"})
    assert said.code == 0
    assert "note: the setting 'schedule' of l1_sparse is called 'fade' now; the former name is taken for" in said.err


def test_a_class_that_disappears_is_told_and_goes_on(folder):
    (folder / "ids.csv").write_text("4\n")
    said = call("check", {**GOOD, "--out": None, "--data": "usercode:two_classes", "--test": None})
    assert said.code == 0
    assert (
        "class 2 disappears: no retained example has it, so accuracy on retained data and membership controls are "
        "undefined for it" in said.out
    )


def test_a_column_of_customers_that_the_data_do_not_know_is_told(folder):
    (folder / "table.csv").write_text("customer_id;name\n3;a\n5;b\n")
    said = call("check", {**GOOD, "--out": None, "--forget": "table.csv", "--id-column": "customer_id"})
    assert said.code == 0
    assert "so customer_id is read as positions 0 to 29" in said.out


def test_usage_errors_end_with_2_as_well(folder):
    assert call("unlearn", {"--no-such-option": "1"}).code == 2
    assert call("unlearn", {**GOOD, "--seed": "one"}).code == 2


def test_debug_shows_the_traceback(folder):
    quiet, loud = (call("check", {**GOOD, "--out": None, "--method": "x", **d}) for d in ({}, {"--debug": ""}))
    assert "Traceback" not in quiet.err
    assert "Traceback" in loud.err and loud.err.endswith(quiet.err)
