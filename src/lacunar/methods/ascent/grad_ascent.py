"""Climb the loss of the forget set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from lacunar.core.errors import BadInput
from lacunar.data.batches import Batch
from lacunar.training.callbacks import Callback, Loop
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem


@dataclass(frozen=True)
class GradAscent(Method):
    r"""Maximise the loss on the forgotten examples: :math:`\max_\theta L(\theta; D_f)`, from :math:`\theta_o`.

    There is no retain term and no bound: too large a rate destroys the model, and a loss that stops being finite raises
    ``Diverged``. Weight decay acts on the step of the negated objective too.

    Attributes:
        clip: largest gradient norm, None for no clipping.
        stop_loss: end after the epoch in which the mean forget loss has reached this value.
        batchnorm: "train" moves running statistics towards the forget set, "frozen" leaves all buffers bit-equal.

    Departures from the paper: its variant with an l1 penalty beside the ascent is left out; ``prune_first`` makes a
    sparse model first.
    """

    paper: ClassVar[str] = "Thudi et al., Unrolling SGD, EuroS&P 2022, arXiv:2109.13398; as run in arXiv:2304.04934"
    needs: ClassVar[frozenset[str]] = frozenset({"forget"})

    epochs: int = 5
    lr: float = 1e-4
    batch_size: int = 256
    momentum: float = 0.9
    weight_decay: float = 5e-4
    clip: float | None = None
    stop_loss: float | None = None
    batchnorm: str = "train"

    def __post_init__(self) -> None:
        if self.stop_loss is not None and self.stop_loss <= 0:
            raise BadInput(f"stop_loss is a mean loss > 0, or None to go on to the end, got {self.stop_loss}")

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        def loss(model: nn.Module, batch: Batch) -> Tensor:
            return -problem.loss(model, batch)

        watch = _ForgetLoss(problem, self.stop_loss)
        return problem.descend(model, problem.forget, loss, self, callbacks=(watch,))


class _ForgetLoss(Callback):
    def __init__(self, problem: Problem, stop_loss: float | None) -> None:
        self.problem, self.stop_loss = problem, stop_loss

    def on_epoch(self, loop: Loop) -> None:
        if self.stop_loss is not None and loop.loss is not None and -loop.loss >= self.stop_loss:
            loop.stop(f"the mean forget loss reached {-loop.loss:.3f} after epoch {loop.epoch + 1}")

    def on_end(self, loop: Loop) -> None:
        if loop.loss is not None and not loop.stopped:
            self.problem.log.notes.append(f"mean forget loss over the last epoch: {-loop.loss:.3f}")
