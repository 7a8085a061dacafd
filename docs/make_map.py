"""The picture and the tables of ``docs/map.md``, made from the tests' table of layers: ``python docs/make_map.py``.

The table of ``tests/rules/test_layers.py`` is what is enforced; the first sentence about a room is that of its package.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from lacunar.catalog.documentation import text
from lacunar.catalog.registry import KINDS
from lacunar.core.files import write_text

HERE = Path(__file__).parent
SOURCE = HERE.parent / "src" / "lacunar"
LAYERS = HERE.parent / "tests" / "rules" / "test_layers.py"
SHELVES = (*KINDS, "jobs")
DOORS = ("cli", "web")
COLOURS = {"room": "#dbe9f6", "shelf": "#fdebc8", "door": "#e3f1dc"}
WIDTH, HEIGHT, GAP, STEP, MARGIN = 124, 34, 22, 84, 24

Layers = Mapping[str, set[str]]
"""Room -> what it may import; only rooms that exist."""


def layers() -> Layers:
    """The table, of what there is."""
    tree = ast.parse(LAYERS.read_text(encoding="utf-8"))
    (found,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "TABLE"]
    table: dict[str, str] = ast.literal_eval(found)
    there = {room: names.split() for room, names in table.items() if (SOURCE / room / "__init__.py").is_file()}
    return {room: {name for name in names if name in there} for room, names in there.items()}


def sort_of(room: str) -> str:
    """Room, shelf or door."""
    return "shelf" if room in SHELVES else "door" if room in DOORS else "room"


def depths(table: Layers) -> dict[str, int]:
    """How far above the ground each room is: the longest way down."""
    found: dict[str, int] = {}
    while len(found) < len(table):
        ready = [room for room in table if room not in found and table[room] <= found.keys()]
        found |= {room: 1 + max((found[below] for below in table[room]), default=-1) for room in ready}
    return found


def arrows(table: Layers) -> list[tuple[str, str]]:
    """Who imports whom, less what follows from the rest: if a may import b and b may import c, a -> c is not drawn."""
    return [
        (room, below)
        for room in table
        for below in sorted(table[room])
        if not any(below in table[between] for between in table[room])
    ]


def links(table: Layers) -> set[tuple[str, str]]:
    """The arrows as links between neighbouring rows: one that passes a row goes through a point "room@row" in it.

    Arrows to one room share their points, so that every line through a point ends in that room.
    """
    above = depths(table)
    found = set()
    for room, below in arrows(table):
        through = [f"{below}@{depth}" for depth in range(above[room] - 1, above[below], -1)]
        found |= set(itertools.pairwise([room, *through, below]))
    return found


def places(table: Layers) -> dict[str, tuple[float, float]]:
    """The middle of each box and point: a row for each depth, the ground at the bottom, each near those below it."""
    above, joined = depths(table), links(table)
    top = max(above.values())
    rows: list[list[str]] = [[room for room in table if above[room] == depth] for depth in range(top + 1)]
    for point in sorted({end for link in joined for end in link if "@" in end}):
        rows[int(point.partition("@")[2])].append(point)
    widest = max(sum(map(_wide, row)) for row in rows)
    found: dict[str, tuple[float, float]] = {}
    for depth, row in enumerate(rows):
        under = {node: [found[below][0] for one, below in joined if one == node] or [0.0] for node in row}
        x = MARGIN + (widest - sum(map(_wide, row))) / 2
        for node in sorted(row, key=lambda node: (sum(under[node]) / len(under[node]), node)):
            found[node] = (x + _wide(node) / 2, MARGIN + HEIGHT / 2 + (top - depth) * STEP)
            x += _wide(node)
    return found


def _wide(node: str) -> int:
    return GAP if "@" in node else WIDTH + GAP


def picture(table: Layers) -> str:
    """The drawing as SVG."""
    at = places(table)
    width = max(x for x, _ in at.values()) + WIDTH / 2 + GAP / 2 + MARGIN
    height = max(y for _, y in at.values()) + HEIGHT / 2 + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" font-family="sans-serif" '
        'font-size="13" role="img" aria-label="Who may import whom">',
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
    ]
    parts += [_line(at[one], at[below], "@" in one, "@" in below) for one, below in sorted(links(table))]
    parts += [_box(room, *at[room]) for room in table]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _line(start: tuple[float, float], end: tuple[float, float], from_point: bool, to_point: bool) -> str:
    (x1, y1), (x2, y2) = start, end
    # A line through a point is upright as long as it passes boxes.
    y1, y2 = y1 + HEIGHT / 2, y2 - HEIGHT / 2
    bend = (y2 - y1) / 2
    upper, lower = (f"V{y1:g}" if from_point else ""), (f"V{y2 + HEIGHT:g}" if to_point else "")
    begin = y1 - HEIGHT / 2 if from_point else y1
    path = f"M{x1:g} {begin:g} {upper} C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g} {lower}".strip()
    return f'<path d="{path}" fill="none" stroke="#8a8a8a" stroke-width="1.2"/>'


def _box(room: str, x: float, y: float) -> str:
    return (
        f'<rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" height="{HEIGHT}" rx="5" '
        f'fill="{COLOURS[sort_of(room)]}" stroke="#555555"/>'
        f'<text x="{x:g}" y="{y + 4.5:g}" text-anchor="middle">{escape(room)}</text>'
    )


def table_of(table: Layers, sort: str) -> str:
    """Rooms, shelves or doors as a Markdown table."""
    rows = [
        f"| `{room}` | {_about(room)} | {', '.join(sorted(below)) or 'nothing'} |"
        for room, below in table.items()
        if sort_of(room) == sort
    ]
    return "\n".join([f"| {sort} | what it holds | may import |", "| --- | --- | --- |", *rows])


def _about(room: str) -> str:
    said = ast.get_docstring(ast.parse((SOURCE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    return text(type(room, (), {"__doc__": said.partition("\n\n")[0].replace("\n", " ")}))


def renewed(page: str, table: Layers) -> str:
    """The page with its tables made again; what stands outside of the marks stays."""
    for sort in COLOURS:
        mark = re.compile(rf"(<!-- made: {sort} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = mark.sub(lambda found, sort=sort: f"{found[1]}\n{table_of(table, sort)}\n\n{found[2]}", page)
    return page


def main() -> None:
    """Write the picture and renew the page."""
    table = layers()
    write_text(HERE / "map.svg", picture(table))
    write_text(HERE / "map.md", renewed((HERE / "map.md").read_text(encoding="utf-8"), table))


if __name__ == "__main__":
    main()
