from __future__ import annotations

import pytest
import torch

from lacunar.core import named
from lacunar.importance.hessian_diagonal import HessianDiagonal
from tests.importance.toy import stream, world
from tests.oracles import curvature as oracle


@pytest.mark.parametrize(("kind", "word"), [("mlp", "Gauss-Newton"), ("gelu", "curved")])
def test_it_is_the_dense_diagonal_and_says_how_it_was_made(kind, word):
    here, notes = world(kind), []
    found = here.scores(HessianDiagonal(), notes=notes)
    exact = oracle.dense_hessian(here.model, here.kept, here.recipe).diagonal()
    assert torch.allclose(named.flat(found), exact, rtol=1e-8, atol=1e-12)
    assert len(notes) == 1 and notes[0].startswith("hessian_diagonal: ") and word in notes[0]


@pytest.mark.parametrize(("kind", "blind"), [("mlp", True), ("gelu", False)])
def test_only_in_curved_nets_does_it_see_labels(kind, blind):
    here = world(kind)
    turned = here.kept.labelled((here.kept.y + 1) % 3)
    again = HessianDiagonal().scores(here.model, turned, here.recipe, stream(5))
    assert (named.digest(again) == named.digest(here.scores(HessianDiagonal()))) is blind
