from __future__ import annotations

import re

import pytest

from lacunar.core import named
from lacunar.importance.hutchinson import Hutchinson
from tests.importance.toy import world
from tests.oracles import curvature as oracle


def distance(found, exact):
    return float((named.flat(found) - exact).norm() / exact.norm())


@pytest.mark.parametrize("probes", [60, 600])
def test_it_errs_about_as_much_as_it_tells(probes):
    here, notes = world(), []
    found = here.scores(Hutchinson(probes), notes=notes)
    exact = oracle.dense_hessian(here.model, here.kept, here.recipe).diagonal()
    told = float(re.search(r"standard error (\d+)% of the norm", notes[0]).group(1)) / 100
    assert f"{probes} probes" in notes[0]
    assert 0 < distance(found, exact) < 3 * told


def test_more_probes_come_nearer():
    here = world()
    exact = oracle.dense_hessian(here.model, here.kept, here.recipe).diagonal()
    few, many = (distance(here.scores(Hutchinson(probes)), exact) for probes in (10, 1000))
    assert many < few / 3
