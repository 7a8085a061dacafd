"""The experiments can be read; a tiny one runs to the end; the verdict follows from the records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.sharpness import verdict

from lacunar import lab
from lacunar.catalog import registry
from lacunar.core.measurement import Measurement
from lacunar.lab.experiment import Experiment
from lacunar.lab.record import Record

HERE = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    "name", ["sharpness/digits", "sharpness/fashion_mnist", "sharpness/cifar10", "features/canary"]
)
def test_experiments_can_be_read(name):
    experiment = Experiment.read(HERE / name)
    assert len(experiment.seeds) >= 3 and experiment.oracles >= 1 and len(experiment.methods) >= 8


def test_a_tiny_run_ends_in_a_verdict(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LACUNAR_STORE", str(tmp_path / "store"))
    methods = '["sharpness_select:rho=0.3", "sharpness_select:rho=0.3,order=random"]'
    tiny = ["dataset=digits:n_train=100,n_test=60", 'scenarios=["wrong_labels"]', f"methods={methods}", "seeds=[0]"]
    folder = lab.run(
        HERE / "sharpness/digits",
        workers=1,
        quiet=True,
        out=tmp_path,
        overrides=[*tiny, "oracles=1", "recipe.epochs=8", 'evaluators=["accuracy_restored"]'],
    )
    records = lab.read(folder / "results.jsonl")
    assert all(record.status == "done" for record in records)
    assert any("curvature products" in note for record in records for note in record.notes)
    verdict.main([str(folder)])
    assert "verdict.md" in capsys.readouterr().out
    page = (folder / "verdict.md").read_text()
    assert "|   0.3 |" in page and "| retrain " in page


def record(line: str, seed: int, value: float | None) -> Record:
    method = registry.parse("methods", line)
    measured = (Measurement("accuracy_restored", value, note="undefined" * (value is None)),)
    settings = {"method": method.spec()}
    return Record(
        "k", "p", "digits", "mlp", "dense", "wrong_labels", line, seed, settings=settings, measurements=measured
    )


def test_the_difference_is_paired_by_seed():
    largest = [record("sharpness_select:rho=0.1", seed, 0.5 + 0.1 * seed) for seed in range(4)]
    drawn = [record("sharpness_select:rho=0.1,order=random", seed, 0.4 + 0.1 * seed) for seed in range(3)]
    gain = [record("sharpness_select:rho=0.1,score=forget_newton", 0, 0.9)]
    last = [record("sharpness_select:rho=1.0,last_layers=1", 0, 0.9), record("newton_edit", 0, 0.9)]
    found = verdict.collected([*largest, *drawn, *gain, *last, record("sharpness_select:rho=0.1", 9, None)])
    (values,) = found.values()
    assert {name: len(v) for name, v in values.items()} == {"largest": 4, "random": 3, "forget_newton": 1}
    gap = verdict.difference(values, "largest", "random")
    assert gap.mean == pytest.approx(0.1) and gap.low > 0
    assert verdict.difference(values, "largest", "forget_newton").mean is None
    page = verdict.page([*largest, *drawn, *gain])
    assert "more than random ones at 1, less at 0 of 1 shares; open at 0." in page and "higher" in page
    lost = [replace(r, measurements=(replace(r.measurements[0], value=0.1 * r.seed),)) for r in largest]
    assert "more than random ones at 0, less at 1 of 1 shares; open at 0." in verdict.page([*lost, *drawn])
    assert "at 0, less at 0 of 1 shares; open at 0." in verdict.page(largest)


def test_a_word_takes_account_of_the_other_shares():
    # Alone p = .02; with three more shares that show nothing it is open.
    weak = {0: 0.10, 1: 0.13, 2: 0.17}
    records = [record(f"sharpness_select:rho={rho}", s, v) for rho in (0.1, 0.2, 0.3, 0.4) for s, v in weak.items()]
    drawn = [record("sharpness_select:rho=0.1,order=random", s, 0.0) for s in weak]
    level = [
        record(f"sharpness_select:rho={rho},order=random", s, v)
        for rho in (0.2, 0.3, 0.4)
        for s, v in {0: 0.13, 1: 0.10, 2: 0.17}.items()
    ]
    assert "at 1, less at 0 of 1 shares; open at 0." in verdict.page([*records[:3], *drawn])
    assert "at 0, less at 0 of 4 shares; open at 4." in verdict.page([*records, *drawn, *level])


def test_a_solve_that_was_cut_short_tests_nothing():
    full = [record("sharpness_select:rho=0.1", seed, 0.5) for seed in range(3)]
    cut = [record("sharpness_select:rho=0.1,edit=newton_edit(max_iter=10)", seed, 0.5) for seed in range(3)]
    loose = [record("sharpness_select:rho=0.1,edit=newton_edit(rtol=0.1,steps=5)", seed, 0.5) for seed in range(3)]
    gradient = [record("sharpness_select:rho=0.1,edit=first_order_edit", seed, 0.5) for seed in range(3)]
    assert "Not tested" not in verdict.page([*full, *gradient])
    assert "Not tested: conjugate gradients stopped at 10 products" in verdict.page(cut)
    assert list(verdict.cut_short([*gradient, *loose])) == ["newton_edit, 5 steps"]


def test_random_masks_of_one_seed_are_averaged():
    masks = [
        record(f"sharpness_select:rho=0.1,order=random,draw={draw}", seed, 0.1 * draw)
        for draw in range(3)
        for seed in range(2)
    ]
    (values,) = verdict.collected(masks).values()
    assert values["random"] == {0: pytest.approx(0.1), 1: pytest.approx(0.1)}


def test_steps_and_edits_make_groups_of_their_own():
    lines = ["sharpness_select:edit=newton_edit(steps=5)", "sharpness_select:edit=first_order_edit", "sharpness_select"]
    page = verdict.page([record(line, 0, 0.5) for line in lines])
    assert all(
        f"wrong_labels, {edit}\n" in page for edit in ("newton_edit, 5 steps", "first_order_edit", "newton_edit")
    )


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10"])
def test_the_committed_verdict_is_that_of_the_committed_results(name):
    folder = HERE / "sharpness" / name
    assert (folder / "verdict.md").read_text() == verdict.page(lab.read(folder / "results.jsonl"))
