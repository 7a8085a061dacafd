"""The experiments can be read, one of them runs at toy size, and what is said of the results follows from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.sparse_unlearning import choose, claims, collect, figures

from lacunar import lab
from lacunar.core.measurement import Measurement
from lacunar.lab.experiment import Experiment
from lacunar.lab.record import Record
from lacunar.lab.table import Estimate, compare

HERE = Path(__file__).parents[2] / "benchmarks/sparse_unlearning"
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
    return Record(
        f"{method}{sparsity}{seed}", "p", "cifar10", "resnet", pruner, "scenario", method, seed, oracle, **common
    )


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
    return {collect.sparsity(c.pruner): c for c in made}


def test_rows_are_found_by_sparsity_and_method(found):
    assert list(found) == [0.0, 95.0]
    assert [row.method for row in collect.variants(found[0.0], "fine_tune")] == ["fine_tune", "fine_tune:lr=0.04"]
    assert collect.searched(found[0.0], "l1_sparse").method == "l1_sparse"


def test_a_fall_is_told_from_doing_nothing(found):
    rows = {(row[0], row[1]): row for row in claims.falls(found, "x").rows}
    published = rows["fine_tune", "published"]
    # It falls by as much as doing nothing does.
    assert "(lower)" in published[-2] and published[-2].startswith("-10") and "(lower)" not in published[-1]
    assert "(higher)" in rows["fine_tune", "searched"][-2]
    assert rows["do_nothing", "control"][-1] == ""


def test_claims_need_the_same_seeds_in_both_rows():
    assert claims.paired(Estimate.of([1.0, 2.0, 3.0]), Estimate.of([1.0])).mean is None
    gap = claims.paired(Estimate.of([1.0, 2.0, 3.5]), Estimate.of([0.0, 1.0, 2.0]))
    assert gap.values == (1.0, 1.0, 1.5) and claims.verdict(gap) == "higher"
    assert claims.verdict(Estimate.of([-1.0, 0.0, 1.0])) == "open" and claims.verdict(Estimate()) == "-"


def test_the_nearest_comes_first_and_l1_is_paired_with_fine_tuning(found):
    assert [row[0] for row in claims.ranks(found, "x").rows][:2] == ["retrain", "fine_tune:lr=0.04"]
    rows = claims.l1_against_fine_tuning(found, "x").rows
    assert "(lower)" in rows[0][4] and rows[0][4].startswith("-1")


def test_every_table_and_figure_can_be_made(tmp_path, monkeypatch):
    backdoor = ("attack_success", "attack_success_legacy", "clean_accuracy")
    shown = (*PANEL, *backdoor, "sparsity", *claims.TERMS)
    made = compare(results(LEVELS), shown, PANEL)
    whole = {collect.sparsity(c.pruner): c for c in made}
    for module in (claims, figures):
        monkeypatch.setattr(module, "by_sparsity", lambda folder: whole)
    monkeypatch.setattr(claims, "comparisons", lambda folder: made[:1])
    page = claims.page(claims.tables())
    assert page.count("\n\n| ") == 9 and "Spearman" in page
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
