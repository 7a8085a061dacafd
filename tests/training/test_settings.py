from dataclasses import replace

import pytest
import torch.nn.functional as F
from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.training.callbacks import Callback
from lacunar.training.loop import descend
from lacunar.training.settings import SCHEDULES, Descent


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"lr": float("nan")}, "lr must be a finite number"),
        ({"weight_decay": -1.0}, "weight_decay must be a finite number >= 0"),
        ({"clip": 0.0}, "clip must be > 0"),
        ({"begin": 1.5}, r"0 <= begin <= end <= 1, got 1.5 and None"),
        ({"begin": 0.5, "end": 0.4}, r"0 <= begin <= end <= 1, got 0.5 and 0.4"),
        ({"end": 1.5}, r"0 <= begin <= end <= 1, got 0.0 and 1.5"),
        ({"begin": float("nan")}, "begin must be a finite number"),
        ({"momentum": 1.0}, "momentum must be < 1"),
        ({"warmup": 2.0}, "warmup <= 1"),
        ({"optimizer": "sdg"}, "unknown optimizer 'sdg': did you mean 'sgd'"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin'"),
        ({"precision": "fp8"}, "unknown precision"),
        ({"batchnorm": "x"}, "unknown batchnorm"),
    ],
)
def test_bad_settings(settings, sentence):
    with pytest.raises(BadInput, match=sentence):
        Descent(**settings)


def test_warmup_rises_to_the_rate_and_never_above():
    how = Descent(lr=0.2, warmup=0.25, schedule="cosine")
    rates = [how.rate(i / 100) for i in range(100)]
    assert rates[0] == 0 and max(rates) <= 0.2 and rates[24] > 0.15 and rates[99] < 0.001
    assert Descent(lr=1.0, schedule=lambda p: p / 2).rate(0.5) == 0.25


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_a_window_is_entered_at_begin_and_left_at_end(schedule):
    shape = SCHEDULES[schedule]
    whole, window = Descent(lr=0.5, schedule=schedule), Descent(lr=0.5, schedule=schedule, begin=0.2, end=0.7)
    for p in (0.0, 0.25, 0.5, 0.99):
        assert window.rate(p) == whole.rate(0.2 + (0.7 - 0.2) * p) == 0.5 * shape(0.2 + (0.7 - 0.2) * p)
        assert Descent(lr=0.5, schedule=schedule, begin=0.0, end=1.0).rate(p) == whole.rate(p)
        assert Descent(lr=0.5, schedule=schedule, begin=0.3, end=0.3).rate(p) == whole.rate(0.3)


def test_begin_alone_keeps_the_pace_and_stays_at_the_end():
    shifted, whole = Descent(schedule="cosine", begin=0.4), Descent(schedule="cosine")
    for p in (0.0, 0.3, 0.59):
        assert shifted.rate(p) == whole.rate(0.4 + p)
    assert shifted.rate(0.6) == shifted.rate(0.9) == whole.rate(1.0)
    assert replace(shifted, end=1.0).rate(0.5) == pytest.approx(whole.rate(0.7)), "with an end the window is stretched"


def test_warmup_is_passed_through_by_the_window_as_well():
    whole, late = Descent(warmup=0.5), Descent(warmup=0.5, begin=0.25, end=1.0)
    assert late.rate(0.0) == whole.rate(0.25) == 0.5 * whole.lr and late.rate(0.5) == whole.lr


class Rates(Callback):
    def __init__(self):
        self.seen = []

    def on_step(self, loop):
        self.seen.append(loop.lr)


def test_a_training_cut_in_windows_and_one_with_a_fast_clock(tiny):
    # What a shortened retraining needs: the recipe's own rates in windows, and a clock that runs ahead from r0 on.
    def loss(model, batch):
        return F.cross_entropy(model(batch.x), batch.y)

    def rates(how, model):
        seen = Rates()
        descend(model, tiny, loss, how, seed=0, callbacks=[seen])
        return seen.seen

    how = Descent(epochs=8, batch_size=6, schedule="cosine", warmup=0.125, precision="float32", lr=0.1)
    whole = rates(how, nn.Linear(4, 3))
    first = rates(replace(how, epochs=4, begin=0.0, end=0.5), nn.Linear(4, 3))
    last = rates(replace(how, epochs=4, begin=0.5, end=1.0), nn.Linear(4, 3))
    fast = rates(replace(how, epochs=2, begin=0.5, end=1.0), nn.Linear(4, 3))
    assert first + last == pytest.approx(whole) and fast == pytest.approx(whole[8::2])

    def clock(p):
        s = p * 5 / 8 if p < 4 / 5 else 0.5 + (p - 4 / 5) * 2.5
        return (1.0 if s < 0.5 else 4.0) * how.rate(s) / how.lr

    def plain(p):
        return how.rate(p) / how.lr

    warped = rates(replace(how, epochs=5, warmup=0.0, schedule=clock), nn.Linear(4, 3))
    assert warped == pytest.approx([*whole[:8], 4 * whole[8], 4 * whole[12]])
    one, two = nn.Linear(4, 3), nn.Linear(4, 3)
    two.load_state_dict(one.state_dict())
    assert rates(replace(how, warmup=0.0, schedule=plain), one) == pytest.approx(rates(how, two))
    assert named.norm(named.add(named.weights(one), named.weights(two), -1.0)) < 1e-6
