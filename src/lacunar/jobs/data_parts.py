"""The examples that a request names, part by part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lacunar.catalog.import_strings import imported
from lacunar.core.errors import BadInput, LacunarError
from lacunar.data.data_set import DataSource, Splits
from lacunar.data.examples import Source
from lacunar.data.stream import load
from lacunar.jobs import values
from lacunar.jobs.values import Normalize
from lacunar.unlearning.scenario import Posed


@dataclass(frozen=True)
class Parts:
    """The examples that were named.

    Attributes:
        train: what training sees.
        test, held_out: what only the judge has: for utility, and as never-seen controls; None where nothing was named.
        tuning: what a method may look at, for stopping rules; None where nothing was named.
        normalize: what the data set recommends to the recipe.
    """

    train: Source
    test: Source | None = None
    held_out: Source | None = None
    tuning: Source | None = None
    normalize: Normalize | None = None

    def posed(self, posed: Posed) -> Parts:
        """The parts under a scenario: what training saw, and the others as the corrected model may be asked."""
        test, held_out, tuning = (posed.as_asked(part) for part in (self.test, self.held_out, self.tuning))
        return replace(self, train=posed.seen, test=test, held_out=held_out, tuning=tuning)


def parts(data: str, test: str | None = None, tuning: str | None = None) -> Parts:
    """The training examples ``data``, and the other parts: those that are named, else those that come along.

    A catalog line is a whole data set. An import string is a data set in any form that :func:`lacunar.data.stream.load`
    takes, a :class:`~lacunar.data.data_set.Splits`, or a function without arguments that returns one of these. The
    validation part of a data set is held out for the judge. Examples without ids of their own are numbered after the
    training examples, those of ``tuning`` after the test examples.

    Raises:
        BadInput: a name or an object that is not a data set, or one without the part that is asked for.
        NotApplicable: the files of a data set are not there.
    """
    given = _data(data)
    found = Parts(_loaded(data, given))
    if isinstance(given, Splits):
        found = Parts(given.train, given.test, given.validation, given.tuning, given.normalize)
    if test is not None:
        other = _data(test)
        found = replace(found, test=other.test if isinstance(other, Splits) else _loaded(test, other, _after(found)))
    if tuning is not None:
        found = replace(found, tuning=_tuning(tuning, _data(tuning), _after(found)))
    return found


def _after(found: Parts) -> int:
    named = (found.train, found.test, found.held_out)
    return 1 + max(int(part.ids.max()) for part in named if part is not None)


def _tuning(text: str, found: Any, first_id: int) -> Source:
    if not isinstance(found, Splits):
        return _loaded(text, found, first_id)
    if found.tuning is None:
        raise BadInput(f"{text} has no tuning part; name examples that were not trained on, or leave --tuning out")
    return found.tuning


def _loaded(text: str, found: Any, first_id: int = 0) -> Source:
    if isinstance(found, Splits):
        return found.train
    try:
        return load(found, first_id=first_id)
    except LacunarError:
        raise
    except Exception as error:
        raise BadInput(f"reading {text} failed: {type(error).__name__}: {error}") from error


def _data(text: str) -> Any:
    if not values.is_code("datasets", text):
        source = values.plugin("datasets", text)
        assert isinstance(source, DataSource)
        return source.load()
    found = imported(text)
    if not _holds_data(found):
        found = values.called(text, found)
    if isinstance(found, DataSource):
        return found.load()
    if not (_holds_data(found) or isinstance(found, Splits)):
        raise BadInput(
            f"{text} is {values.kind_of(found)}, not a data set: it must have __len__ and __getitem__ (items (x, y)), "
            "or be a pair (x, y) of arrays"
        )
    return found


def _holds_data(found: Any) -> bool:
    return isinstance(found, (Source, Splits)) or (
        not isinstance(found, type) and hasattr(found, "__getitem__") and hasattr(found, "__len__")
    )
