import json

import pytest

from lacunar.core import masks, named
from lacunar.core.files import read_json, write_json
from lacunar.core.weights import load_mask, load_tensors
from tests.cli.conftest import call

ASKED = {
    "--model": "usercode:build",
    "--weights": "base.safetensors",
    "--data": "usercode:train_set",
    "--forget": "ids.csv",
    "--recipe": "epochs=1",
    "--device": "cpu",
}


def make(out="sharp.safetensors", **more):
    return call("select", {**ASKED, "--out": out, **{f"--{k}": v for k, v in more.items()}})


def test_compute_save_load_and_describe(folder):
    said = make(score="ggn_diagonal:estimator=exact", pick=["share=0.25", "biases=false"], json="")
    assert said.code == 0, said.err
    assert said.json["all"] == {"weight": "all", "selected": 14, "of": 67, "share": pytest.approx(14 / 67)}
    assert said.json["score"] == {"name": "ggn_diagonal", "settings": {"estimator": "exact", "probes": 1}}
    mask = load_mask("sharp.safetensors")
    assert masks.count(mask) == 14 and not bool(mask["0.bias"].any())
    described = call("select", {"--json": ""}, "sharp.safetensors")
    by_name = lambda found: {**found, "weights": sorted(found["weights"], key=lambda row: row["weight"])}  # noqa: E731
    assert by_name(described.json) == by_name(said.json)
    plain = call("select", {}, "sharp.safetensors").out
    assert "all: 14 of 67 (20.90%)" in plain and "score: ggn_diagonal" in plain
    (folder / "sharp.json").unlink()
    assert "score" not in call("select", {"--json": ""}, "sharp.safetensors").json


def test_the_record_tells_what_was_ranked_and_how(folder):
    make(score="hessian_diagonal", seed="4")
    record = read_json("sharp.json")
    assert record["seed"] == 4 and record["selection"]["share"] == 0.05
    assert set(record["seen"]) == {"data", "forget", "weights"}
    assert len(record["notes"]) == 1 and "Gauss-Newton" in record["notes"][0]


def test_the_mask_bounds_what_unlearning_moves(folder):
    make(score="saliency", pick="count=9")
    said = call("unlearn", {**ASKED, "--method": "fine_tune:epochs=1", "--where": "sharp.safetensors", "--out": "run"})
    assert said.code == 0, said.err
    mask, before, after = (load_tensors(f) for f in ("sharp.safetensors", "base.safetensors", "run/model.safetensors"))
    moved = {name: before[name] != after[name] for name in mask}
    assert not any(bool((moved[name] & ~mask[name]).any()) for name in mask)
    assert sum(int(m.sum()) for m in moved.values()) > 0
    assert read_json("run/request.json")["asked"]["where"] == "sharp.safetensors"


def test_same_request_same_mask_and_random_by_seed(folder):
    for out, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        make(f"{out}.safetensors", pick=["order=random", "share=0.3"], seed=seed)
    a, b, c = (named.digest(load_mask(f"{n}.safetensors")) for n in "abc")
    assert a == b != c


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"out": None}, "--out is missing"),
        ({"out": "mask.pt"}, "a mask is written as .safetensors, got --out mask.pt"),
        ({"out": "mask.safetensors"}, "'mask.safetensors' is there already"),
        ({"score": "ggn_diag"}, "unknown importance 'ggn_diag': did you mean 'ggn_diagonal'?"),
        ({"pick": "part=0.1"}, "unknown setting of pick 'part'"),
        ({"pick": "share=7"}, "share must be in (0, 1], got 7.0; write 0.05 for 5 %"),
        ({"pick": 'layers=["head"]'}, "no weight can be selected with these settings"),
        ({"weights": None}, "--weights is missing"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(folder, more, sentence):
    before = sorted(p.name for p in folder.iterdir())
    options = {**ASKED, "--out": "new.safetensors", **{f"--{k}": v for k, v in more.items()}}
    said = call("select", options)
    assert said.code == 2 and sentence in said.err, said.err
    assert sorted(p.name for p in folder.iterdir()) == before


def test_a_record_of_another_mask_is_refused(folder):
    make()
    write_json("sharp.json", {**json.loads((folder / "sharp.json").read_text()), "mask_sha256": "0"})
    said = call("select", {}, "sharp.safetensors")
    assert said.code == 2 and "describes another mask" in said.err


@pytest.mark.parametrize("options", [{}, {"force": ""}])
def test_a_list_of_ids_is_never_replaced_by_the_record_of_a_mask(folder, options):
    (folder / "ids.json").write_text("[3, 5, 8]")
    said = make("ids.safetensors", forget="ids.json", **options)
    assert said.code == 2 and "'ids.json' would be replaced, but this command reads it (--forget)" in said.err
    assert (folder / "ids.json").read_text() == "[3, 5, 8]" and not (folder / "ids.safetensors").exists()


def test_nor_is_any_other_file_of_that_name_without_force(folder):
    (folder / "mine.json").write_text("{}")
    said = make("mine.safetensors")
    assert said.code == 2 and "'mine.json' is there already" in said.err
    assert (folder / "mine.json").read_text() == "{}"
    assert make("mine.safetensors", force="").code == 0
    assert read_json("mine.json")["format"] == "lacunar-selection-1"


def test_nor_the_weights_or_what_a_folder_of_weights_is_read_from(folder):
    (folder / "base").mkdir()
    (folder / "base/base.safetensors").write_bytes((folder / "base.safetensors").read_bytes())
    for out, weights in (("base.safetensors", "base.safetensors"), ("base/request.safetensors", "base")):
        said = make(out, weights=weights, force="")
        assert said.code == 2 and "this command reads it (--weights)" in said.err
