"""Names of tensors as other programs write them: with the words of wrappers in front."""

from __future__ import annotations

from collections.abc import Iterable

WRAPPERS = {
    "module": "DataParallel",
    "_orig_mod": "torch.compile",
    "state_dict": "a nested checkpoint",
    "model_state_dict": "a nested checkpoint",
}
"""Words that a wrapper puts before the names of its model, and who does."""


def plain_names(names: Iterable[str], strip: str = "") -> dict[str, str]:
    """Each name without the words of wrappers that all names begin with, by its given form.

    ``_orig_mod`` goes wherever it stands, since parts of a model can be compiled. ``strip`` is a further beginning to
    take off, of those names that have it.
    """
    plain = {name: ".".join(word for word in name.split(".") if word != "_orig_mod") for name in names}
    while len(firsts := {name.partition(".")[0] for name in plain.values()}) == 1 and firsts <= WRAPPERS.keys():
        plain = {given: name.partition(".")[2] for given, name in plain.items()}
    return {given: name.removeprefix(strip) for given, name in plain.items()}


def wrappers_in(names: Iterable[str]) -> list[str]:
    """Which of the words of :data:`WRAPPERS` are lost by :func:`plain_names`."""
    lost = [word for name, plain in plain_names(names).items() for word in name.removesuffix(plain).split(".")]
    inner = ["_orig_mod"] * any("_orig_mod" in name.split(".") for name in names)
    return [word for word in dict.fromkeys([*lost, *inner]) if word in WRAPPERS]


def remedy(path: str, names: Iterable[str], expected: Iterable[str]) -> str | None:
    """What to do when ``names`` of a file are those of a model, ``expected``, in another wrapping; None if not."""
    found, wanted = set(names), set(expected)
    if (words := wrappers_in(found)) and wanted <= set(plain_names(found).values()):
        told = " and ".join(f"{word!r}, as {WRAPPERS[word]} writes it" for word in words)
        return f"its names carry {told}: write it anew with lacunar convert {path} --out base.safetensors"
    if (words := wrappers_in(wanted)) and set(plain_names(wanted).values()) <= found:
        who = " and ".join(WRAPPERS[word] for word in words)
        return f"the model is wrapped by {who}, the file is not: give the plain model (.module, ._orig_mod)"
    heads = {name.partition(".")[0] for name in found}
    if len(heads) == 1 and wanted <= set(plain_names(found, f"{head}." if (head := heads.pop()) else "").values()):
        return (
            f"all its names begin with '{head}.': write it anew with "
            f"lacunar convert {path} --out base.safetensors --strip {head}."
        )
    return None
