"""Formulas as docstrings write them, in TeX, turned into a line of text that a person can read."""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Callable

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)
_SYMBOLS = {
    **{
        "sum": "∑",
        "prod": "∏",
        "nabla": "∇",
        "partial": "∂",
        "infty": "∞",
        "ell": "ℓ",
        "cup": "∪",
        "cap": "∩",
        "in": "∈",
    },
    **{
        "le": "≤",
        "ge": "≥",
        "neq": "≠",
        "approx": "≈",
        "propto": "∝",
        "sim": "~",
        "pm": "±",
        "times": "×",
        "cdot": "·",
    },
    **{"odot": "⊙", "circ": "∘", "leftarrow": "←", "to": "→", "rightarrow": "→", "mid": "|", "top": "⊤", "dots": "…"},
    **{"ldots": "…", "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "quad": " ", "setminus": "∖", "ne": "≠"},
    **{"|": "‖", "{": "{", "}": "}", ",": " ", ";": " ", " ": " ", "!": "", "%": "%"},
    **dict.fromkeys(("left", "right", "big", "Big", "bigl", "bigr", "displaystyle"), ""),
    **{word: word for word in ("min", "max", "arg", "log", "ln", "exp", "det", "sup", "inf", "lim", "Pr", "tanh")},
}
_ACCENTS = {"tilde": "\u0303", "hat": "\u0302", "bar": "\u0304"}
_UPRIGHT = ("mathrm", "text", "mathbf", "mathcal", "mathbb", "operatorname")
_RAISED = str.maketrans("0123456789+-⊤", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵀ")


def readable(tex: str) -> str:
    r"""The formula in Unicode; a command that is not known stays as it is.

    >>> readable(r"x \leftarrow x + \eta\,(G - \frac{1}{2 n} \sum_{\tilde Z} \nabla\ell)^{-1}")
    'x ← x + η (G - 1/(2 n) ∑_Z̃ ∇ℓ)⁻¹'
    """
    return re.sub(r"(?<=\S) {2,}", " ", _until_closed(deque(_TOKEN.findall(tex))))


def _until_closed(tokens: deque[str]) -> str:
    said = ""
    while tokens and (token := tokens.popleft()) != "}":
        said += _piece(token, tokens)
    return said


def _unit(tokens: deque[str]) -> str:
    """What a command or a script takes: the next group, or the next token that is no space."""
    while tokens and tokens[0].isspace():
        tokens.popleft()
    return _piece(tokens.popleft(), tokens) if tokens else ""


def _piece(token: str, tokens: deque[str]) -> str:
    rules: dict[str, Callable[[deque[str]], str]] = {"{": _until_closed, "^": _above, "_": _below}
    if token in rules:
        return rules[token](tokens)
    return _command(token, tokens) if token.startswith("\\") else token


def _command(token: str, tokens: deque[str]) -> str:
    name = token[1:]
    if name in ("frac", "tfrac", "dfrac"):
        return _fraction(tokens)
    if name == "sqrt":
        return f"√({_unit(tokens)})"
    if name in _ACCENTS:
        return unicodedata.normalize("NFC", _unit(tokens) + _ACCENTS[name])
    if name in _UPRIGHT:
        return _unit(tokens)
    return _SYMBOLS[name] if name in _SYMBOLS else _greek(name) or token


def _greek(name: str) -> str:
    size = "capital" if name[:1].isupper() else "small"
    try:
        return unicodedata.lookup(f"greek {size} letter {'lamda' if name.lower() == 'lambda' else name}")
    except KeyError:
        return ""


def _fraction(tokens: deque[str]) -> str:
    above, below = _unit(tokens), _unit(tokens)
    after = " " if tokens and tokens[0].startswith("\\") else ""
    return f"{_bound(above)}/{_bound(below)}{after}"


def _bound(text: str) -> str:
    return text if re.fullmatch(r"[^\s/+-]+", text) else f"({text})"


def _above(tokens: deque[str]) -> str:
    text = _unit(tokens)
    raised = text.translate(_RAISED)
    return raised if not set(raised) & set(text) else f"^{_script(text)}"


def _below(tokens: deque[str]) -> str:
    return f"_{_script(_unit(tokens))}"


def _script(text: str) -> str:
    plain = "".join(letter for letter in text if not unicodedata.combining(letter))
    return text if plain.isalnum() else f"({text})"
