"""``report``: tables and a page from the results of an experiment."""

from __future__ import annotations

from lacunar.jobs.told import Told
from lacunar.lab.pages import write


def perform(folder: str) -> Told:
    """Write the tables and the page of an experiment beside its results.

    Raises:
        BadInput: there are no results.
    """
    written = [str(path) for path in write(folder)]
    return Told({"written": written}, written)
