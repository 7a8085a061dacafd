"""Who does what next: judging waits for the cells that it looks at, and workers stay with what they have at hand."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from lacunar.lab.cell import Case, Cell
from lacunar.lab.plan import Judging, Task, Training
from lacunar.lab.record import DONE, Line, Record


class Agenda:
    """The tasks of a plan that nobody has begun.

    Args:
        todo: what there is to do, in order.
    """

    def __init__(self, todo: Sequence[Task]) -> None:
        cells = {task for task in todo if isinstance(task, Cell)}
        self._ready: list[tuple[int, Task]] = []
        self._blocked: dict[int, tuple[Judging, set[Cell]]] = {}
        self._behind: dict[Cell, list[int]] = {cell: [] for cell in cells}
        self._broken: set[Cell] = set()
        for place, task in enumerate(todo):
            open_ = cells.intersection(task.cells) if isinstance(task, Judging) else set()
            if isinstance(task, Judging) and open_:
                self._blocked[place] = task, open_
                for cell in open_:
                    self._behind[cell].append(place)
            else:
                self._ready.append((place, task))

    def take(self, last: Case | None, busy: Sequence[Case]) -> Task | None:
        """The next task of a worker that has done one of ``last``; None when all that is left waits for others."""
        if not self._ready:
            return None
        chosen = following([task for _, task in self._ready], last, busy)
        return self._ready.pop(chosen)[1]

    def finished(self, task: Task, found: Sequence[Line]) -> list[Judging]:
        """A task has ended with these lines; the judgings that it leaves without anything to look at are dropped."""
        if not isinstance(task, Cell):
            return []
        if not any(isinstance(line, Record) and line.status == DONE for line in found):
            self._broken.add(task)
        dropped = []
        for place in self._behind.pop(task):
            judging, open_ = self._blocked[place]
            open_.discard(task)
            if open_:
                continue
            del self._blocked[place]
            sound = tuple(cell for cell in judging.cells if cell not in self._broken)
            if sound:
                # Places differ, so tasks are never compared.
                insort(self._ready, (place, Judging(sound, judging.judge)))
            else:
                dropped.append(judging)
        return dropped


def following(ready: Sequence[Task], last: Case | None, busy: Sequence[Case]) -> int:
    """The position of the next of these tasks for a worker that has done one of ``last``: trainings come first.

    A worker stays with its case, whose models and logits it has at hand; when that is done it takes the case with the
    most tasks left, and one that another worker is on only when there is no other.
    """
    if isinstance(ready[0], Training):
        return 0
    own = next((i for i, task in enumerate(ready) if task.case == last), None)
    if own is not None:
        return own
    free = [i for i, task in enumerate(ready) if task.case not in busy] or range(len(ready))
    left: dict[Case, int] = {}
    for i in free:
        left[ready[i].case] = left.get(ready[i].case, 0) + 1
    return max(free, key=lambda i: left[ready[i].case])
