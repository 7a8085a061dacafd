"""What a job has to say when it is done; doors only print it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import join
from typing import Any

from lacunar.jobs.request import Request
from lacunar.report.table import Table


@dataclass(frozen=True)
class Told:
    """What a job has to say.

    Attributes:
        facts: for a machine, as JSON values.
        tables, lines: for a person; without them, the facts.
        hint: what may be done next; a command in it runs as it stands.
        code: what the process should end with.
    """

    facts: Mapping[str, Any]
    lines: Sequence[str] = ()
    tables: Sequence[Table] = ()
    hint: str = ""
    code: int = 0


def unlearning_of(folder: Path, request: Request) -> str:
    """The hint that follows a folder with a trained model: a command that forgets something from it."""
    asked = [] if request.scenario else ["--scenario", "random_subset:fraction=0.1"]
    own = "" if request.scenario else "\nfor a list of ids of your own, --forget ids.csv instead of --scenario"
    words = ["lacunar", "unlearn", "--weights", str(folder), *request.code_options(), *asked]
    return f"next: {join([*words, '--method', 'fine_tune', '--out', f'{folder}-fine_tune'])}{own}"
