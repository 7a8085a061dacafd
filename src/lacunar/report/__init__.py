"""Reports: one self-contained page per audit or experiment, and tables for other places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lacunar.core.errors import BadInput
from lacunar.core.files import write_json, write_text
from lacunar.report.evidence import Evidence
from lacunar.report.html import audit_page, experiment_page
from lacunar.report.table import Table

__all__ = ["Table", "save", "save_experiment"]


def save(audit: Evidence, path: Path) -> Path:
    """Write the report of an audit: ``.html`` with its ``.json`` twin beside it, or ``.json`` alone.

    Each file is replaced as a whole or not at all.

    Raises:
        BadInput: another ending.
    """
    ending = _ending(path, (".html", ".json"))
    facts = audit.as_dict()
    if ending == ".json":
        return write_json(path, facts)
    page = audit_page(audit)
    write_json(path.with_suffix(".json"), facts)
    return write_text(path, page)


def save_experiment(
    path: Path,
    title: str,
    intro: str,
    tables: Sequence[Table],
    figures: Sequence[tuple[str, str]],
    environment: Mapping[str, Any],
) -> Path:
    """Write the page of an experiment.

    Args:
        intro: what was asked and how, in paragraphs with empty lines between them.
        figures: a caption and a drawing of :mod:`lacunar.report.figures` or :func:`lacunar.report.svg.render` each.
        environment: command, versions, hardware, hashes.

    Raises:
        BadInput: an ending other than ``.html``, or a drawing that is plain text.
    """
    _ending(path, (".html",))
    return write_text(path, experiment_page(title, intro, tables, figures, environment))


def _ending(path: Path, known: Sequence[str]) -> str:
    ending = path.suffix.lower()
    if ending not in known:
        raise BadInput(f"a report cannot be written to {path.name!r}: its name must end in {' or '.join(known)}")
    return ending
