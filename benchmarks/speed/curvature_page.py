"""The page of curvature.jsonl."""

from __future__ import annotations

from typing import Any

from benchmarks import timing

RTOL = 1e-3
"""Relative residual to which all solvers are taken."""

Rows = list[dict[str, Any]]

NOTES = {
    "linear": (
        "The loop of one is the plainest there is: a forward, an `autograd.grad` and one fused square and sum for",
        "each example. How slow a loop is depends on how it is written (another one, elsewhere, took 10.7 ms per",
        "example of this net, 25 times as long), so the number to go by is the cost in gradients. Ours costs something",
        "before the first example, about 3 ms here: checks at the door, and which layers are factors. That is why the",
        "net stands here with few and with many examples.",
        "",
    ),
    "columns": (
        "The gradient is that of the data without some columns, at the weights that were trained with them: the step",
        "is the edit, the same to 1e-4 in all three ways. Conjugate gradients pay where the Hessian is large, not",
        "where it is small (Adult has 105 columns).",
        "",
    ),
}


def page(rows: Rows) -> str:
    """The results as Markdown."""
    parts = [
        "# Curvature: cost of one pass, and of a solve",
        "",
        "One thread, processor seconds; ratios within interleaved rounds: median (range). What is compared was",
        "first checked to be equal. Made from curvature.jsonl by `python -m benchmarks.speed.curvature tables`.",
        "",
    ]
    for what, baseline, title in (
        ("squares", "loop of one", "Sum of squared per-example gradients (empirical Fisher diagonal): convolutions"),
        ("linear", "loop of one", "The same: Linear layers, in closed form"),
        ("diagonals", "one gradient", "Gauss-Newton and Hessian"),
        ("influence", "published, loop of one", "Influence of 256 examples"),
        ("columns", "dense Hessian, inverse", "A Newton step of logistic regression"),
    ):
        found = [row for row in rows if row["what"] == what]
        parts += [f"## {title}", "", *NOTES.get(what, ()), *_raced(found, baseline), ""]
    parts += ["## Error of diagonal estimates", "", *_estimates([r for r in rows if r["what"] == "estimates"]), ""]
    parts += ["## Products of a solve", "", *_solves([r for r in rows if r["what"] == "solves"]), ""]
    return "\n".join(parts)


def _raced(rows: Rows, baseline: str) -> list[str]:
    lines = [
        f"| case | way | ms per example | times faster than: {baseline} | in gradients |",
        "| --- | --- | --- | --- | --- |",
    ]
    for case in dict.fromkeys(row["case"] for row in rows):
        part = [row for row in rows if row["case"] == case]
        names = sorted({row["variant"] for row in part})
        for name in names:
            cost = timing.median(part, name) / part[0]["examples"] * 1e3
            floor = timing.ratio(part, name, "one gradient") if "one gradient" in names else ""
            lines.append(f"| {case} | {name} | {cost:.3g} | {timing.ratio(part, baseline, name)} | {floor} |")
    if rows and "cosine" in rows[0]:
        lines += ["", f"Cosine of the published result with the exact one: {rows[0]['cosine']:.3f}."]
    return lines


def _estimates(rows: Rows) -> list[str]:
    head = f"Digits MLP with {rows[0]['weights']} weights, {rows[0]['examples']} examples, against the exact diagonal."
    lines = [head, "", "| estimate | relative l2 error | overlap of the top 10 % |", "| --- | --- | --- |"]
    return lines + [f"| {row['variant']} | {row['error']:.2f} | {row['overlap']:.2f} |" for row in rows]


def _solves(rows: Rows) -> list[str]:
    head = (
        f"Gauss-Newton matrix of the same net on all {rows[0]['examples']} examples, largest eigenvalue "
        f"{rows[0]['sharpest']:.0f}; the damping is per example, and a product goes over all examples. LiSSA has its "
        "best step, known from the largest eigenvalue; on batches it stops far from the solution."
    )
    columns = "| damping | solver | products | of conjugate gradients | relative residual |"
    lines = [head, "", columns, "| --- | --- | --- | --- | --- |"]
    least = {r["damping"]: r["products"] for r in rows if r["variant"] == "conjugate gradients"}
    for r in rows:
        times = f"{r['products'] / least[r['damping']]:.1f}x" if r["residual"] <= 1.1 * RTOL else "not solved"
        lines.append(f"| {r['damping']:g} | {r['variant']} | {r['products']} | {times} | {r['residual']:.1e} |")
    return lines
