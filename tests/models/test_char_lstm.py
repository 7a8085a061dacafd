"""The recurrent character model: shapes, states, settings, training."""

from __future__ import annotations

import pytest
import torch

from lacunar.catalog.registry import find, from_spec
from lacunar.core.errors import BadInput
from lacunar.data.characters import Stepwise, example_of
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe

SMALL = find("models", "char_lstm", embedding=8, hidden=16, layers=2)


def test_going_on_from_a_state_is_reading_from_the_start():
    model = Recipe(SMALL).fresh(0)
    codes = torch.randint(0, 97, (3, 10), generator=torch.Generator().manual_seed(0))
    assert isinstance(model, Stepwise)
    first, state = model.advance(codes[:, :6])
    second, after = model.advance(codes[:, 6:], state)
    assert torch.allclose(torch.cat([first, second], 1), model(codes), atol=1e-6)
    assert [part.shape for part in after] == [(3, 2, 16)] * 2
    chosen = torch.tensor([2, 0])
    again, _ = model.advance(codes[chosen, 6:], tuple(part[chosen] for part in state))
    assert torch.allclose(again, second[chosen], atol=1e-6)


def test_it_learns_a_sentence_by_heart():
    x, y = example_of("the pin is 1234", 16)
    examples = Examples.of(x.repeat(8, 1), y.repeat(8, 1))
    net = find("models", "char_lstm", embedding=16, hidden=32)
    recipe = Recipe(net, epochs=80, lr=0.03, optimizer="adam", batch_size=8, weight_decay=0.0)
    z = recipe.predict(recipe.fit(examples, 0), examples.take(torch.tensor([0])))
    assert z.shape == (1, 16, 97) and float(recipe.losses(z, y[None])) < 0.3


def test_settings_round_trip_and_do_not_follow_the_data():
    assert from_spec("models", SMALL.spec()) == SMALL
    assert SMALL.shaped(Examples.of(torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 4))) == SMALL
    with pytest.raises(BadInput, match="hidden must be at least 1"):
        find("models", "char_lstm", hidden=0)
