from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from lacunar.auditing.evaluator import Evaluator, PerTrial
from lacunar.catalog import registry
from lacunar.core import named
from lacunar.core.errors import BadInput, LacunarError, NotApplicable
from lacunar.core.measurement import Measurement
from lacunar.core.store import Store
from lacunar.lab import Record, read, run
from lacunar.lab.cell import Cell, cells
from lacunar.lab.experiment import Experiment
from lacunar.lab.plan import Plan
from lacunar.lab.pool import Here
from lacunar.lab.progress import Progress
from lacunar.lab.record import Line
from lacunar.lab.results import Results, append, latest
from lacunar.lab.runner import work
from lacunar.lab.worker import Worker
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Method
from tests.lab.test_record import RECORD

BROKEN = [True]
MOOD = [1.0]


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
class Moody(Method):
    """Leaves another model when MOOD says so."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()

    def unlearn(self, model, problem):
        return problem.move(model, {n: torch.full_like(w, MOOD[0]) for n, w in named.weights(model).items()})


@dataclass(frozen=True)
class Together(Evaluator):
    """A judge that wants all seeds."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "nothing"

    def measure(self, trials):
        seeds = str([trial.seed for trial in trials])
        return [Measurement("trials", float(len({id(t.outcome.problem) for t in trials})), note=seeds)]


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
        f"lacunar.{kind}": [EntryPoint(c.__name__.lower(), f"{__name__}:{c.__name__}", f"lacunar.{kind}") for c in own]
        for kind, own in {"methods": (Sometimes, Moody), "evaluators": (Stumbles, Together)}.items()
    }
    monkeypatch.setattr(registry, "entry_points", lambda group: entries.get(group, []))


@pytest.fixture
def cells_run(monkeypatch):
    """The cells that were run, in order."""
    seen, do = [], Worker.do

    def noting(self, task):
        if isinstance(task, Cell):
            seen.append(task)
        return do(self, task)

    monkeypatch.setattr(Worker, "do", noting)
    return seen


def records(folder: Path) -> list[Record]:
    return read(folder / "results.jsonl")


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

    def noting(store, facts, make):
        found = keep(store, facts, make)
        made.append((facts["kind"], found.made))
        return found

    monkeypatch.setattr(Store, "keep", noting)
    cells_run.clear()
    folder = run(tiny_experiment(), quiet=True, overrides=['methods=["fine_tune:epochs=1", "fine_tune:epochs=2"]'])
    assert [c.name for c in cells_run] == ["fine_tune:epochs=2"] * 3
    assert fits == [] and {kind for kind, new in made if new} == {"outcome"} and len(made) > 3
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
    assert latest(records(folder))[failed.key].status == "done"


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
    # An original, two oracles and the outcomes of four methods.
    assert len(list((tmp_path / "shared").iterdir())) == 3 + 4
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
    assert len(lines) == 3 + 6 + 6
    assert lines[0].startswith("[1/15, ") and "training" in lines[0] and lines[-1].endswith("· accuracy")
    assert os.linesep not in lines[-1]


def test_a_further_judge_runs_no_method_and_trains_nothing(tiny_experiment, cells_run, monkeypatch):
    folder = run(tiny_experiment(), quiet=True)
    before = values(folder)
    cells_run.clear()
    monkeypatch.setattr(Recipe, "fit", lambda *a, **k: pytest.fail("something was trained"))
    monkeypatch.setattr(Method, "__call__", lambda *a, **k: pytest.fail("a method was run"))
    run(folder, quiet=True, overrides=['evaluators=["accuracy", "weight_distance", "loss_gap"]'])
    assert cells_run == [] and len(records(folder)) == 18
    for key, said in values(folder).items():
        assert said[: len(before[key])] == before[key]
        assert {"weight_distance", "loss_gap"} < {name for name, _ in said}


def test_a_judge_that_wants_all_seeds_gets_them_together(tiny_experiment, third_party):
    folder = run(tiny_experiment(('["accuracy"]', '["together"]')), quiet=True)
    said = {(r.method, r.oracle): r.over_seeds for r in records(folder)}
    assert len(said) == 2 + 4 and {m.note for (m,) in said.values()} == {"[0, 1, 2]"}
    assert {m.value for (m,) in said.values()} == {3.0} and all(r.measurements == () for r in records(folder))
    run(folder, quiet=True, overrides=["seeds=[0, 1, 2, 3]"])
    assert {m.value for r in records(folder) for m in r.over_seeds} == {4.0}


def test_a_failed_seed_is_left_out_of_what_is_judged_together(tiny_experiment, third_party):
    BROKEN[0] = True
    folder = run(tiny_experiment(('["accuracy"]', '["together"]'), ("fine_tune:epochs=1", "sometimes")), quiet=True)
    assert [r.over_seeds for r in records(folder) if r.method == "sometimes"] == [()] * 3
    BROKEN[0] = False
    run(folder, quiet=True, overrides=["seeds=[0, 1]"], retry=True)
    last = sorted((r for r in latest(records(folder)).values() if r.method == "sometimes"), key=lambda r: r.seed)
    assert [[m.value for m in r.over_seeds] for r in last] == [[2.0], [2.0], []]


def test_an_edited_method_is_run_again_and_an_edited_judge_asked_again(tiny_experiment, cells_run, edit, capsys):
    folder = run(tiny_experiment(), overrides=["seeds=[0]"])
    cells_run.clear()
    capsys.readouterr()
    edit(registry.plugin_class("methods", "fine_tune"))
    run(folder, overrides=["seeds=[0]"])
    assert [cell.name for cell in cells_run] == ["fine_tune:epochs=1"]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "the source of fine_tune:epochs=1 has changed: 1 of its cells are run again"
    assert len(said) == 1 + 3 + 1 + 1 and len(records(folder)) == 6 + 1
    edit(registry.plugin_class("evaluators", "accuracy"))
    run(folder, overrides=["seeds=[0]"])
    assert len(cells_run) == 1 and len(capsys.readouterr().err.splitlines()) == 6
    assert {len(r.measurements) for r in latest(records(folder)).values()} >= {9}


def test_what_the_store_has_lost_is_made_again_and_told(tiny_experiment, cells_run):
    folder = run(tiny_experiment(), quiet=True, overrides=["seeds=[0]"])
    weights = {r.key: r.weights for r in records(folder)}
    shutil.rmtree(folder / "store")
    run(folder, quiet=True, overrides=["seeds=[0]", 'evaluators=["accuracy", "weight_distance"]'])
    again = records(folder)
    assert len(again) == 12 and all(r.weights == weights[r.key] for r in again)
    assert all({"ua", "weight_distance"} <= {m.name for m in r.measurements} for r in again)


def test_a_model_that_comes_out_otherwise_is_judged_by_all_anew(tiny_experiment, third_party):
    folder = run(tiny_experiment(("fine_tune:epochs=1", "moody")), quiet=True, overrides=["seeds=[0]"])
    shutil.rmtree(folder / "store")
    MOOD[0] += 1.0
    run(folder, quiet=True, overrides=["seeds=[0]", 'evaluators=["accuracy", "weight_distance"]'])
    last = latest(records(folder)).values()
    assert len({r.weights for r in records(folder) if r.method == "moody"}) == 2
    assert all({"ua", "weight_distance"} <= {m.name for m in r.measurements} for r in last)


def test_results_from_before_judges_had_lines_of_their_own_are_left_alone(tiny_experiment):
    folder = tiny_experiment()
    append(folder / "results.jsonl", RECORD)
    run(folder, quiet=True, overrides=["seeds=[0]"])
    assert records(folder)[0] == RECORD and len(records(folder)) == 7


class Mortal(Here):
    """A pool whose worker dies of the first cell."""

    closed = False

    def submit(self, worker, task):
        if not isinstance(task, Cell):
            return super().submit(worker, task)
        dead: Future[list[Line]] = Future()
        dead.set_exception(BrokenExecutor("gone"))
        return dead

    def close(self):
        self.closed = True


def test_a_worker_that_died_is_named_by_its_task_and_the_run_can_go_on(tiny_experiment):
    folder = tiny_experiment()
    experiment = Experiment.read(folder, ["seeds=[0]"])
    worker = Worker(experiment, Store(folder / "store"))
    plan = Plan(cells(experiment), experiment.evaluators, experiment.oracles, worker.protocol)
    pool, progress = Mortal(worker), Progress(1, quiet=True)
    with pytest.raises(LacunarError, match=r"a worker process died at .*seed 0 · oracle 1.* Run the experiment again"):
        work(pool, plan.tasks(Results()), folder / "results.jsonl", progress)
    assert pool.closed
    run(folder, quiet=True, overrides=["seeds=[0]"])
    assert len(records(folder)) == 6


def test_workers_share_the_tasks_and_find_the_same(tiny_experiment, tmp_path):
    folder = run(tiny_experiment(), quiet=True, workers=2, overrides=["seeds=[0, 1]"])
    found = records(folder)
    assert len(found) == 12 and {r.environment["hardware"]["threads"] for r in found} == {1}
    alone = run(folder, quiet=True, out=tmp_path / "alone", overrides=["seeds=[0, 1]"])
    assert values(alone) == values(folder)
