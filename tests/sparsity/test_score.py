"""Scores that are made before a request and kept as a state."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lacunar.catalog import registry
from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.core.weights import load_tensors, save_tensors
from lacunar.importance.ggn_diagonal import GgnDiagonal
from lacunar.methods.combiners.sharpness_select import SharpnessSelect
from lacunar.unlearning.problem import Problem
from tests.methods import edited

BEFORE, ANEW = "scores were made before the request", "scores of the state are of other weights"


def counted(monkeypatch, score: GgnDiagonal) -> list[object]:
    calls, original = [], type(score).of
    monkeypatch.setattr(type(score), "of", lambda self, basis: calls.append(basis) or original(self, basis))
    return calls


def kept(tmp_path, score: GgnDiagonal) -> dict[str, torch.Tensor]:
    _, seen, recipe, model = edited.world()
    return load_tensors(save_tensors(tmp_path / "state.safetensors", score.precompute(model, seen, recipe)))


def test_scores_of_a_state_are_those_of_the_problem_where_only_labels_change(tmp_path, monkeypatch):
    score, problem = GgnDiagonal(), edited.relabelled()
    state = kept(tmp_path, score)
    calls = counted(monkeypatch, score)
    wanted = problem.scores(score)
    assert len(calls) == 1
    found = replace(problem, state=state).scores(score)
    assert len(calls) == 1, "nothing was computed"
    assert named.norm(named.add(found, wanted, -1.0)) <= 1e-6 * named.norm(wanted)
    ready, asked = (SharpnessSelect()(replace(problem, state=s)) for s in (state, None))
    for a, b in zip(named.weights(ready.model).values(), named.weights(asked.model).values(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert BEFORE in ready.notes[0] and BEFORE not in asked.notes[0]


def test_labels_are_not_looked_at(tmp_path):
    _, seen, recipe, model = edited.world()
    score = GgnDiagonal()
    other = score.precompute(model, seen.labelled(seen.y.roll(1)), recipe)
    assert named.digest(other) == named.digest(score.precompute(model, seen, recipe))


def test_scores_of_other_weights_are_made_anew(tmp_path, monkeypatch):
    score, problem = GgnDiagonal(), edited.relabelled()
    state = kept(tmp_path, score)
    moved = replace(problem, model=SharpnessSelect()(problem).model, state=state)
    calls = counted(monkeypatch, score)
    found = moved.scores(score)
    assert len(calls) == 1 and ANEW in moved.log.notes[-1]
    assert named.digest(found) == named.digest(replace(moved, state=None).scores(score))
    lacking = {key: t for key, t in state.items() if not key.endswith("2.bias")}
    again = replace(problem, state=lacking)
    again.scores(score)
    assert ANEW in again.log.notes[-1]


def test_each_score_and_setting_has_its_own(tmp_path, monkeypatch):
    problem = edited.relabelled()
    state = kept(tmp_path, GgnDiagonal())
    calls = counted(monkeypatch, GgnDiagonal())
    replace(problem, state=state).scores(GgnDiagonal(probes=2))
    assert len(calls) == 1


def test_scores_that_look_at_what_is_forgotten_cannot_be_made_before():
    _, seen, recipe, model = edited.world()
    with pytest.raises(
        NotApplicable, match="saliency needs the examples to forget, which nobody knows before a request"
    ):
        registry.find("importance", "saliency").precompute(model, seen, recipe)


def test_a_problem_takes_the_state():
    clean, seen, recipe, model = edited.world()
    state = GgnDiagonal().precompute(model, seen, recipe)
    problem = Problem.of(model, seen, recipe=recipe, corrected=clean, device="cpu", state=state)
    assert BEFORE in SharpnessSelect()(problem).notes[0]
