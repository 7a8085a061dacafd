"""Import strings, ``package.module:attribute``: typed by the user, never taken from a file."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from lacunar.core.errors import BadInput, unknown

_FORM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def is_import_string(text: str) -> bool:
    """Whether ``text`` has the form ``package.module:attribute``; a catalog line has ``name:setting=value``."""
    return _FORM.fullmatch(text) is not None


def imported(text: str) -> Any:
    """The object that an import string names; modules in the current directory are found first, as by ``python -m``.

    Raises:
        BadInput: a string of another form, a module that is not there or fails when it is imported, or an attribute
            that it does not have (the nearest one is named).
    """
    if not is_import_string(text):
        raise BadInput(f"{text!r} is not an import string; write package.module:attribute, e.g. mycode.nets:build")
    module_name, _, path = text.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    found: Any = _module(module_name)
    where = module_name
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise unknown(f"attribute of {where}", attribute, [n for n in dir(found) if not n.startswith("_")])
        found, where = getattr(found, attribute), f"{where}.{attribute}"
    return found


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise BadInput(f"importing {name} failed: it needs the module {error.name!r}, which is missing") from error
        raise BadInput(
            f"there is no module {name!r} in the current directory ({Path.cwd()}) or among the installed packages"
        ) from error
    except Exception as error:
        raise BadInput(f"importing {name} failed: {type(error).__name__}: {error}") from error
