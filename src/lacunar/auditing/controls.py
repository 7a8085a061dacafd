"""Never-seen examples that match the forgotten ones: same classes and, where it is known, the same wrong labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lacunar.auditing.signals import class_labels
from lacunar.auditing.trial import Trial
from lacunar.core.errors import NotApplicable, sample_of
from lacunar.core.rng import generator_of
from lacunar.training import forward


@dataclass(frozen=True)
class Matched:
    """The forgotten examples that have controls, and the held-out examples that can serve.

    Attributes:
        forget: positions among the forgotten examples, ``[m]``.
        true: their true classes, ``[m]``; label: the labels they were trained with, ``[m]``.
        pool: positions among the held-out examples, by true class.
        note: what was left out and why.
    """

    forget: Tensor
    true: Tensor
    label: Tensor
    pool: dict[int, Tensor]
    note: str

    def expected(self, z: Tensor, of: Callable[[Tensor], Tensor] = lambda margins: margins) -> Tensor:
        """What a control of each forgotten example has: the mean margin over its pool, ``[m]`` float64.

        Controls of a mislabelled example are given the same wrong label.

        Args:
            z: the logits of the held-out examples.
            of: what is averaged, of the margins ``[n]``, e.g. clipped ones.
        """
        pairs, place = torch.unique(torch.stack([self.true, self.label]), dim=1, return_inverse=True)
        means = [
            of(forward.margin(z[self.pool[int(t)]], torch.full((len(self.pool[int(t)]),), int(o)))).mean()
            for t, o in pairs.T.tolist()
        ]
        return torch.stack(means)[place]

    def draw(self, seed: int) -> tuple[Tensor, Tensor]:
        """Held-out positions and the labels to judge them by, in the class mix of the forgotten examples.

        As many per forgotten example as the scarcest class allows; fewer than one each where it is scarcer than that.
        """
        counts = {t: int((self.true == t).sum()) for t in self.pool}
        rate = min(len(self.pool[t]) / n for t, n in counts.items())
        rate = float(int(rate)) if rate >= 1 else rate
        rng = generator_of(seed, "controls")
        positions, labels = [], []
        for t, n in counts.items():
            chosen = max(int(rate * n), 1)
            positions.append(self.pool[t][torch.randperm(len(self.pool[t]), generator=rng)[:chosen]])
            given = self.label[self.true == t]
            shuffled = given[torch.randperm(n, generator=rng)]
            labels.append(shuffled.repeat(-(-chosen // n))[:chosen])
        return torch.cat(positions), torch.cat(labels)


def matched(trial: Trial) -> Matched:
    """The controls of this trial's forgotten examples.

    A forgotten class has none: no control of it can have been retained, so it is compared with the oracles only.

    Raises:
        NotApplicable: no held-out examples, or none of a class that is forgotten only in part.
    """
    if trial.held_out is None:
        raise NotApplicable("controls are held-out examples, and this trial has no held-out part")
    label, true = class_labels(trial.part("forget")), true_classes(trial)
    held_out = class_labels(trial.held_out)
    vanished = torch.isin(label, torch.tensor(trial.forgotten_classes, dtype=torch.int64))
    usable = ~vanished & torch.isin(true, held_out)
    if not bool(usable.any()):
        classes = sample_of(sorted({int(t) for t in true}))
        why = "disappears, so no control of it is retained" if bool(vanished.all()) else "has no held-out example"
        raise NotApplicable(f"undefined: class {classes} {why}; compare with the oracles instead")
    where = usable.nonzero().reshape(-1)
    pool = {int(t): (held_out == t).nonzero().reshape(-1) for t in torch.unique(true[where])}
    out = len(label) - len(where)
    note = f"{out} of {len(label)} forgotten examples have no control and are left out" if out else ""
    return Matched(where, true[where], label[where], pool, note)


def true_classes(trial: Trial) -> Tensor:
    """The true class of each forgotten example: its corrected label where one is known, else its label."""
    forget, corrected = trial.part("forget"), trial.outcome.problem.corrected
    true = class_labels(forget).clone()
    if corrected is not None:
        known = forget.has(corrected.ids)
        true[forget.positions(corrected.ids.cpu()[known])] = class_labels(corrected)[known]
    return true
