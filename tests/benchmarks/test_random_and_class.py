"""The committed page of contrasts follows from the committed results, and says no more than they carry."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.random_and_class.contrasts import HERE, against_doing_nothing, gates, l1_against_fine_tuning, page
from benchmarks.sparse_unlearning.collect import comparisons

from lacunar.lab.table import Estimate


@pytest.fixture(scope="module")
def found():
    return comparisons(HERE)


def test_the_page_is_that_of_the_results(found):
    assert (HERE / "contrasts.md").read_text() == page(found)


def test_a_penalty_without_its_dose_tests_nothing(found):
    table = l1_against_fine_tuning(found)
    words = {(row[0], row[1]): (row[-2], float(row[-1])) for row in table.rows}
    assert words["whole_class", "l1_sparse"] == ("not tested", 0.069)
    assert words["whole_class", "l1_sparse:lr=0.1,gamma=0.001"] == ("open", 6.9)


def test_controls_are_not_tested_against_doing_nothing(found):
    rows = {(row[0], row[1]): row[-1] for row in against_doing_nothing(found).rows}
    assert ("whole_class", "retrain") not in rows and rows["whole_class", "random_label:lr=0.03"] == "lower"
    assert {word for (scenario, _), word in rows.items() if scenario == "random_subset"} == {"open"}


def test_a_net_that_does_not_fit_is_named(found):
    rows = [replace(row, values=row.values | {"ra": Estimate.of([50.0] * 3)}) for row in found[0].rows]
    assert "does not fit" in gates([replace(found[0], rows=tuple(rows))]).rows[0][-1]
    assert {row[-1] for row in gates(found).rows} == {"fits"}
