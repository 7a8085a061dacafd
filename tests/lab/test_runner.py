from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest

from lacunar.auditing.evaluator import PerTrial
from lacunar.catalog import registry
from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.measurement import Measurement
from lacunar.core.store import Store
from lacunar.lab import record, run
from lacunar.lab.experiment import Experiment
from lacunar.lab.plan import Cell, cases
from lacunar.lab.worker import Bench
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Method

BROKEN = [True]


@dataclass(frozen=True)
class Sometimes(Method):
    """Fails as long as BROKEN says so."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()

    def unlearn(self, model, problem):
        if BROKEN[0]:
            raise ZeroDivisionError("broken on purpose")
        return model


@dataclass(frozen=True)
class Stumbles(PerTrial):
    """A judge that fails on random weights, and otherwise says something that is not a number."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "nothing"

    def one(self, trial):
        if trial.outcome.method.name() == "random_weights":
            raise RuntimeError("stumbled")
        if trial.outcome.method.name() == "do_nothing":
            raise NotApplicable("nothing was done")
        return [Measurement("odd", float("nan"), direction="information", note="odd")]


@pytest.fixture
def third_party(monkeypatch):
    entries = {
        "lacunar.methods": [EntryPoint("sometimes", f"{__name__}:Sometimes", "lacunar.methods")],
        "lacunar.evaluators": [EntryPoint("stumbles", f"{__name__}:Stumbles", "lacunar.evaluators")],
    }
    monkeypatch.setattr(registry, "entry_points", lambda group: entries.get(group, []))


@pytest.fixture
def cells_run(monkeypatch):
    """The cells that were run, in order."""
    seen, do = [], Bench.do

    def noting(self, task):
        if isinstance(task, Cell):
            seen.append(task)
        return do(self, task)

    monkeypatch.setattr(Bench, "do", noting)
    return seen


def records(folder: Path) -> list[record.Record]:
    return record.read(folder / "results.jsonl")


def values(folder: Path) -> dict[str, list[tuple[str, float | None]]]:
    return {r.key: [(m.name, m.value) for m in r.measurements] for r in records(folder)}


def test_every_cell_gets_a_record_and_is_not_run_again(tiny_experiment, cells_run):
    folder = tiny_experiment()
    assert run(folder, quiet=True) == folder
    found = records(folder)
    assert len(found) == len({r.key for r in found}) == len(cells_run) == 3 * (2 + 4)
    assert {r.status for r in found} == {"done"}
    for r in found:
        assert r.forgotten["count"] == 12 and len(r.forgotten["ids_sha256"]) == 64
        assert r.precision == "float32" and r.original_seconds > 0
        assert r.settings["recipe"]["epochs"] == 2 and r.settings["oracles"] == 2
        assert r.environment["versions"]["torch"] and r.environment["hardware"]["threads"] == 1
    draws = {r.seed: r.forgotten["ids_sha256"] for r in found}
    assert len(set(draws.values())) == 3
    run(folder, quiet=True)
    assert len(cells_run) == 18 and len(records(folder)) == 18
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["workers"] == 1


def test_a_scenario_may_edit_every_row(tiny_experiment):
    dense = ('["random_subset:fraction=0.2"]', '["bad_features:columns=[0]"]'), ("seeds = [0, 1, 2]", "seeds = [0]")
    found = records(run(tiny_experiment(*dense), quiet=True))
    assert found and {r.status for r in found} == {"done"} and {r.forgotten["count"] for r in found} == {60}
    for r in found:
        measured = {m.name: m for m in r.measurements}
        assert measured["ra"].value is None and "no retain examples" in measured["ra"].note
        assert measured["ua"].value is not None and measured["ta"].value is not None


def test_a_further_method_trains_no_model(tiny_experiment, cells_run, monkeypatch):
    run(tiny_experiment(), quiet=True)
    fits, made = [], []
    monkeypatch.setattr(Recipe, "fit", lambda *a, **k: fits.append(a))
    keep = Store.keep

    def noting(*given):
        found = keep(*given)
        made.append(found.made)
        return found

    monkeypatch.setattr(Store, "keep", noting)
    cells_run.clear()
    folder = run(tiny_experiment(), quiet=True, overrides=['methods=["fine_tune:epochs=1", "fine_tune:epochs=2"]'])
    assert [c.name for c in cells_run] == ["fine_tune:epochs=2"] * 3
    assert fits == [] and made and not any(made)
    assert len(records(folder)) == 21


def test_oracles_never_saw_the_forgotten_and_have_seeds_of_their_own(tiny_experiment, monkeypatch):
    fitted = []
    fit = Recipe.fit

    def noting(self, examples, seed, **more):
        fitted.append((seed, frozenset(examples.ids.tolist())))
        return fit(self, examples, seed, **more)

    monkeypatch.setattr(Recipe, "fit", noting)
    folder = run(tiny_experiment(), quiet=True, overrides=["seeds=[3]"])
    assert len({seed for seed, _ in fitted}) == len(fitted) == 1 + 2 + 1
    sizes = sorted(len(ids) for _, ids in fitted)
    assert sizes == [48, 48, 48, 60]
    assert {r.settings["scenario"]["name"] for r in records(folder)} == {"random_subset"}


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_kill_loses_nothing_and_the_rest_goes_on(tiny_experiment, cells_run, tmp_path, workers):
    folder = tiny_experiment()
    code = f"from lacunar.lab import run; run({str(folder)!r}, workers={workers}, quiet=True)"
    script = tmp_path / "script.py"
    script.write_text(f"if __name__ == '__main__':\n    {code}\n")
    with subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE) as process:
        while len(records(folder)) < 3 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    early = records(folder)
    assert 3 <= len(early) < 18, process.stderr
    before = (folder / "results.jsonl").read_text().splitlines()[: len(early)]
    time.sleep(0.5)  # workers end with their parent; what they were at may still have been written
    early = records(folder)
    run(folder, quiet=True)
    assert (folder / "results.jsonl").read_text().splitlines()[: len(before)] == before
    assert len(cells_run) == 18 - len(early)
    assert len(values(folder)) == len(records(folder)) == 18
    elsewhere = run(folder, quiet=True, out=tmp_path / "alone")
    assert values(elsewhere) == values(folder)


def test_a_failed_cell_is_shown_and_tried_again_only_on_demand(tiny_experiment, third_party, cells_run):
    folder = tiny_experiment(("fine_tune:epochs=1", "sometimes"))
    BROKEN[0] = True
    run(folder, quiet=True, overrides=["seeds=[0]"])
    (failed,) = [r for r in records(folder) if r.status == "failed"]
    assert failed.method == "sometimes" and failed.message == "ZeroDivisionError: broken on purpose"
    assert failed.settings["method"]["name"] == "sometimes"
    cells_run.clear()
    BROKEN[0] = False
    run(folder, quiet=True, overrides=["seeds=[0]"])
    assert cells_run == []
    run(folder, quiet=True, overrides=["seeds=[0]"], retry=True)
    assert [c.name for c in cells_run] == ["sometimes"]
    assert record.latest(records(folder))[failed.key].status == "done"


def test_a_method_that_does_not_apply_says_so(tiny_experiment, monkeypatch):
    monkeypatch.setattr("lacunar.methods.fine_tuning.fine_tune.FineTune.needs", frozenset({"mask"}))
    folder = run(tiny_experiment(), quiet=True, overrides=["seeds=[0]"])
    (record_,) = [r for r in records(folder) if r.method.startswith("fine_tune")]
    assert record_.status == "not applicable" and "fine_tune needs the mask of a pruned model" in record_.message


def test_a_failed_measurement_is_shown(tiny_experiment, third_party):
    folder = run(tiny_experiment(('["accuracy"]', '["stumbles", "accuracy"]')), quiet=True, overrides=["seeds=[0]"])
    said = {r.method: r.measurements[0] for r in records(folder)}
    assert said["random_weights"].note == "failed: RuntimeError: stumbled"
    assert said["do_nothing"].note == "not applicable: nothing was done"
    assert said["oracle"].value is None and said["oracle"].note == "odd (not finite: value)"
    assert all(len(r.measurements) > 1 for r in records(folder))


def test_what_cannot_work_is_said_before_anything_is_trained(tiny_experiment, monkeypatch):
    monkeypatch.setattr("lacunar.training.recipe.descend", lambda *given, **more: pytest.fail("something was trained"))
    folder = tiny_experiment(("random_subset:fraction=0.2", "whole_class:label=7"))
    with pytest.raises(BadInput, match=r"whole_class:label=7 · seed 0: no training example has label 7"):
        run(folder)
    assert sorted(p.name for p in folder.iterdir()) == ["experiment.toml"]


def test_the_store_can_be_elsewhere(tiny_experiment, tmp_path, monkeypatch):
    monkeypatch.setenv("LACUNAR_STORE", str(tmp_path / "shared"))
    folder = run(tiny_experiment(), quiet=True, overrides=["seeds=[0]"])
    assert len(list((tmp_path / "shared").iterdir())) == 3
    assert not (folder / "store").exists()


def test_oracles_of_a_pruned_model_have_its_mask(tiny_experiment, monkeypatch):
    masks = []
    fit = Recipe.fit

    def noting(self, examples, seed, *, mask=None, **more):
        masks.append(mask)
        return fit(self, examples, seed, mask=mask, **more)

    monkeypatch.setattr(Recipe, "fit", noting)
    pruned = ["seeds=[0]", 'pruners=["dense", {"name": "global_magnitude", "sparsity": 0.5, "scope": "conv+linear"}]']
    folder = run(tiny_experiment(), quiet=True, overrides=pruned)
    sparse = [m for m in masks if m is not None]
    # The original under the mask, two oracles and the method "retrain"; the dense case has as many without one.
    assert len(sparse) == len(masks) - len(sparse) == 4
    assert len({named.digest(m) for m in sparse}) == 1
    assert {r.pruner for r in records(folder)} == {"dense", "global_magnitude:sparsity=0.5,scope=conv+linear"}
    assert {r.status for r in records(folder)} == {"done"}


def test_progress_is_one_line_per_task_off_a_terminal(tiny_experiment, capsys):
    run(tiny_experiment(), overrides=["seeds=[0]"])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 + 6
    assert lines[0].startswith("[1/9, ") and "training" in lines[0]
    assert os.linesep not in lines[-1]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_forgotten_and_retained_was_trained_on_and_what_is_held_out_never(tiny_experiment, monkeypatch, seed):
    # Public code draws the split of the first training and that of the unlearning by different seeds: a tenth of what
    # it "forgets" was never seen, and validation examples were.
    seen, fit = [], Recipe.fit

    def noting(self, examples, seed, **more):
        seen.append(set(examples.ids.tolist()))
        return fit(self, examples, seed, **more)

    monkeypatch.setattr(Recipe, "fit", noting)
    experiment = Experiment.read(tiny_experiment(("seeds = [0, 1, 2]", f"seeds = [{seed}]")))
    stage = Bench(experiment, Store(tiny_experiment() / "store")).stage(cases(experiment)[0])
    problem = stage.problem
    forget, retain = (set(part.ids.tolist()) for part in (problem.forget, problem.retain))
    (trained,) = seen
    assert forget | retain == trained and not forget & retain and len(forget) == 12
    trial = stage.trial(experiment.methods[0](problem), stage.oracles)
    parts = [trained, *(set(trial.part(name).ids.tolist()) for name in ("held_out", "test"))]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 60 + 20 + 40


def test_methods_and_judges_share_no_held_out_example(tiny_experiment):
    experiment = Experiment.read(tiny_experiment())
    stage = Bench(experiment, Store(tiny_experiment() / "store")).stage(cases(experiment)[0])
    trial = stage.trial(experiment.methods[0](stage.problem), stage.oracles)
    assert stage.problem.tuning is None and len(trial.part("held_out")) == 20
    trained = set(stage.problem.retain.ids.tolist()) | set(stage.problem.forget.ids.tolist())
    parts = [trained, *(set(trial.part(name).ids.tolist()) for name in ("held_out", "test"))]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 60 + 20 + 40
