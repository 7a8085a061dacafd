"""What a run folder holds, and whose it is: words and numbers, never code.

A folder of ``train`` holds request.json and base.safetensors; one of ``prune`` or ``compact`` adds what makes the model
sparse, pruned.json and mask.safetensors, or small, compact.json. One of ``unlearn`` holds request.json,
model.safetensors, outcome.json, perhaps mask.safetensors, and after an audit report.html and report.json. All hold
checkpoints/ while they are not finished. request.json is written first and what makes a run finished last.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lacunar.catalog.registry import filled
from lacunar.core.errors import BadInput
from lacunar.core.files import alone_in, read_json, temporaries, write_json
from lacunar.jobs.request import FILES, Request

FORMAT = "lacunar-request-1"
REQUEST, BASE, MODEL, MASK, OUTCOME, PRUNED, COMPACT = (
    "request.json",
    "base.safetensors",
    "model.safetensors",
    "mask.safetensors",
    "outcome.json",
    "pruned.json",
    "compact.json",
)
REPORTS = ("report.html", "report.json")
CHECKPOINTS = "checkpoints"
# In the order in which a run is removed: what makes it finished goes first, and what says whose it is last.
LEFT = (OUTCOME, *REPORTS, BASE, MODEL, MASK, PRUNED, COMPACT, REQUEST)


def record(request: Request, seen: Mapping[str, str]) -> dict[str, Any]:
    """What request.json holds: what was asked, and the digests of what it was asked about."""
    return {"format": FORMAT, "asked": {k: v for k, v in asdict(request).items() if k != "typed"}, "seen": dict(seen)}


def record_in(folder: Path) -> dict[str, Any]:
    """The content of request.json.

    Raises:
        BadInput: no such folder, no request in it, or one of another form.
    """
    if not (folder / REQUEST).is_file():
        raise BadInput(f"{str(folder)!r} is not a run folder: it holds no {REQUEST}")
    found = read_json(folder / REQUEST)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadInput(f"{str(folder / REQUEST)!r} was not written by this version of lacunar")
    if not isinstance(found.get("asked"), dict) or not isinstance(found.get("seen"), dict):
        raise BadInput(f"{str(folder / REQUEST)!r} is damaged; start the run again")
    return found


def request_in(folder: Path) -> Request:
    """The request that a run folder records, as information: nothing that it names is imported here.

    Raises:
        BadInput: not a run folder, or one with a damaged request.
    """
    return filled(Request, REQUEST, record_in(folder)["asked"])


def claim(folder: Path, wanted: Mapping[str, Any], result: str, *, force: bool = False) -> bool:
    """Whether the run is finished already (the file ``result`` is there), in a folder that it may use.

    A run may use a folder that is empty or not there, or that holds the very same run; temporary files that a killed
    command has left do not count. Nothing is written.

    Args:
        wanted: what :func:`record` made.
        force: allow a folder of another run.

    Raises:
        BadInput: the folder holds something else, or (``force``) an input of the run would be removed.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{str(folder)!r} is a file; give a folder")
    if force:
        spare((folder / name for name in LEFT), wanted["asked"])
    elif (folder / REQUEST).is_file() and read_json(folder / REQUEST) == wanted:
        return (folder / result).is_file()
    elif folder.is_dir() and {*folder.iterdir()} - {*_temporaries(folder)}:
        raise BadInput(
            f"{str(folder)!r} is not empty and holds no run of this request; choose another folder, or replace the run "
            "in it with --force"
        )
    return False


@contextmanager
def claimed(folder: Path, wanted: Mapping[str, Any], result: str, *, force: bool = False) -> Iterator[bool]:
    """Whether the run is finished, in a folder that no other command may work in until the block ends.

    The request is written first, so that the same command goes on whenever this one is killed. A run that fails before
    it has made anything leaves nothing.

    Raises:
        BadInput: as :func:`claim`, or another command is at work in the folder.
    """
    claim(folder, wanted, result, force=force)
    with alone_in(folder):
        # Another command may have finished in between.
        finished = claim(folder, wanted, result, force=force)
        if force:
            _empty(folder)
        sweep(folder)
        if not finished:
            write_json(folder / REQUEST, dict(wanted))
        try:
            yield finished
        except Exception:
            if [path.name for path in folder.iterdir()] == [REQUEST]:
                (folder / REQUEST).unlink()
            raise


def sweep(folder: Path) -> None:
    """Remove temporary files that a killed command has left."""
    for path in _temporaries(folder):
        path.unlink(missing_ok=True)


def _temporaries(folder: Path) -> list[Path]:
    return [path for name in LEFT for path in temporaries(folder / name)]


def spare(files: Iterable[Path], asked: Mapping[str, Any]) -> None:
    """Refuse to lose an input: raise unless none of ``files``, which are to be replaced, is one that a request names.

    Args:
        asked: the fields of a request; a folder of weights stands for all that is read from it.

    Raises:
        BadInput: an input is among the files.
    """
    lost = {path.resolve(): path for path in files}
    for name in (name for name in FILES if asked.get(name)):
        place = Path(asked[name]).resolve()
        for read in [place / part for part in (REQUEST, BASE, MASK, COMPACT)] if place.is_dir() else [place]:
            if read in lost:
                raise BadInput(
                    f"{str(lost[read])!r} would be replaced, but this command reads it (--{name}); choose another --out"
                )


def _empty(folder: Path) -> None:
    *results, request = LEFT
    for name in results:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    (folder / request).unlink(missing_ok=True)
