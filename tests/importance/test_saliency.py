from __future__ import annotations

from lacunar.importance.saliency import Saliency
from tests.importance.toy import assert_same, stream, world


def test_it_is_the_size_of_the_gradient_of_the_summed_forget_loss():
    here = world()
    assert_same(here.scores(Saliency()), {n: g.abs() for n, g in here.forget_gradient().items()})


def test_rows_that_stay_have_no_part_in_it():
    here = world()
    alone = Saliency().scores(here.model, None, here.recipe, stream(5), forget=here.gone)
    assert_same(alone, here.scores(Saliency()), 0)
    assert_same(here.scores(Saliency(), corrected=here.gone), alone, 0)
