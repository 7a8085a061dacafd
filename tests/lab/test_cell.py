from __future__ import annotations

from dataclasses import replace

import pytest

from lacunar.lab.cell import Cell, cases, cells, protocol
from lacunar.lab.experiment import Experiment
from lacunar.methods.fine_tuning import fine_tune

TWO_SCENARIOS = ('["random_subset:fraction=0.2"]', '["random_subset:fraction=0.2", "whole_class:label=1"]')


def keys(folder, *overrides):
    experiment = Experiment.read(folder, overrides)
    return [cell.key(protocol(experiment)) for cell in cells(experiment)]


def test_every_combination_is_a_cell_with_a_key_of_its_own(tiny_experiment):
    found = keys(tiny_experiment(TWO_SCENARIOS))
    assert len(found) == 2 * 3 * (2 + 4) == len(set(found))


def test_keys_are_stable_and_every_changed_setting_changes_them(tiny_experiment):
    folder = tiny_experiment()
    plain = set(keys(folder))
    assert set(keys(folder)) == plain
    assert set(keys(folder, "title=other", "workers=2", 'evaluators=["mia"]')) == plain
    for change in (
        "recipe.lr=0.2",
        "oracles=3",
        "rewind=1",
        "model=mlp:hidden=9",
        "dataset=synthetic",
        "scenarios=random_subset:fraction=0.3",
        "pruners=random:sparsity=0.5",
        "seeds=[7]",
    ):
        assert plain.isdisjoint(keys(folder, change)), change
    assert len(plain - set(keys(folder, 'methods=["fine_tune:epochs=2"]'))) == 3


def test_an_edited_source_changes_the_keys_of_its_own_cells(tiny_experiment, edit):
    experiment = Experiment.read(tiny_experiment())
    before = {cell: cell.key("p") for cell in cells(experiment)}
    edit(fine_tune.FineTune)
    changed = {cell.name for cell, key in before.items() if cell.key("p") != key}
    assert changed == {"fine_tune:epochs=1"}
    edit(type(experiment.scenarios[0]))
    assert all(cell.key("p") != key for cell, key in before.items())


def test_the_same_row_of_another_seed(tiny_experiment):
    rows = cells(Experiment.read(tiny_experiment()))
    assert [cell.of_seed(2) for cell in rows[:6]] == rows[12:]


def test_names_for_people(tiny_experiment):
    case = replace(cases(Experiment.read(tiny_experiment()))[0], seed=4)
    assert Cell(case, oracle=0).describe().endswith("seed 4 · oracle 1")
    assert "dense" not in Cell(case, oracle=0).describe()
    assert case.lines()["pruner"] == "dense" and case.lines()["model"] == "mlp:hidden=8"


@pytest.mark.parametrize("part", ["dataset", "model", "scenario", "method"])
def test_a_cell_says_what_it_is_made_of(tiny_experiment, part):
    cell = cells(Experiment.read(tiny_experiment()))[-1]
    assert cell.settings()[part] == cell.plugins()[part].spec()
    assert len(cell.code()[part]) == 64 and cell.settings()["pruner"] is None and "pruner" not in cell.code()
