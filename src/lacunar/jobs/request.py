"""What was asked of a verb, as words and numbers: from the command line, or from the record of a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from lacunar.core.errors import BadInput
from lacunar.jobs.values import is_code

FILES = ("weights", "forget", "mask", "where", "compact")
"""The fields of a request that name files."""

CODE = {
    "model": "models",
    "data": "datasets",
    "test": "datasets",
    "tuning": "datasets",
    "method": "methods",
    "scenario": "scenarios",
}
"""The fields that may name the user's code, with the kind of plug-in that else they name; ``recipe`` is one as well."""


@dataclass(frozen=True)
class Request:
    """What was asked of a verb, as words and numbers.

    Attributes:
        model, data, test, tuning: catalog lines or import strings; without ``test`` and ``tuning``, these parts of
            ``data``.
        recipe: settings of the recipe, or the import string of one.
        weights: the file of the trained model.
        forget, id_column: the file of the ids that must go, and the column to read.
        scenario, scenario_seed: a rule that says what must go instead, and the seed of its draw.
        method, settings: what unlearns, and its settings.
        pruner, rewind: what makes the model sparse, and where weights go back to (an epoch, "init" or "none").
        finetune: settings of the training under the mask without a rewind, over those of the recipe; empty for none.
        mask: the file of a pruned model's mask.
        where: the file of a mask of the weights that may move.
        compact: the file that says which channels are cut out of the model.
        seed: of all other random choices.
        device: "auto" is CUDA where there is one.
        typed: the fields that were given explicitly, default or not; never part of a record.
    """

    model: str | None = None
    data: str | None = None
    test: str | None = None
    tuning: str | None = None
    recipe: str | dict[str, Any] = field(default_factory=dict)
    weights: str | None = None
    forget: str | None = None
    id_column: str | None = None
    scenario: str | None = None
    scenario_seed: int = 0
    method: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    pruner: str | None = None
    rewind: str = "none"
    finetune: dict[str, Any] = field(default_factory=dict)
    mask: str | None = None
    where: str | None = None
    compact: str | None = None
    seed: int = 0
    device: str = "auto"
    typed: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    def insisting(self, *names: str) -> Request:
        """The request with these fields as they are, whatever a folder has recorded."""
        return replace(self, typed=self.typed | set(names))

    def over(self, recorded: Request) -> Request:
        """This request, typed by the user, with what it leaves out taken from a folder's record.

        A list of ids replaces a recorded scenario, and the other way round.

        Raises:
            BadInput: the record names code for something that the user has not repeated.
        """
        if self.forget is not None or self.scenario is not None:
            recorded = replace(recorded, forget=None, id_column=None, scenario=None, scenario_seed=0)
        changed = self._changed()
        for name in (f.name for f in fields(self) if f.name not in changed):
            if recorded.names_code(name):
                raise BadInput(
                    f"the folder names code, --{name} {getattr(recorded, name)}, which is never taken from a folder; "
                    f"if you trust it, repeat --{name} on the command line"
                )
        return replace(recorded, **{name: getattr(self, name) for name in changed})

    def names_code(self, name: str) -> bool:
        """Whether a field names code of the user's by an import string."""
        value = getattr(self, name)
        if name == "recipe":
            return isinstance(value, str)
        return name in CODE and value is not None and is_code(CODE[name], value)

    def options(self, names: Iterable[str] | None = None) -> list[str]:
        """The words of a command line that say these fields; None for all that differ from their defaults."""
        said = sorted(self._changed()) if names is None else names
        return [word for name in said for word in _option(name, getattr(self, name))]

    def code_options(self) -> list[str]:
        """What a later command must repeat, since no folder is trusted with it: the fields that name code."""
        return self.options(name for name in (*CODE, "recipe") if self.names_code(name))

    def _changed(self) -> frozenset[str]:
        plain = type(self)()
        own = {f.name for f in fields(self) if f.name != "typed" and getattr(self, f.name) != getattr(plain, f.name)}
        return self.typed | own


def _option(name: str, value: Any) -> list[str]:
    option = "--set" if name == "settings" else f"--{name.replace('_', '-')}"
    if isinstance(value, dict):
        return [word for key, one in value.items() for word in (option, f"{key}={_word(one)}")]
    return [] if value is None else [option, str(value)]


def _word(value: Any) -> str:
    bare = isinstance(value, str) and re.fullmatch(r"(?!(true|false|null|NaN|Infinity)$)[A-Za-z_]\w*", value)
    return str(value) if bare else json.dumps(value)
