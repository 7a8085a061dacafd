"""The experiments can be read, one of them runs at toy size, and what is said of the results follows from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.sparse_unlearning import choose, claims, collect, figures

from lacunar import lab
from lacunar.core.measurement import Measurement
from lacunar.lab.experiment import Experiment
from lacunar.lab.record import Record
from lacunar.lab.table import Comparison, Estimate, compare

HERE = Path(__file__).parents[2] / "benchmarks/sparse_unlearning"
DATA = "cifar10:n_train=2500"
PANEL = ("ua", "ra", "ta", "mia_efficacy_legacy")


def test_the_published_settings():
    experiment = Experiment.read(HERE / "table3.toml")
    assert experiment.recipe["epochs"] == 182 and experiment.rewind == 8 and len(experiment.seeds) >= 3
    assert {m.name() for m in experiment.methods} >= {*collect.FAMILIES, *collect.CONTROLS}
    short = Experiment.read(HERE / "table3.toml", recipe="short")
    assert short.recipe["epochs"] < 182 and short.methods == experiment.methods


def test_the_published_settings_run_at_toy_size(tmp_path, monkeypatch):
    monkeypatch.setenv("LACUNAR_STORE", str(tmp_path / "store"))
    tiny = ["dataset=digits:n_train=100,n_test=60,validation=0.2", "model=small_cnn", "seeds=[0]", "recipe.epochs=2"]
    plain = ['scenarios=["random_subset:fraction=0.2"]', "recipe.augment=none", 'evaluators=["accuracy","legacy_mia"]']
    folder = lab.run(
        HERE / "table3.toml", workers=1, quiet=True, recipe="short", out=tmp_path, overrides=[*tiny, *plain]
    )
    records = lab.read(folder / "results.jsonl")
    assert [r.message for r in records if r.status != "done"] == []
    assert {r.pruner for r in records} == {"dense", "global_magnitude"}


def record(method: str, sparsity: float, seed: int, level: float, oracle: int | None = None) -> Record:
    names = (*PANEL, "attack_success", "attack_success_legacy", "clean_accuracy", "sparsity", *claims.TERMS)
    measured = tuple(Measurement(name, level, unit="%") for name in names)
    pruner = "dense" if sparsity == 0 else f"global_magnitude:sparsity={sparsity}"
    common = {"cpu_seconds": 2.0, "seconds": 2.0, "forgotten": {"count": 3}, "measurements": measured}
    return Record(f"{method}{sparsity}{seed}", "p", DATA, "resnet", pruner, "scenario", method, seed, oracle, **common)


def results(levels: dict[str, tuple[float, float]], seeds: range = range(3)) -> list[Record]:
    """Per method its distance to the oracle when dense and at 95 %."""
    found = []
    for i, sparsity in enumerate((0.0, 0.95)):
        for seed in seeds:
            found.append(record("oracle", sparsity, seed, 50.0, oracle=0))
            found += [record(name, sparsity, seed, 50.0 + apart[i] + 0.1 * seed) for name, apart in levels.items()]
    return found


LEVELS = {
    "do_nothing": (20.0, 10.0),
    "retrain": (1.0, 1.0),
    "fine_tune": (18.0, 8.0),
    "fine_tune:lr=0.04": (5.0, 6.0),
    "l1_sparse": (17.0, 8.0),
    "grad_ascent": (19.0, 9.0),
    "influence": (15.0, 9.0),
    "fisher_forgetting": (20.0, 10.0),
}


@pytest.fixture
def found():
    made = compare(results(LEVELS), PANEL, PANEL)
    return {collect.sparsity(c.pruner): _fitted(c, 100.0) for c in made}


def _fitted(comparison: Comparison, level: float) -> Comparison:
    """The same with another accuracy on the rows that stay; disparities are as they were."""
    oracle, *rows = (
        replace(row, values=row.values | {"ra": Estimate.of([level] * 3)})
        for row in (comparison.oracle, *comparison.rows)
    )
    return replace(comparison, oracle=oracle, rows=tuple(rows))


def test_rows_are_found_by_sparsity_and_method(found):
    assert list(found) == [0.0, 95.0]
    assert [row.method for row in collect.variants(found[0.0], "fine_tune")] == ["fine_tune", "fine_tune:lr=0.04"]
    assert collect.searched(found[0.0], "l1_sparse").method == "l1_sparse"


def test_a_fall_is_told_from_doing_nothing(found):
    (table,) = claims.falls([(found, "a random tenth")])
    rows = {(row[0], row[1]): dict(zip(table.columns, row, strict=True)) for row in table.rows}
    published, searched = rows["fine_tune", "published"], rows["fine_tune", "searched"]
    # It falls by as much as doing nothing does; with other settings it rises.
    assert published["95 % minus dense"].startswith("-10") and published["beyond do_nothing"].startswith("0 ")
    assert published["word"] == "open" and searched["word"] == "higher"
    assert rows["do_nothing", "control"]["beyond do_nothing"] == "" and rows["retrain", "control"]["word"] == ""


def test_a_net_that_does_not_fit_answers_nothing(found):
    loose = {s: _fitted(c, 90.0) for s, c in found.items()}
    cases = [(loose, "a random tenth")]
    for make in (claims.falls, claims.ranks, claims.l1_against_fine_tuning):
        (table,) = make(cases)
        (at,) = [i for i, head in enumerate(table.columns) if head == "word"]
        assert {row[at] for row in table.rows} - {""} == {"not tested"}
    gates = claims.gates({"x": loose, "y": found})
    assert [row[-1].partition(":")[0] for row in gates.rows] == ["does not fit"] * 2 + ["fits"] * 2


def test_the_nearest_comes_first_and_rivals_are_paired_with_the_papers_best(found):
    (table,) = claims.ranks([(found, "a random tenth")])
    assert [row[0] for row in table.rows][:2] == ["retrain", "fine_tune:lr=0.04"]
    rows = {row[0]: row for row in table.rows}
    assert rows["influence"][-3].startswith("3 ") and rows["influence"][-1] == "higher"
    assert rows["fine_tune:lr=0.04"][-1] == rows["fine_tune"][-1] == ""


def test_l1_is_paired_with_fine_tuning_and_its_dose_is_shown(found):
    (table,) = claims.l1_against_fine_tuning([(found, "a random tenth")])
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["l1_sparse minus fine_tune"].startswith("-1") and row["word"] == "lower"
    # 10 epochs of 10 batches of 256 among 2,497 images.
    assert row["steps"] == "100" and float(row["dose"]) == pytest.approx(0.01 * 1e-4 * 100 / 0.2 / 8e-3, rel=0.01)


def test_every_table_and_figure_can_be_made(tmp_path, monkeypatch):
    backdoor = ("attack_success", "attack_success_legacy", "clean_accuracy")
    shown = (*PANEL, *backdoor, "sparsity", *claims.TERMS)
    made = compare(results(LEVELS), shown, PANEL)
    whole = {collect.sparsity(c.pruner): c for c in made}
    for module in (claims, figures):
        monkeypatch.setattr(module, "by_sparsity", lambda folder: whole)
    monkeypatch.setattr(claims, "comparisons", lambda folder: made[:1])
    page = claims.page(claims.tables())
    assert page.count("\n\n| ") == 10 and "Spearman" in page
    for draw in (figures.disparity, figures.gaps, figures.backdoor):
        path = figures.write(draw(), tmp_path / "figure.svg")
        assert path.read_text().startswith("<?xml")


def test_a_setting_that_failed_somewhere_is_not_chosen(tmp_path, monkeypatch):
    levels = dict.fromkeys(collect.FAMILIES, (5.0, 5.0)) | {"do_nothing": (20.0, 10.0)}
    seeds = range(100, 101)
    better = results({"fine_tune:lr=0.04": (1.0, 2.0)}, seeds)
    half = [r for r in results({"fine_tune:lr=0.2": (0.0, 0.0)}, seeds) if r.pruner == "dense"]
    monkeypatch.setattr(
        choose, "comparisons", lambda folder: compare([*results(levels, seeds), *better, *half], PANEL, PANEL)
    )
    (lines,) = choose.chosen(tmp_path).values()
    line, disparity = lines["fine_tune"]
    assert line == "fine_tune:lr=0.04" and disparity == pytest.approx(11.5)
    assert lines["influence"][0] == "influence"


def test_the_committed_page_is_that_of_the_committed_results():
    assert (HERE / "claims.md").read_text() == claims.page(claims.tables())
