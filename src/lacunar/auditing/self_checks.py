"""Does the audit itself work? Checks whose truth is known: was the original made by this recipe, are oracles alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lacunar.auditing.comparison import Panel
from lacunar.auditing.signals import accuracy, class_labels, class_logits
from lacunar.auditing.trial import Trial
from lacunar.core import stats
from lacunar.core.errors import LacunarError
from lacunar.core.rng import generator_of
from lacunar.report.evidence import Control, Item
from lacunar.training import forward

RECIPE = "Whether the original was made by the recipe that retraining follows"
ALIKE = "Whether retrained models agree on examples that none of them saw"
SURELY = 0.001
POINTS, NATS = 2.0, 0.2
"""Differences of retained accuracy (in points) and mean loss that a recipe may make for no reason at all."""
DRAWS, FEWEST = 200, 20
TOO_OFTEN, OUTLIER = 3.0, 0.5
"""How many times alpha all oracles together, and in what share of requests a single one, may be rejected."""


def self_checks(panel: Panel, alpha: float) -> tuple[list[Item], list[Control]]:
    """Items that can only void or block a verdict, and the controls behind them; none without oracles."""
    if len(panel.oracles) < 3:
        return [], []
    found = [check for check in (_recipe(panel), _pseudo_requests(panel, alpha)) if check is not None]
    return [item for item, _ in found], [control for _, control in found]


def _recipe(panel: Panel) -> tuple[Item, Control] | None:
    """On retained examples, which all of them were trained on, the original must look like models of this recipe."""
    trial = panel.unlearned
    if not trial.outcome.problem.retain:
        return None
    original, oracles = _fit(panel.original), [_fit(oracle) for oracle in panel.oracles]
    wrong = [
        _differs(name, original[i], [oracle[i] for oracle in oracles], least)
        for i, (name, least) in enumerate((("accuracy on retained data (%)", POINTS), ("mean loss on them", NATS)))
    ]
    said = "; ".join(w for w in wrong if w)
    observed = said or f"{original[0]:.1f} %, models of this recipe {stats.mean([o[0] for o in oracles]):.1f} %"
    control = Control("recipe", "the original fits retained data as models of this recipe do", observed, not said)
    reason = f"{said}: this is not how the original was trained, so retrained models say nothing about it"
    verdict, code = ("inconclusive", "RECIPE_MISMATCH") if said else ("pass", "")
    item = Item("recipe", verdict, code, reason if said else observed, True, k=len(oracles), plain=RECIPE)
    return item, control


def _fit(trial: Trial) -> tuple[float, float]:
    """Accuracy in % (NaN where labels are no classes) and mean loss on retained examples."""
    z, y = trial.logits("retain"), trial.labels("retain")
    loss = float(trial.outcome.problem.recipe.losses(z, y).double().mean())
    classes = bool(trial.part("retain").class_counts()) and z.ndim == 2
    return (100 * accuracy(z, y) if classes else float("nan")), loss


def _differs(name: str, original: float, oracles: Sequence[float], least: float) -> str:
    centre = stats.mean(oracles)
    if not abs(original - centre) > least or stats.prediction(original, oracles).p > SURELY:
        return ""
    return f"the original has {original:.3g} {name}, models of this recipe {centre:.3g}"


def _pseudo_requests(panel: Panel, alpha: float) -> tuple[Item, Control] | None:
    """Requests drawn from held-out examples, which no oracle ever saw: on these the oracles must be alike.

    As many as the forgotten examples of each class, at most half of what there is. Leaving one oracle out of few says
    little once; over many requests the share of rejections shows whether one of them was made in another way.
    """
    try:
        margins = torch.stack([_over_class(oracle) for oracle in panel.oracles])
        labels = class_labels(panel.unlearned.part("held_out"))
    except LacunarError:
        return None
    wanted = panel.unlearned.part("forget").class_counts()
    pools = {c: (labels == c).nonzero().reshape(-1) for c in wanted}
    sizes = {c: min(n, len(pools[c]) // 2) for c, n in wanted.items()}
    if sum(sizes.values()) < FEWEST:
        return None
    rng = generator_of(panel.unlearned.seed, "pseudo requests")
    drawn = [margins[:, _drawn(pools, sizes, rng)].mean(1) for _ in range(DRAWS)]
    shares = torch.tensor([_rejected(values, alpha) for values in drawn]).double().mean(0)
    told = f"{100 * shares.mean():.1f} % of {DRAWS} requests rejected, {100 * shares.max():.0f} % for one oracle"
    ok = bool(shares.mean() <= TOO_OFTEN * alpha and shares.max() <= OUTLIER)
    control = Control("pseudo requests", f"about {100 * alpha:g} % rejected", told, ok)
    reason = f"retrained models differ among themselves on examples that none of them saw ({told})"
    verdict, code = ("pass", "") if control.ok else ("inconclusive", "CONTROL_BROKEN")
    item = Item("pseudo_requests", verdict, code, told if ok else reason, True, k=len(margins), plain=ALIKE)
    return item, control


def _over_class(trial: Trial) -> Tensor:
    """The margin of each held-out example over the mean of its class, ``[n]``."""
    y = class_labels(trial.part("held_out"))
    phi = forward.margin(class_logits(trial, "held_out"), y)
    means = {int(c): phi[y == c].mean() for c in torch.unique(y)}
    return phi - torch.stack([means[int(c)] for c in y])


def _drawn(pools: dict[int, Tensor], sizes: dict[int, int], rng: torch.Generator) -> Tensor:
    parts = [pool[torch.randperm(len(pool), generator=rng)[: sizes[c]]] for c, pool in pools.items()]
    return torch.cat(parts)


def _rejected(values: Tensor, alpha: float) -> list[bool]:
    listed = values.tolist()
    others = ((v, listed[:i] + listed[i + 1 :]) for i, v in enumerate(listed))
    return [stats.prediction(v, rest, least=2).p <= alpha for v, rest in others]
