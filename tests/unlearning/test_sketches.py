"""The sketches of the house: methods of three kinds, written as briefly as the seams promise, and run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch

from lacunar.core import masks, named
from lacunar.core.masks import Mask
from lacunar.core.named import Named
from lacunar.data.examples import Examples
from lacunar.importance.magnitude import Magnitude
from lacunar.methods.ascent.grad_ascent import GradAscent
from lacunar.methods.fine_tuning.fine_tune import FineTune
from lacunar.pruners.global_magnitude import GlobalMagnitude
from lacunar.sparsity.pruner import Pruner
from lacunar.sparsity.scope import live_counts
from lacunar.sparsity.score import Score
from lacunar.training.distillation import kl
from lacunar.training.turns import Turn, turns
from lacunar.unlearning.method import Method
from tests import problems


@dataclass(frozen=True)
class Scrub(Method):
    """Away from the teacher on what goes, towards it on what stays, in turns."""

    paper: ClassVar[str] = "Kurmanji et al., Towards Unbounded Machine Unlearning, NeurIPS 2023, arXiv:2302.09880"
    needs: ClassVar[frozenset[str]] = frozenset({"retain", "forget"})

    epochs: int = 3
    max_epochs: int = 2
    lr: float = 0.01
    batch_size: int = 8
    alpha: float = 0.5
    gamma: float = 1.0

    def unlearn(self, model, problem):
        teacher = problem.teacher()
        up = Turn(problem.forget, lambda m, b: -kl(m, teacher, b), self.max_epochs)
        down = Turn(
            problem.edited,
            lambda m, b: self.alpha * kl(m, teacher, b) + self.gamma * problem.loss(m, b),
            self.epochs,
        )
        return problem.descend(model, turns(up, down), self)


@dataclass(frozen=True)
class Grow:
    """Revives the pruned weights of largest score: a share of them."""

    share: float = 0.5

    def add(self, model, scores: Named, live: Mask) -> Mask:
        dead = {name: scores[name].masked_fill(part, -torch.inf) for name, part in live.items()}
        revived = masks.top_k(dead, int(self.share * (named.count(live) - masks.count(live))))
        return {name: part | revived[name] for name, part in live.items()}


@dataclass(frozen=True)
class Unprune(Method):
    """Grow, unlearn, prune again to the same number."""

    paper: ClassVar[str] = "Xiao et al., The Right to be Forgotten in Pruning, 2025, arXiv:2507.18725"
    needs: ClassVar[frozenset[str]] = frozenset({"retain", "mask"})
    keeps_mask: ClassVar[bool] = False

    method: Method = field(default_factory=lambda: FineTune(epochs=5, lr=0.3, batch_size=8))
    pruner: Pruner = field(default_factory=lambda: GlobalMagnitude(scope="conv+linear"))
    score: Score = field(default_factory=Magnitude)
    rounds: int = 2

    def unlearn(self, model, problem):
        live = problem.mask
        counts = self.pruner.counts_of(model, live)
        for turn in range(self.rounds):
            grown = Grow().add(model, problem.scores(self.score, model), live)
            model = problem.hand_to(self.method, model, mask=grown, turn=turn)
            live = self.pruner.mask(model, counts=counts)
            named.write(model, masks.keep(named.weights(model), live))
        return problem.ends(model, mask=live, facts={"rounds": self.rounds})


@dataclass(frozen=True)
class Rum(Method):
    """The forgotten examples in strata by how much the model remembers of them, each with a method of its own."""

    paper: ClassVar[str] = "Zhao et al., What makes unlearning hard, NeurIPS 2024, arXiv:2406.01257"
    needs: ClassVar[frozenset[str]] = frozenset({"retain", "forget"})

    methods: tuple[Method, ...] = (
        GradAscent(epochs=1, lr=1e-4, batch_size=8),
        FineTune(epochs=5, lr=0.3, batch_size=8),
    )

    def unlearn(self, model, problem):
        losses = problem.recipe.losses(problem.recipe.predict(model, problem.forget), problem.forget.y.cpu())
        strata = problem.forget_ids[losses.argsort(descending=True)].tensor_split(len(self.methods))
        for turn, (method, ids) in enumerate(zip(self.methods, strata, strict=True)):
            model = problem.hand_to(method, model, forget_ids=ids, turn=turn)
        return model


def test_scrub_ascends_and_descends_in_turns():
    problem = problems.problem("vectors")
    outcome = Scrub()(problem)
    assert [set(row) >= {"loss/turn 1", "loss/turn 2"} for row in outcome.history] == [True, True, False]
    assert outcome.steps == 2 * problem.forget.steps(8) + 3 * problem.retain.steps(8)


def test_un_pruning_ends_with_as_many_weights_and_others():
    problem = problems.problem("vectors", masked=True)
    outcome = Unprune()(problem)
    wanted = GlobalMagnitude(scope="conv+linear").counts_of(problem.model, problem.mask)
    assert GlobalMagnitude(scope="conv+linear").counts_of(outcome.model, outcome.mask) == wanted
    assert live_counts(outcome.mask) != {} and outcome.facts["rounds"] == 2
    assert any(bool((outcome.mask[n] & ~problem.mask[n]).any()) for n in outcome.mask), "some weights came back"
    weights = named.weights(outcome.model)
    assert all(not bool(weights[n][~part].any()) for n, part in outcome.mask.items())


def test_strata_go_to_methods_of_their_own():
    problem = problems.problem("vectors")
    outcome = Rum()(problem)
    assert len({row["descent"] for row in outcome.history}) == 2, "each hand-over trains, and counts on"
    again = Rum()(problem)
    assert named.digest(named.weights(outcome.model)) == named.digest(named.weights(again.model))
    assert len(problem.forget) == 9, "the problem is left as it was"


def test_a_method_of_a_stratum_is_checked_like_any_other():
    from lacunar.core.errors import NotApplicable

    problem = problems.problem("vectors")
    lacking = Rum(methods=(Unprune(),))
    with pytest.raises(NotApplicable, match="mask"):
        lacking(problem)
    assert isinstance(problem.seen, Examples)
