"""``lacunar metrics``: what is measured."""

from __future__ import annotations

from lacunar.cli._options import Json, Name
from lacunar.cli._show import show, show_catalog
from lacunar.cli._verb import emit, verb


@verb()
def metrics(name: Name = None, json: Json = False) -> None:
    """List what an audit measures, or describe one: formula, range, direction, needs, paper, cost."""
    from dataclasses import asdict

    from lacunar.catalog.documentation import measures

    if name is not None:
        show_catalog("evaluators", name, json=json)
    elif json:
        emit({measure: {"evaluator": maker, **asdict(meaning)} for measure, (maker, meaning) in measures().items()})
    else:
        show({measure: f"{meaning} ({maker})" for measure, (maker, meaning) in measures().items()})
