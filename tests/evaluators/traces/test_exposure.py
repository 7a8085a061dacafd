"""Exposure: perplexities in closed form, exact ranks against brute force, intervals, controls."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from lacunar.auditing.trial import Trial
from lacunar.catalog.registry import find
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.data.characters import DIGITS, SYMBOLS, decode, encode, example_of
from lacunar.data.examples import Examples
from lacunar.evaluators.traces import _next_characters
from lacunar.evaluators.traces._next_characters import Speaker
from lacunar.evaluators.traces.exposure import Exposure
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.evaluators import toy


class Bigram(nn.Module):
    """The next character depends on the last one alone: logits are a row of a table."""

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, codes):
        return self.table[codes]


class Whole(nn.Module):
    """A character LSTM that cannot go on from a state."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, codes):
        return self.inner(codes)


def bigram(seed: int = 0, ends: float = 0.0) -> Bigram:
    table = 2 * torch.randn(SYMBOLS, SYMBOLS, generator=torch.Generator().manual_seed(seed))
    table[:, :2] = ends
    return Bigram(table)


def lstm(seed: int = 0) -> nn.Module:
    net = Recipe(find("models", "char_lstm", embedding=8, hidden=12)).fresh(seed)
    with torch.no_grad():
        net.head.weight.mul_(8)  # untrained heads are too flat to prune anything
    return net


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
    monkeypatch.setattr(_next_characters, "CHUNK", 37)
    speaker = Speaker(make(1), "pin: ")
    bits = speaker.perplexities(strings(3))
    for secret in ("007", "314", "999", "".join(DIGITS[d] for d in strings(3)[int(bits.argmin())])):
        rank = speaker.rank(secret, 10**6)
        assert rank.whole and rank.value == 1 + int((bits < bits[int(secret)]).sum())
        exposure = _next_characters.exact(speaker, secret, 10**6)
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
    whole, cut = _next_characters.exact(speaker, secret, 10**6), _next_characters.exact(speaker, secret, 60)
    assert cut.value > whole.value and cut.low == 0 and cut.high == cut.value and "at most" in cut.note


def test_sampled_intervals_cover_the_exact_value():
    speaker = Speaker(lstm(4), "pin: ")
    bits = speaker.perplexities(strings(3))
    order = bits.argsort()
    covered = 0
    for run in range(200):
        secret = f"{int(order[(37 * run) % 1000]):03d}"
        truth = math.log2(1000) - math.log2(1 + int((bits < bits[int(secret)]).sum()))
        found = _next_characters.sampled(speaker, secret, 100, generator_of(run, "test"))
        covered += found.low <= truth + 1e-9 and truth <= found.high + 1e-9
    assert covered >= 186


def test_sampling_cannot_say_more_than_its_samples():
    speaker = Speaker(lstm(4), "pin: ")
    likeliest = f"{int(speaker.perplexities(strings(3)).argmin()):03d}"
    found = _next_characters.sampled(speaker, likeliest, 50, generator_of(1, "test"))
    assert found.value == pytest.approx(math.log2(51)) and "at least this" in found.note
    assert found.low < found.value < found.high == pytest.approx(math.log2(1000))


def test_the_skew_normal_extrapolates_and_says_so():
    speaker = Speaker(lstm(5), "pin: ")
    bits = speaker.perplexities(strings(3))
    secret = f"{int(bits.argsort()[100]):03d}"
    found = _next_characters.skew_normal(speaker, secret, 500, generator_of(0, "test"))
    assert "extrapolated" in found.note and abs(found.value - math.log2(10)) < 1.0


def test_secrets_that_were_never_written_are_exposed_by_chance():
    speaker = Speaker(lstm(6), "pin: ")
    rng = np.random.default_rng(0)
    bits = np.array(
        [_next_characters.exact(speaker, f"{s:03d}", 10**6).value for s in rng.choice(1000, 100, replace=False)]
    )
    for t in (1, 3):
        assert abs(np.mean(bits >= t) - 2.0**-t) < 4 * math.sqrt(2.0**-t * (1 - 2.0**-t) / 100)
    assert np.mean(bits) == pytest.approx(1.44, abs=0.6)


def corpus() -> Examples:
    made = [example_of(f"message {i % 7} says hello.", 26) for i in range(24)]
    return Examples.of(torch.stack([x for x, _ in made]), torch.stack([y for _, y in made]))


@pytest.fixture(scope="module")
def written() -> Trial:
    """A model that has read four-digit secrets eight times each, and one that has not."""
    train = corpus()
    posed = find("scenarios", "canary", template="pin {key}: {}.", secrets=2, digits=4, repeats=6).pose(
        train, generator_of(0, "scenario")
    )
    net = find("models", "char_lstm", embedding=16, hidden=48)
    recipe = Recipe(net, epochs=40, lr=0.02, optimizer="adam", batch_size=12, weight_decay=0.0, precision="float32")
    problem = Problem.of(recipe.fit(posed.seen, 0), posed.seen, posed.forget_ids, recipe, device="cpu")
    test = Examples.of(train.x[:4], train.y[:4], ids=range(100, 104))
    return Trial(DoNothing()(problem), test, oracles=(recipe.fit(problem.retain, 1),))


def test_memorized_secrets_are_exposed_and_unread_ones_are_not(written):
    judge = Exposure(template="pin {key}: {}.")
    found = {m.name: m for m in judge.one(written)}
    assert found["exposure_mean"].value > 11 and found["exposure_mean"].note == "" and found["exposure[1]"].n is None
    assert found["secret_perplexity[0]"].value < 4 and found["exposure_control"].value < 11
    oracle = {m.name: m for m in judge.one(written.oracle_trials()[0])}
    assert oracle["exposure_mean"].value < 8 and oracle["exposure_before"].value == found["exposure_before"].value
    assert not any(text in str(m) for m in found.values() for text in _secrets(written))


def _secrets(trial: Trial) -> list[str]:
    return [secret for _, secret in Exposure(template="pin {key}: {}.")._secrets(trial)]


def test_secrets_that_were_never_memorized_make_it_inconclusive(written):
    fresh = written.outcome.problem.recipe.fresh(7)
    problem = problems.parted(fresh, written.part("retain"), written.part("forget"), written.outcome.problem.recipe)
    trial = Trial(DoNothing()(problem), written.test)
    found = {m.name: m for m in Exposure(template="pin {key}: {}.", estimator="sampled", samples=200).one(trial)}
    assert "inconclusive: the original has" in found["exposure_mean"].note
    assert found["exposure[0]"].low is not None


def test_other_data_get_a_sentence(written):
    none = [m.note for m in Exposure(template="phone {}").one(written)]
    assert none == ["no forgotten text has this sentence"] * 4
    assert Exposure().one(toy.world())[0].note == none[0]
    broken = written.outcome.problem.recipe.fresh(1)
    with torch.no_grad():
        broken.head.weight.fill_(float("nan"))
    assert "NaN" in Exposure(template="pin {key}: {}.").one(written.seen_as(broken))[0].note


def test_settings_and_models_that_cannot_be():
    with pytest.raises(BadInput, match="a template has one"):
        Exposure(template="no place")
    with pytest.raises(BadInput, match="samples and budget must be"):
        Exposure(budget=0)
    flat = nn.Sequential(nn.Embedding(SYMBOLS, 3), nn.Flatten(), nn.LazyLinear(SYMBOLS))
    flat(torch.zeros(1, 4, dtype=torch.int64))
    with pytest.raises(NotApplicable, match="logits at every position"):
        Speaker(flat, "abc").perplexity("1")
