"""How a next-character model ranks a secret among all strings of its length: exactly, and from samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy.stats import skewnorm
from torch import Tensor, nn

from lacunar.core import stats
from lacunar.core.errors import NotApplicable
from lacunar.data.characters import DIGITS, START, State, Stepwise, encode
from lacunar.training import forward

CHUNK = 4096


class Rank(NamedTuple):
    """1 + the number of strings that are likelier than the secret; a lower bound of it unless ``whole``."""

    value: int
    whole: bool
    expanded: int


class Bits(NamedTuple):
    """Bits, an interval of them, and what they rest on."""

    value: float
    low: float | None
    high: float | None
    note: str


class _Node(NamedTuple):
    """Strings of the same length: indices ``[m, k]``, bits so far ``[m]``, bits of each next character ``[m, a]``."""

    digits: Tensor
    bits: Tensor
    following: Tensor
    state: State | None


@dataclass(frozen=True, eq=False)
class Speaker:
    """What a model says behind a prefix, in bits: teacher-forced, eval mode, over its whole alphabet.

    A model that can go on from a state (:class:`lacunar.data.characters.Stepwise`) reads each prefix once.

    Attributes:
        prefix: what stands before a secret.
        alphabet: the characters that a secret may have; strings are given as indices into it.
    """

    model: nn.Module
    prefix: str
    alphabet: str = DIGITS

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def perplexity(self, secret: str) -> float:
        r""":math:`-\sum_i \log_2 p(s_i \mid \text{prefix}, s_{<i})` of the secret's own characters, in bits.

        Raises:
            NotApplicable: the model's probabilities are not finite.
        """
        bits = float(self.perplexities(torch.tensor([[self.alphabet.index(c) for c in secret]]))[0])
        if not math.isfinite(bits):
            raise NotApplicable("the model's probabilities of a secret are zero, NaN or infinite")
        return bits

    @torch.no_grad()
    def perplexities(self, digits: Tensor) -> Tensor:
        """The same for strings ``[m, length]``, float64 ``[m]``, on the CPU."""
        parts = []
        with forward.eval_mode(self.model), torch.autocast(self.device.type, enabled=False):
            root = self._root()
            for part in torch.split(digits, CHUNK):
                own = part.to(self.device)
                bits = root.following[:, own[:, 0]][0]
                if own.shape[1] > 1:
                    z = self._read(self._codes()[own[:, :-1]], _repeated(root.state, len(own)))
                    bits = bits + self._bits(z).gather(2, own[:, 1:, None])[..., 0].sum(1)
                parts.append(bits.cpu())
        return torch.cat(parts)

    @torch.no_grad()
    def rank(self, secret: str, budget: int) -> Rank:
        """The exact rank by a search that never follows a prefix that costs more than the secret.

        Costs only grow, so such a prefix has no likelier string behind it. Depth first, in chunks.

        Args:
            budget: most prefixes to expand.
        """
        own = torch.tensor([self.alphabet.index(c) for c in secret], device=self.device)
        goal, length = self.perplexity(secret), len(secret)
        found, expanded = 0, 0
        with forward.eval_mode(self.model), torch.autocast(self.device.type, enabled=False):
            stack = [self._root()]
            while stack:
                node = stack.pop()
                if expanded + len(node.bits) > budget:
                    return Rank(1 + found, False, expanded)
                expanded += len(node.bits)
                costs = node.bits[:, None] + node.following
                likelier = costs < goal
                if node.digits.shape[1] + 1 == length:
                    # The secret is no rival of itself, whatever rounding says.
                    likelier[(node.digits == own[:-1]).all(1), own[-1]] = False
                    found += int(likelier.sum())
                    continue
                parents, digit = likelier.nonzero(as_tuple=True)
                for some, last in zip(torch.split(parents, CHUNK), torch.split(digit, CHUNK), strict=True):
                    if len(some):
                        stack.append(self._child(node, some, last, costs[some, last]))
        return Rank(1 + found, True, expanded)

    def _child(self, node: _Node, parents: Tensor, digit: Tensor, bits: Tensor) -> _Node:
        digits = torch.cat([node.digits[parents], digit[:, None]], 1)
        if isinstance(self.model, Stepwise):
            assert node.state is not None
            z, state = self.model.advance(self._codes()[digit][:, None], tuple(part[parents] for part in node.state))
            return _Node(digits, bits, self._bits(z)[:, -1], state)
        return _Node(digits, bits, self._bits(self._read(self._codes()[digits], None))[:, -1], None)

    def _root(self) -> _Node:
        start = torch.cat([torch.tensor([START]), encode(self.prefix)])[None].to(self.device)
        state: State | None = None
        if isinstance(self.model, Stepwise):
            z, state = self.model.advance(start)
        else:
            z = forward.logits(self.model, start)
        if z.ndim != 3:
            raise NotApplicable(f"exposure needs a model with logits at every position, and these are {tuple(z.shape)}")
        empty = torch.zeros(1, 0, dtype=torch.int64, device=self.device)
        return _Node(empty, torch.zeros(1, dtype=torch.float64, device=self.device), self._bits(z)[:, -1], state)

    def _read(self, codes: Tensor, state: State | None) -> Tensor:
        """Logits behind each of ``codes [m, k]`` that follow the prefix."""
        if isinstance(self.model, Stepwise):
            return self.model.advance(codes, state)[0]
        start = torch.cat([torch.tensor([START]), encode(self.prefix)]).to(self.device)
        return forward.logits(self.model, torch.cat([start.expand(len(codes), -1), codes], 1))[:, len(start) :]

    def _bits(self, z: Tensor) -> Tensor:
        return -z.double().log_softmax(-1)[..., self._codes()] / math.log(2)

    def _codes(self) -> Tensor:
        return encode(self.alphabet).to(self.device)


def exact(speaker: Speaker, secret: str, budget: int) -> Bits:
    """log2 of the number of strings minus log2 of the rank of the secret."""
    rank, total = speaker.rank(secret, budget), len(secret) * math.log2(len(speaker.alphabet))
    bits = max(total - math.log2(rank.value), 0.0)
    if rank.whole:
        return Bits(bits, None, None, f"exact, {rank.expanded} prefixes expanded")
    return Bits(bits, 0.0, bits, f"at most this: the search stopped at {rank.expanded} prefixes")


def sampled(speaker: Speaker, secret: str, samples: int, rng: torch.Generator) -> Bits:
    """Minus log2 of the share of uniform strings that are at least as likely, with an exact binomial interval."""
    total = len(secret) * math.log2(len(speaker.alphabet))
    hits = int((_draws(speaker, secret, samples, rng) <= speaker.perplexity(secret)).sum())
    rate = stats.clopper_pearson(hits, samples)
    value = min(-math.log2((1 + hits) / (samples + 1)), total)
    low, high = -math.log2(rate.high), total if rate.low == 0 else min(-math.log2(rate.low), total)
    beyond = "" if hits else "at least this: no sample was as likely; "
    return Bits(value, max(min(low, value), 0.0), max(high, value), f"{beyond}{samples} samples")


def skew_normal(speaker: Speaker, secret: str, samples: int, rng: torch.Generator) -> Bits:
    """Minus log2 of the distribution function of a skew normal fitted to sampled perplexities: it extrapolates."""
    shape = skewnorm.fit(_draws(speaker, secret, samples, rng).numpy())
    bits = -float(skewnorm.logcdf(speaker.perplexity(secret), *shape)) / math.log(2)
    return Bits(max(bits, 0.0), None, None, f"extrapolated from {samples} samples by a skew normal")


def _draws(speaker: Speaker, secret: str, samples: int, rng: torch.Generator) -> Tensor:
    return speaker.perplexities(torch.randint(0, len(speaker.alphabet), (samples, len(secret)), generator=rng))


def _repeated(state: State | None, n: int) -> State | None:
    return None if state is None else tuple(part.expand(n, *part.shape[1:]) for part in state)
