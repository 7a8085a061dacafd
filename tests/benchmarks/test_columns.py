"""The benchmark of Newton steps: what is compared is equal, and a model that is not trained is not timed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.speed import columns, curvature, curvature_page

from lacunar.data.examples import Examples
from tests.oracles import convex


def table(n: int = 80, d: int = 6, density: float = 1.0) -> Examples:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=g) * (torch.rand(n, d, generator=g) < density)
    return Examples.of(x, (x.sum(1) + torch.randn(n, generator=g) > 0).long())


@pytest.mark.parametrize("density", [1.0, 0.1], ids=["dense", "sparse"])
def test_the_hessian_written_out_is_that_of_the_oracle(density):
    edited, start = columns.without(table(density=density), 2)
    x = torch.from_numpy(edited.x if isinstance(edited.x, np.ndarray) else edited.x.toarray())
    theta, y = torch.from_numpy(start), torch.from_numpy(edited.y)
    gradient, wanted = convex.gradient_and_hessian(theta, x, y, 1.0, torch.zeros_like(theta))
    assert np.allclose(columns.hessian_of(edited, start), wanted.numpy(), rtol=1e-10)
    free = np.repeat(edited.free, theta.shape[1])
    assert np.allclose(edited.gradient(start).reshape(-1)[free], gradient.numpy()[free], atol=1e-9)
    assert np.linalg.norm(edited.gradient(start)) > 1e-3, "there is something to edit"


def test_rows_say_how_far_the_ways_are_apart_and_make_the_page():
    rows = columns.raced("toy", table(), 2)
    assert {row["variant"] for row in rows} >= {"conjugate gradients (ours)", "dense Hessian, inverse"}
    assert all(row["apart"] < 1e-4 and row["columns"] == 7 for row in rows)
    lines = curvature_page._raced(rows, "dense Hessian, inverse")
    assert sum("| toy | " in line for line in lines) == 3


def test_unequal_ways_and_untrained_models_are_not_timed(monkeypatch):
    # Public run times are those of an unlearner that was never fitted.
    monkeypatch.setattr(columns, "hessian_of", lambda o, t: 2 * np.eye(len(t)))
    with pytest.raises(SystemExit, match="toy: the ways do not give the same step"):
        columns.raced("toy", table(), 2)
    monkeypatch.setattr(columns, "newton", lambda o, start, goal, most: (start, 1.0))
    with pytest.raises(SystemExit, match=r"is not trained: its gradient norm is 1\.0e\+00"):
        columns.without(table(), 2)


def test_a_part_is_measured_anew_and_the_others_are_kept(tmp_path, monkeypatch):
    results = tmp_path / "curvature.jsonl"
    monkeypatch.setattr(curvature, "RESULTS", results)
    monkeypatch.setattr(curvature, "PARTS", {part: lambda part=part: [{"what": part, "n": 1}] for part in "ab"})
    old = '{"what": "conditions"}\n{"what": "conditions", "part": "b"}\n{"what": "a", "n": 0}\n{"what": "b", "n": 0}\n'
    results.write_text(old)
    rows = curvature.measured(["b"])
    assert [(r["what"], r.get("part"), r.get("n")) for r in rows] == [
        ("conditions", None, None), ("a", None, 0), ("conditions", "b", None), ("b", None, 1),
    ]  # fmt: skip
    assert "versions" in rows[2]
    with pytest.raises(SystemExit, match="no part c; there are a, b"):
        curvature.main(["c"])


def test_the_page_is_made_from_the_results():
    rows = [curvature.json.loads(line) for line in curvature.RESULTS.read_text(encoding="utf-8").splitlines()]
    assert curvature_page.page(rows) == curvature.PAGE.read_text(encoding="utf-8")


def test_ratios_are_given_for_what_was_solved_only():
    row = {"what": "solves", "damping": 1.0, "sharpest": 9.0, "examples": 3}
    rows = [
        {**row, "variant": "conjugate gradients", "products": 4, "residual": 5e-4},
        {**row, "variant": "LiSSA, all examples, best step", "products": 90, "residual": 1e-3},
        {**row, "variant": "LiSSA, batches of 128, best step", "products": 3, "residual": 0.9},
    ]
    lines = curvature_page._solves(rows)
    assert "| 22.5x |" in lines[-2] and "| not solved |" in lines[-1]
