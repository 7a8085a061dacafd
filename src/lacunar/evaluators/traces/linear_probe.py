"""Whether the features still serve another task."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.signals import accuracy
from lacunar.auditing.trial import Trial
from lacunar.core import masks, named, stats
from lacunar.core.errors import BadInput, NotApplicable, sample_of
from lacunar.core.measurement import Measure, Measurement
from lacunar.core.rng import generator_of, isolated
from lacunar.data.data_set import DataSource
from lacunar.data.examples import Examples, Source
from lacunar.training import forward
from lacunar.training.recipe import Recipe

HELD_OUT = 0.2
"""Share of the downstream training examples that choose the rate."""


@dataclass(frozen=True)
class LinearProbe(PerTrial):
    """The accuracy on another data set of a new linear head, on the features as they are or with the whole net tuned.

    The layer that makes the logits is replaced. It, or the whole net, is trained by SGD with momentum and a cosine
    rate, once for each of ``rates``; the best on held-out downstream examples is judged on the downstream test part.

    Attributes:
        downstream: the other data set; its images go through the recipe's own input preparation.
        classes: take only these of its classes.
        per_class: use only that many training examples of each class, drawn at random.
        mode: "linear_probe" leaves the body as it is, in eval mode; "full" trains all weights, in train mode, with the
            recipe's augmentation and under the mask of a pruned model.
        epochs, rates: of that training.
    """

    paper: ClassVar[str] = "Jia et al., Model Sparsity Can Simplify Machine Unlearning, NeurIPS 2023, section 5.4"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = (
        "one forward pass over the downstream set, and a linear model per rate; or a training per rate"
    )
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "probe_accuracy": Measure(
            "100 × share of downstream test examples that the new head classifies as labelled",
            "[0, 100]",
            "match",
            "%",
            plain="How well what the model has learned serves another task",
        ),
        "transfer_accuracy": Measure(
            "100 × share of downstream test examples that the tuned net classifies as labelled",
            "[0, 100]",
            "match",
            "%",
            plain="How well the model does on another task after training for it",
        ),
    }

    downstream: DataSource | None = None
    classes: tuple[int, ...] = ()
    per_class: int | None = None
    mode: Literal["linear_probe", "full"] = "linear_probe"
    epochs: int = 30
    rates: tuple[float, ...] = (0.01, 0.1, 1.0)

    def __post_init__(self) -> None:
        if not self.rates or self.epochs < 1:
            raise BadInput("a probe is trained at one rate or more for at least one epoch")

    @torch.no_grad()
    def one(self, trial: Trial) -> list[Measurement]:
        name = "probe_accuracy" if self.mode == "linear_probe" else "transfer_accuracy"
        if self.downstream is None:
            return [self.says(name, None, note="no downstream data set is given")]
        splits, rng = self.downstream.load(), generator_of(trial.seed, "linear_probe")
        parts = [*self._parts(self._chosen(splits.train), rng), self._chosen(splits.test)]
        if self.mode == "linear_probe":
            parts = [_features(trial, part) for part in parts]
        fit, held_out, test = parts
        trained = {lr: self._trained(trial, fit, lr) for lr in self.rates}
        best = max(self.rates, key=lambda lr: accuracy(trained[lr](held_out), held_out.y.cpu()))
        hits = int((trained[best](test).argmax(1) == test.y.cpu()).sum())
        rate = stats.clopper_pearson(hits, len(test))
        note = f"{len(fit)} training examples, learning rate {best:g}, the best of {len(self.rates)} on {len(held_out)}"
        return [self.says(name, 100 * rate.value, (100 * rate.low, 100 * rate.high), n=len(test), note=note)]

    def _chosen(self, source: Source) -> Source:
        labels = torch.tensor(sorted(self.classes or source.class_counts()))
        if missing := sorted(set(labels.tolist()) - set(source.class_counts())):
            raise BadInput(f"the downstream set has no class {sample_of(missing)}")
        y = source.y.cpu()
        kept = torch.isin(y, labels).nonzero().reshape(-1)
        return source.take(kept).labelled(torch.searchsorted(labels, y[kept]))

    def _parts(self, source: Source, rng: torch.Generator) -> tuple[Source, Source]:
        order = torch.randperm(len(source), generator=rng)
        y = source.y.cpu()[order]
        fit, held_out = [], []
        for label in torch.unique(y):
            own = order[y == label][: self.per_class]
            split = max(1, round(HELD_OUT * len(own)))
            held_out.append(own[:split])
            fit.append(own[split:])
        return source.take(torch.cat(fit)), source.take(torch.cat(held_out))

    def _trained(self, trial: Trial, fit: Source, lr: float) -> Callable[[Source], Tensor]:
        """What gives the logits of examples like those of ``fit``, on which it was trained."""
        classes, outcome = len(fit.class_counts()), trial.outcome
        if self.mode == "linear_probe":
            assert isinstance(fit, Examples) and isinstance(fit.x, Tensor)
            build = partial(nn.Linear, fit.x.shape[1], classes)
            recipe = Recipe(build, epochs=self.epochs, lr=lr, weight_decay=0.0, precision="float32")
            return partial(recipe.predict, recipe.fit(fit, trial.seed))
        how = {"epochs": self.epochs, "lr": lr, "schedule": "cosine", "loss": "cross_entropy", "optimizer": "sgd"}
        recipe = replace(outcome.problem.recipe, train=None, **how)  # type: ignore[arg-type]
        model, head = _with_new_head(trial, classes)
        mask = None
        if outcome.mask is not None:
            fresh = {n: m for n, m in masks.full(named.weights(model), True).items() if n.rpartition(".")[0] == head}
            mask = {**outcome.mask, **fresh}
        return partial(recipe.predict, recipe.fit(fit.to(outcome.problem.device), trial.seed, start=model, mask=mask))


def _head_of(trial: Trial) -> str:
    """The path of the linear layer that makes the logits; the last one if something comes behind it."""
    model, problem = trial.outcome.model, trial.outcome.problem
    one = trial.test.take(torch.tensor([0])).to(problem.device)
    found = forward.head_of(model, problem.recipe.prepare(one.inputs_at(torch.tensor([0]))))
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise NotApplicable("a linear probe replaces the last linear layer, and this net has none")
    return found if found is not None and found in linear else linear[-1]


def _with_new_head(trial: Trial, classes: int) -> tuple[nn.Module, str]:
    model, path = copy.deepcopy(trial.outcome.model), _head_of(trial)
    old = model.get_submodule(path)
    assert isinstance(old, nn.Linear)
    with isolated(trial.seed, "init"):
        new = nn.Linear(old.in_features, classes, old.bias is not None).to(old.weight)
    above, _, name = path.rpartition(".")
    setattr(model.get_submodule(above), name, new)
    return model, path


def _features(trial: Trial, source: Source) -> Examples:
    """What the head of the judged model takes in, as examples."""
    model, recipe = trial.outcome.model, trial.outcome.problem.recipe
    caught: list[Tensor] = []
    head = model.get_submodule(_head_of(trial))
    hook = head.register_forward_pre_hook(lambda module, args: caught.append(args[0].detach().float()))
    try:
        recipe.predict(model, source.to(trial.outcome.problem.device))
    finally:
        hook.remove()
    return Examples.of(torch.cat(caught).cpu(), source.y.cpu(), source.ids.cpu())
