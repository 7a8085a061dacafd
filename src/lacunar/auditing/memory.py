"""What the trials of one problem share, so that nothing is computed twice, however many judges ask."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor, nn

from lacunar.data.examples import Source

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Memory:
    """Tensors read off models, by model, examples and what was read; and what was made for judges, by name."""

    _read: dict[tuple[int, int, Hashable], tuple[nn.Module, Source, Tensor]] = field(default_factory=dict, repr=False)
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def known(self, model: nn.Module, examples: Source, what: Hashable) -> Tensor | None:
        """What was read off the model on these examples, if it was."""
        found = self._read.get((id(model), id(examples), what))
        return None if found is None else found[2]

    def read(self, model: nn.Module, examples: Source, what: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """The same, read now if it was not."""
        found = self.known(model, examples, what)
        if found is None:
            found = make()
            # Model and examples are kept beside it, so that no other object can take over their id.
            self._read[id(model), id(examples), what] = (model, examples, found)
        return found

    def made(self, name: Hashable, make: Callable[[], T]) -> T:
        """What was made under this name, made now if it was not."""
        if name not in self._made:
            self._made[name] = make()
        found: T = self._made[name]
        return found

    def drop(self, model: nn.Module) -> None:
        """Keep nothing that was read off this model."""
        for key in [key for key in self._read if key[0] == id(model)]:
            del self._read[key]
