"""Membership inference from one model's outputs: an attacker without shadow models, balanced and cross-fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from lacunar.auditing.controls import matched
from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.signals import class_labels, class_logits, features, margins
from lacunar.auditing.trial import Trial
from lacunar.core import stats
from lacunar.core.errors import NotApplicable
from lacunar.core.measurement import Measure, Measurement
from lacunar.core.rng import generator_of, seed_of
from lacunar.training import forward

FEWEST, FOLDS = 20, 5
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mia(PerTrial):
    r"""Can the forgotten examples be told from never-seen ones? The target is the oracles' value, never 1/2.

    1. Without a fit: the AUC of :math:`\phi` of the forgotten examples F against class-matched held-out controls C
       (given the same wrong labels, where F is known to be mislabelled), and the true positive rate at fixed false
       positive rates.
    2. Logistic attacker on [:math:`\phi`, entropy, modified entropy, top-two margin]: the held-out examples are halved;
       members are as many retained examples, class by class, as the first half holds; 5-fold cross-fitting, F and the
       second half are scored by the mean of the five. F never enters the fit.

    Attributes:
        false_positives: the false positive rate at which F is called "member".
    """

    paper: ClassVar[str] = (
        "Yeom et al., Privacy Risk in Machine Learning, CSF 2018, arXiv:1709.01604; modified entropy: Song and Mittal, "
        "Systematic Evaluation of Privacy Risks, USENIX Security 2021, arXiv:2003.10595"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"held_out"})
    cost: ClassVar[str] = "one forward pass over the forgotten, retained and held-out examples"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "auc_forget_vs_control": Measure(
            "P(φ of F > φ of C), ties half; DeLong interval",
            "[0, 1]",
            "match",
            plain="How well an attacker tells deleted examples from never-seen ones",
            noun="how well the forgotten examples can be told from never-seen ones",
        ),
        "tpr_at_1_percent_fpr": Measure(
            "share of F above the φ that 1 % of C exceed",
            "[0, 1]",
            "match",
            plain="Deleted examples an attacker finds when accusing 1 % of others",
        ),
        "tpr_at_0.1_percent_fpr": Measure(
            "share of F above the φ that 0.1 % of C exceed",
            "[0, 1]",
            "match",
            plain="Deleted examples an attacker finds when accusing 0.1 % of others",
        ),
        "attack_power": Measure(
            "AUC of the attacker on held-out members and non-members",
            "[0, 1]",
            "information",
            plain="Whether a trained attacker can find training examples at all",
        ),
        "attack_balanced_accuracy": Measure(
            "accuracy of the attacker on as many of both",
            "[0, 1]",
            "information",
            plain="How often a trained attacker is right about examples that it may know",
        ),
        "attack_member_share": Measure(
            "share of F the attacker calls member, of never-seen 5 %",
            "[0, 1]",
            "match",
            plain="Deleted examples that a trained attacker takes for training examples",
        ),
        "attack_auc": Measure(
            "AUC of the attacker's score, F against never-seen examples",
            "[0, 1]",
            "match",
            plain="How well a trained attacker tells deleted examples from never-seen ones",
        ),
    }

    false_positives: float = 0.05

    def one(self, trial: Trial) -> list[Measurement]:
        return [*self._by_margin(trial), *self._by_attacker(trial)]

    def _by_margin(self, trial: Trial) -> list[Measurement]:
        rates = {"tpr_at_1_percent_fpr": 0.01, "tpr_at_0.1_percent_fpr": 0.001}
        try:
            controls = matched(trial)
        except NotApplicable as why:
            return [self.says(name, None, note=str(why)) for name in ("auc_forget_vs_control", *rates)]
        inside = margins(trial, "forget")[controls.forget].numpy()
        place, labels = controls.draw(trial.seed)
        outside = forward.margin(class_logits(trial, "held_out")[place], labels).numpy()
        found = [self._auc("auc_forget_vs_control", inside, outside, controls.note)]
        for name, fpr in rates.items():
            rate = stats.tpr_at_fpr(inside, outside, fpr)
            if rate is None:
                note = f"not estimable: {len(outside)} controls, at least {round(5 / fpr)} are needed"
                found.append(self.says(name, None, n=len(inside), note=note))
            else:
                found.append(self.says(name, rate.value, rate[1:], n=len(inside), note=f"{len(outside)} controls"))
        return found

    def _by_attacker(self, trial: Trial) -> list[Measurement]:
        names = [n for n in self.MEASURES if n.startswith("attack_")]
        sets = _attack_sets(trial)
        if min(len(sets.members), len(sets.judged)) < FEWEST:
            note = f"{len(sets.members)} non-members to learn from are too few; at least {FEWEST} are needed"
            return [self.says(name, None, note=note) for name in names]
        score, scored, called = _attack(sets, seed_of(trial.seed, "attacker") % (1 << 32))
        power = self._auc("attack_power", scored[: len(sets.members)], scored[len(sets.members) :])
        assert power.low is not None and power.high is not None
        weak = "NO_POWER: the attacker cannot tell members from others, so its verdict on F says nothing"
        note = weak if power.low <= 0.5 <= power.high else ""
        told = [note] * bool(note)
        halves = "; ".join([*told, f"{len(sets.members)} members against {len(sets.others)} others"])
        level = "; ".join([*told, f"threshold from {len(sets.judged)} never-seen"])
        threshold = stats.threshold_at(score(sets.judged), self.false_positives)
        forget = score(sets.forget)
        share = stats.clopper_pearson(int((forget > threshold).sum()), len(forget))
        return [
            power,
            self.says("attack_balanced_accuracy", called, n=len(scored), note=halves),
            self.says("attack_member_share", share.value, share[1:], n=len(forget), note=level),
            self._auc("attack_auc", forget, score(sets.judged), note),
        ]

    def _auc(self, name: str, inside: Array, outside: Array, note: str = "") -> Measurement:
        words = [note] * bool(note) + [f"{len(inside)} against {len(outside)}"]
        if np.ptp(np.concatenate([inside, outside])) == 0:
            words.append("all scores are equal, so the AUC is 1/2 by convention")
        if min(len(inside), len(outside)) < 2:
            return self.says(name, stats.auc(inside, outside), n=len(inside), note="; ".join([*words, "no interval"]))
        value, low, high = stats.delong(inside, outside)
        return self.says(name, value, (low, high), n=len(inside), note="; ".join(words))


class _Sets(NamedTuple):
    members: Tensor
    others: Tensor
    judged: Tensor
    forget: Tensor


def _attack_sets(trial: Trial) -> _Sets:
    assert trial.held_out is not None
    parts = {s: (class_logits(trial, s), class_labels(trial.part(s))) for s in ("forget", "retain", "held_out")}
    rng = generator_of(trial.seed, "attack sets")
    members, others, judged = [], [], []
    for c in torch.unique(parts["retain"][1]):
        known = (parts["retain"][1] == c).nonzero().reshape(-1)
        unknown = (parts["held_out"][1] == c).nonzero().reshape(-1)
        unknown = unknown[torch.randperm(len(unknown), generator=rng)]
        n = min((len(unknown) + 1) // 2, len(known))
        members.append(known[torch.randperm(len(known), generator=rng)[:n]])
        others.append(unknown[:n])
        judged.append(unknown[n:])

    def seen(split: str, at: list[Tensor]) -> Tensor:
        z, y = parts[split]
        return features(z[torch.cat(at)], y[torch.cat(at)])

    everyone = torch.arange(len(parts["forget"][1]))
    return _Sets(
        seen("retain", members), seen("held_out", others), seen("held_out", judged), seen("forget", [everyone])
    )


def _attack(sets: _Sets, seed: int) -> tuple[Any, Array, float]:
    """The five attackers' mean score as a function, the cross-fitted scores (members first), balanced accuracy."""
    x = torch.cat([sets.members, sets.others]).numpy()
    y = np.repeat([1, 0], [len(sets.members), len(sets.others)])
    scored, fitted = np.empty(len(x)), []
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y):
        # Four features: Newton's method needs a handful of tiny solves.
        attacker = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, solver="newton-cholesky"))
        fitted.append(attacker.fit(x[train], y[train]))
        scored[test] = fitted[-1].decision_function(x[test])
    called = float(np.mean([np.mean((scored > 0)[y == 1]), np.mean((scored <= 0)[y == 0])]))
    return (lambda part: np.mean([f.decision_function(part.numpy()) for f in fitted], axis=0)), scored, called
