"""What every verb shares: how a request is assembled, how errors are told, and what the exit codes are."""

from __future__ import annotations

import inspect
import json
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

import typer

from lacunar.cli._options import REQUEST, Debug, Quiet
from lacunar.core.errors import BadInput, Diverged, LacunarError, NotApplicable

if TYPE_CHECKING:
    from lacunar.jobs.request import Request

OK, BUG, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

_STANDARD_OUTPUT: ContextVar[TextIO] = ContextVar("standard output", default=sys.stdout)
_NAMED_ONLY = inspect.Parameter.KEYWORD_ONLY


def verb(*asked: str) -> Callable[[Callable[..., int | None]], Callable[..., None]]:
    """Make a function a verb of the command line.

    The function gets its parameter ``request`` from the options ``asked``; ``--debug`` is added, and ``--quiet`` for a
    function that has nothing to silence. What it returns is the exit code.
    """

    def decorate(function: Callable[..., int | None]) -> Callable[..., None]:
        # The type of `request` is heavy to import and no option, so its name is looked up as something light.
        given = inspect.signature(function, locals={"Request": object}, eval_str=True).parameters
        own = [p for name, p in given.items() if name != "request"]
        more = [inspect.Parameter(n, _NAMED_ONLY, default=None, annotation=REQUEST[n]) for n in asked]
        quiet = [inspect.Parameter("quiet", _NAMED_ONLY, default=False, annotation=Quiet)] * ("quiet" not in given)
        debug = inspect.Parameter("debug", _NAMED_ONLY, default=False, annotation=Debug)

        def run(**values: Any) -> None:
            # Code of the user may print; with --json standard output is for the result alone.
            _STANDARD_OUTPUT.set(sys.stdout)
            aside = redirect_stdout(sys.stderr) if values.get("json") else nullcontext()
            with _told(debug=values.pop("debug")), aside:
                if quiet:
                    del values["quiet"]
                if asked:
                    values["request"] = _request({name: values.pop(name) for name in asked})
                code = function(**values)
            raise typer.Exit(code or OK)

        shown = [p.replace(kind=_NAMED_ONLY) for p in own] + more + quiet + [debug]
        run.__name__, run.__doc__, run.__module__ = function.__name__, function.__doc__, function.__module__
        run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in shown}
        return run

    return decorate


def _request(values: dict[str, Any]) -> Request:
    from lacunar.jobs.request import Request
    from lacunar.jobs.values import settings_or_code

    words = {name: value for name, value in values.items() if value is not None and value != []}
    for name in ("settings", "finetune", "recipe"):
        if name in words:
            words[name] = settings_or_code(words[name])
    for name in ("settings", "finetune"):
        if isinstance(words.get(name), str):
            raise BadInput(f"a setting is written name=value, got {words[name]!r}")
    return Request(**words, typed=frozenset(words))


@contextmanager
def _told(*, debug: bool) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *where: say(f"note: {message}")
            yield
    except KeyboardInterrupt:
        say("interrupted; repeat the same command to go on from the last checkpoint")
        raise typer.Exit(INTERRUPTED) from None
    except (BadInput, NotApplicable, Diverged) as error:
        _explain(str(error), debug)
        raise typer.Exit(BAD_INPUT) from None
    except OSError as error:
        _explain(f"{error.strerror or error}: {error.filename!r}" if error.filename else str(error), debug)
        raise typer.Exit(BAD_INPUT) from None
    except Exception as error:  # noqa: BLE001 - the outermost frame: whatever comes is told in a sentence
        hint = "" if debug else " (a bug in lacunar or in the code it was given; --debug shows where)"
        kind = "" if isinstance(error, LacunarError) else f"{type(error).__name__}: "
        _explain(f"{kind}{error}{hint}", debug)
        raise typer.Exit(BUG) from None


def _explain(sentence: str, debug: bool) -> None:
    if debug:
        traceback.print_exc(file=sys.stderr)
    say(f"error: {sentence}")


def say(text: str) -> None:
    """A line on standard error."""
    typer.echo(text, err=True)


def emit(value: Any) -> None:
    """JSON on standard output."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    typer.echo(text, file=_STANDARD_OUTPUT.get())
