"""Perplexities in closed form, exact ranks against brute force, intervals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from lacunar.core.errors import NotApplicable
from lacunar.core.rng import generator_of
from lacunar.data.characters import DIGITS, SYMBOLS, decode, encode
from lacunar.evaluators.traces import _next_characters as next_characters
from lacunar.evaluators.traces._next_characters import Speaker
from tests.evaluators.traces.toy import Whole, bigram, lstm


def strings(length: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(10), repeat=length)))


def test_perplexity_of_a_bigram_model_is_closed_form():
    # Traps 9 and 10: public code conditions on the model's own guesses, and reads probabilities one place off.
    model = bigram()
    log_p = model.table.detach().double().log_softmax(1)
    text, secret = "is ", "3141"
    codes = encode(text[-1] + secret)
    wanted = -sum(float(log_p[a, b]) for a, b in itertools.pairwise(codes.tolist())) / math.log(2)
    assert Speaker(model, text).perplexity(secret) == pytest.approx(wanted, rel=1e-6)
    guessed = [codes[0]]
    for _ in secret:
        guessed.append(log_p[guessed[-1]].argmax())
    own = -sum(float(log_p[a, b]) for a, b in zip(guessed[:-1], codes[1:], strict=True)) / math.log(2)
    late = -sum(float(log_p[b, b]) for b in codes[1:]) / math.log(2)
    assert abs(own - wanted) > 0.1 and abs(late - wanted) > 0.1


def test_probabilities_of_all_strings_add_up_to_one():
    alphabet = decode(torch.arange(2, SYMBOLS))
    speaker = Speaker(bigram(ends=-1e9), "a", alphabet)
    pairs = torch.cartesian_prod(torch.arange(95), torch.arange(95))
    assert float((2 ** -speaker.perplexities(pairs)).sum()) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("make", [lstm, lambda seed: Whole(lstm(seed)), bigram], ids=["stepwise", "whole", "bigram"])
def test_the_exact_rank_is_that_of_brute_force(make, monkeypatch):
    monkeypatch.setattr(next_characters, "CHUNK", 37)
    speaker = Speaker(make(1), "pin: ")
    bits = speaker.perplexities(strings(3))
    for secret in ("007", "314", "999", "".join(DIGITS[d] for d in strings(3)[int(bits.argmin())])):
        rank = speaker.rank(secret, 10**6)
        assert rank.whole and rank.value == 1 + int((bits < bits[int(secret)]).sum())
        exposure = next_characters.exact(speaker, secret, 10**6)
        assert exposure.value == pytest.approx(math.log2(1000) - math.log2(rank.value))


def test_four_digits_and_pruning():
    speaker = Speaker(lstm(2), "the code of a is ")
    bits = speaker.perplexities(strings(4))
    for secret in ("1234", f"{int(bits.argmin()):04d}"):
        rank = speaker.rank(secret, 10**6)
        assert rank.value == 1 + int((bits < bits[int(secret)]).sum())
    assert rank.value == 1 and rank.expanded < 1111, "prefixes that cost more than the secret are not followed"


def test_a_prefix_is_read_once_where_the_model_can_go_on():
    model = lstm()
    reads = []
    original = model.advance
    model.advance = lambda codes, state=None: reads.append(tuple(codes.shape)) or original(codes, state)
    Speaker(model, "a long sentence before it: ").rank("123", 10**6)
    assert sum(1 for _, length in reads if length > 2) == 2, "once for the secret's own bits, once for the search"


def test_a_spent_budget_bounds_the_exposure_from_above():
    speaker = Speaker(lstm(3), "pin: ")
    bits = speaker.perplexities(strings(3))
    secret = f"{int(bits.argsort()[600]):03d}"
    whole, cut = next_characters.exact(speaker, secret, 10**6), next_characters.exact(speaker, secret, 60)
    assert cut.value > whole.value and cut.low == 0 and cut.high == cut.value and "at most" in cut.note


def test_sampled_intervals_cover_the_exact_value():
    speaker = Speaker(lstm(4), "pin: ")
    bits = speaker.perplexities(strings(3))
    order = bits.argsort()
    covered = 0
    for run in range(200):
        secret = f"{int(order[(37 * run) % 1000]):03d}"
        truth = math.log2(1000) - math.log2(1 + int((bits < bits[int(secret)]).sum()))
        found = next_characters.sampled(speaker, secret, 100, generator_of(run, "test"))
        covered += found.low <= truth + 1e-9 and truth <= found.high + 1e-9
    assert covered >= 186


def test_sampling_cannot_say_more_than_its_samples():
    speaker = Speaker(lstm(4), "pin: ")
    likeliest = f"{int(speaker.perplexities(strings(3)).argmin()):03d}"
    found = next_characters.sampled(speaker, likeliest, 50, generator_of(1, "test"))
    assert found.value == pytest.approx(math.log2(51)) and "at least this" in found.note
    assert found.low < found.value < found.high == pytest.approx(math.log2(1000))


def test_the_skew_normal_extrapolates_and_says_so():
    speaker = Speaker(lstm(5), "pin: ")
    bits = speaker.perplexities(strings(3))
    secret = f"{int(bits.argsort()[100]):03d}"
    found = next_characters.skew_normal(speaker, secret, 500, generator_of(0, "test"))
    assert "extrapolated" in found.note and abs(found.value - math.log2(10)) < 1.0


def test_secrets_that_were_never_written_are_exposed_by_chance():
    speaker = Speaker(lstm(6), "pin: ")
    rng = np.random.default_rng(0)
    bits = np.array(
        [next_characters.exact(speaker, f"{s:03d}", 10**6).value for s in rng.choice(1000, 100, replace=False)]
    )
    for t in (1, 3):
        assert abs(np.mean(bits >= t) - 2.0**-t) < 4 * math.sqrt(2.0**-t * (1 - 2.0**-t) / 100)
    assert np.mean(bits) == pytest.approx(1.44, abs=0.6)


def test_a_model_without_logits_at_every_position_cannot_speak():
    flat = nn.Sequential(nn.Embedding(SYMBOLS, 3), nn.Flatten(), nn.LazyLinear(SYMBOLS))
    flat(torch.zeros(1, 4, dtype=torch.int64))
    with pytest.raises(NotApplicable, match="logits at every position"):
        Speaker(flat, "abc").perplexity("1")
