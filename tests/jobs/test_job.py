"""How a job is carried out in a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from lacunar.core.errors import BadInput, Diverged
from lacunar.jobs import run_folder
from lacunar.jobs.job import Job, may_perform, perform
from lacunar.jobs.request import Request
from lacunar.jobs.told import Told


@dataclass
class Counting(Job[int]):
    """Writes a number, and notes what was called."""

    error: Exception | None = None
    seed: int = 0
    called: list[str] = field(default_factory=list)

    result: ClassVar[str] = "model.safetensors"
    title: ClassVar[str] = "counting"
    notes: ClassVar[tuple[str, ...]] = ("one to know",)

    def record(self) -> dict[str, Any]:
        return run_folder.record(Request(seed=self.seed), {})

    def do(self, watch) -> int:
        self.called.append(f"do {len(watch.callbacks)}")
        watch.checkpoints.save(0, {"w": torch.zeros(1)}, {})
        if self.error is not None:
            raise self.error
        return 3

    def save(self, folder: Path, made: int) -> None:
        self.called.append("save")
        (folder / self.result).write_text(str(made))

    def tell(self, folder: Path) -> Told:
        return Told({"made": int((folder / self.result).read_text())})


def test_done_saved_told_once(tmp_path):
    job, said = Counting(), []
    for _ in range(2):
        assert perform(job, tmp_path / "run", say=said.append).facts == {"made": 3}
    assert job.called == ["do 1", "save"] and said == ["note: one to know"] * 2
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["model.safetensors", "request.json"]


def test_quietly_it_is_neither_told_nor_shown(tmp_path, capsys):
    job = Counting()
    perform(job, tmp_path / "run")
    assert job.called == ["do 0", "save"] and capsys.readouterr() == ("", "")


def test_a_job_that_diverged_leaves_nothing_and_one_that_failed_its_checkpoints(tmp_path):
    for name, error in (("diverged", Diverged("loss")), ("failed", OSError("disk full"))):
        with pytest.raises(type(error)):
            perform(Counting(error), tmp_path / name)
    assert not (tmp_path / "diverged").exists()
    assert sorted(path.name for path in (tmp_path / "failed").iterdir()) == ["checkpoints", "request.json"]
    assert perform(Counting(), tmp_path / "failed").facts == {"made": 3}
    assert not (tmp_path / "failed/checkpoints").exists()


def test_another_job_does_not_take_its_place_unless_it_must(tmp_path):
    perform(Counting(), tmp_path / "run")
    for check in (perform, may_perform):
        with pytest.raises(BadInput, match="holds no run of this request"):
            check(Counting(seed=1), tmp_path / "run")
    may_perform(Counting(seed=1), tmp_path / "run", force=True)
    assert perform(Counting(seed=1), tmp_path / "run", force=True).facts == {"made": 3}


def test_what_a_killed_job_had_checkpointed_is_swept_when_it_is_finished(tmp_path):
    perform(Counting(), tmp_path / "run")
    (tmp_path / "run/checkpoints").mkdir()
    for name in ("descent-000.safetensors", ".descent-001.safetensors.abcd1234.tmp"):
        (tmp_path / "run/checkpoints" / name).touch()
    perform(Counting(), tmp_path / "run")
    assert not (tmp_path / "run/checkpoints").exists()
