"""The removal benchmark on generated tables: honest baselines, a whole page."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.features import removal

from lacunar.data.data_set import Splits
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe


def table(n: int = 160, width: int = 24) -> Splits:
    g = torch.Generator().manual_seed(0)
    x = (torch.rand(n + 80, width, generator=g) < 0.3).float()
    y = ((x[:, :6].sum(1) + 0.5 * torch.randn(n + 80, generator=g)) > 1.8).long()
    return Splits(Examples.of(x[:n], y[:n]), Examples.of(x[n:], y[n:], ids=range(n, n + 80)))


@pytest.mark.parametrize("mechanism", ["output", "objective"])
def test_a_request_is_measured_against_retraining(mechanism):
    row = removal.measured(table(), [0, 7], 0, rounds=1, mechanism=mechanism, releases=2)
    assert row["columns"] == 2 and 0 < row["touched"] <= 160
    assert row["residual_edit"] < 1e-6 < row["residual_lbfgs_warm"] < 0.1 < row["residual_unchanged"] or (
        mechanism == "objective"
    )
    assert row["residual_edit"] < row["residual_unchanged"]
    assert abs(row["released"]["macro_f1"] - row["retrained"]["macro_f1"]) < 0.1
    assert set(row["seconds"]) == {"edit", "retrain, newton", "retrain, l-bfgs", "retrain warm, l-bfgs"}


def test_the_two_retrainings_agree():
    data = table()
    cold = removal._lbfgs(data.train, 1.0, None)
    warm = removal._lbfgs(data.train, 1.0, cold)
    exact = removal._weights(removal.CertifiedLinear(l2=1.0).fit(data.train, Recipe(), 0))
    assert np.abs(cold - exact).max() < 1e-3 and np.abs(warm - exact).max() < 1e-3
    assert removal._residual(data.train, exact, 1.0) < 1e-6


def test_the_budget_lasts_as_long_as_it_was_made_for():
    row = removal.spent(table(), range(22), 0, requests=20)
    assert row["requests"] == 20 and row["retrainings"] == 0
    assert max(row["residual_quantiles"]) <= row["tolerance"] and row["left"] > 0


def test_the_page_has_a_row_for_each_request(monkeypatch):
    class Source:
        def load(self):
            return table()

        def columns(self, *names):
            return tuple(range(len(names)))

    monkeypatch.setattr(removal, "find", lambda kind, name: Source())
    case = removal.Case("toy", lambda: [f"c{i}" for i in range(20)], (2,))
    found = removal.rows([case], [0], rounds=1)
    page = removal.page(found)
    assert page.count("| toy  |       2 |") == 4 and "|       20 |" in page
    with pytest.raises(SystemExit, match="Certified removal"):
        removal.main(["fly"])


def test_names_are_distinct():
    names = (removal.HERE / "names.txt").read_text().split()
    # The published list has 307 entries and is drawn "without replacement".
    assert len(names) == len(set(names)) == 268
