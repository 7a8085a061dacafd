"""The pages of methods and metrics, made from the catalog: ``python docs/make_reference.py``, or ``make docs``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lacunar.catalog import documentation
from lacunar.catalog.needs import NEEDS
from lacunar.core.files import write_text
from lacunar.report.text import DIRECTION_WORDS
from lacunar.training.settings import Descent

HERE = Path(__file__).parent
FOLDERS = {"methods": "methods", "evaluators": "metrics"}
MADE = "<!-- Made by docs/make_reference.py from the docstrings; `make docs` makes it again. -->"
_OF_DESCENT = documentation.explained(documentation.text(Descent))


def pages() -> dict[str, str]:
    """All pages, by their path below ``docs``."""
    found = {}
    for kind, folder in FOLDERS.items():
        families = documentation.families(kind)
        index = {"methods": methods_index, "evaluators": metrics_index}[kind]
        found[f"{folder}/README.md"] = index(families)
        for names in families.values():
            found |= {f"{folder}/{name}.md": page_of(kind, name) for name in names}
    return found


def methods_index(families: Mapping[str, Mapping[str, str]]) -> str:
    """All methods by family."""
    parts = ["# Methods", MADE, "`lacunar methods NAME` prints the same."]
    for family, names in families.items():
        rows = [
            (f"[{name}]({name}.md)", said, ", ".join(documentation.page("methods", name)["needs"]))
            for name, said in names.items()
        ]
        parts += [f"## {_heading(family)}", _table(("method", "what it does", "needs"), rows)]
    return _joined(parts)


def metrics_index(families: Mapping[str, Mapping[str, str]]) -> str:
    """All evaluators by family, each with what it measures."""
    parts = ["# Metrics", MADE, "`lacunar metrics NAME` prints the same, for a measure or for an evaluator."]
    for family, names in families.items():
        rows = [
            (
                f"`{measure}`",
                meaning["plain"],
                f"[{name}]({name}.md)",
                meaning["range"],
                _wanted(meaning),
            )
            for name in names
            for measure, meaning in documentation.page("evaluators", name)["measures"].items()
        ]
        parts += [f"## {_heading(family)}", _table(("measure", "in plain words", "evaluator", "range", "wanted"), rows)]
    return _joined(parts)


def page_of(kind: str, name: str) -> str:
    """The page of one plug-in."""
    found = documentation.page(kind, name)
    facts = {"Family": _heading(found.get("family", "")), "Needs": _needs(found["needs"])}
    facts |= {what.capitalize(): found[what] for what in ("paper", "cost") if what in found}
    parts = [f"# {name}", MADE, _safe(documentation.without_settings(found["about"]))]
    parts.append("\n".join(f"- {what}: {said}" for what, said in facts.items()))
    if "measures" in found:
        parts += ["## Measures", _measures(found["measures"])]
    return _joined([*parts, "## Settings", _settings(found["settings"])])


def _needs(found: Iterable[str]) -> str:
    return "; ".join(f"`{need}`: {NEEDS[need].words}" for need in found) or "nothing"


def _settings(found: Mapping[str, Mapping[str, Any]]) -> str:
    if not found:
        return "None."
    rows = [
        (f"`{name}`", f"`{told['default']}`", _type(told["type"]), told["about"] or _OF_DESCENT.get(name, ""))
        for name, told in found.items()
    ]
    return _table(("setting", "default", "type", "what it is"), rows)


def _measures(found: Mapping[str, Mapping[str, str]]) -> str:
    rows = [
        (f"`{name}`", told["plain"], told["formula"], told["range"], told["unit"], _wanted(told))
        for name, told in found.items()
    ]
    return _table(("measure", "in plain words", "formula", "range", "unit", "wanted"), rows)


def _type(hint: str) -> str:
    """A type hint in words.

    >>> _type("Literal['run', 'epoch'] | None"), _type("Method")
    ("'run' or 'epoch' or None", 'Method')
    """
    words = re.sub(r"Literal\[([^\]]*)\]", lambda listed: " or ".join(listed[1].split(", ")), hint)
    return " or ".join(part.strip() for part in words.split("|"))


def _wanted(meaning: Mapping[str, str]) -> str:
    return DIRECTION_WORDS[meaning["direction"]]


def _heading(family: str) -> str:
    return family.replace("_", " ").capitalize() or "Of no family"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(heads), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(_safe(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _safe(text: str) -> str:
    """The text with its underscores escaped where Markdown could take them for emphasis: not in words, not in code.

    >>> print(_safe("∑_(D_f) of `_x_` and x_i"))
    ∑\\_(D_f) of `_x_` and x_i
    """
    return re.sub(r"`[^`]*`|^    .*$|(?<![^\W_])_|_(?![^\W_])", _escaped, text, flags=re.MULTILINE)


def _escaped(found: re.Match[str]) -> str:
    return "\\_" if found[0] == "_" else found[0]


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write all pages, and remove those of plug-ins that are gone."""
    made = pages()
    for folder in FOLDERS.values():
        for old in (HERE / folder).glob("*.md"):
            if f"{folder}/{old.name}" not in made:
                old.unlink()
    for path, text in made.items():
        write_text(HERE / path, text)


if __name__ == "__main__":
    main()
