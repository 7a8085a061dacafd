"""Files that are either wholly there or not there at all."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lacunar.core.errors import BadInput
from lacunar.core.json_text import parsed


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends well, and vanishes when it does not."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def temporaries(path: Path | str) -> list[Path]:
    """What :func:`atomic` has left beside ``path`` in processes that were killed meanwhile."""
    target = Path(path)
    return sorted(target.parent.glob(f".{glob.escape(target.name)}.????????.tmp"))


@contextmanager
def alone_in(folder: Path | str) -> Iterator[None]:
    """Make a folder, and keep other processes out of this block while it runs; a lock ends with its process.

    The folder is removed at the end when nothing is in it. Nothing is locked where the system cannot lock folders.

    Raises:
        BadInput: another process is in such a block.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    handle = _locked(place)
    try:
        yield
    finally:
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
        if handle is not None:
            os.close(handle)


def _locked(folder: Path) -> int | None:
    try:
        import fcntl
    except ImportError:
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if not isinstance(error, BlockingIOError):
            return None  # a file system without locks
        raise BadInput(
            f"another command is at work in {str(folder)!r}; wait until it has ended, or choose another folder"
        ) from None
    return handle


def file_digest(path: Path | str) -> str:
    """The SHA-256 of a file."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path | str, text: str) -> Path:
    """Write ``text`` atomically as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path: Path | str, value: Any) -> Path:
    """Write ``value`` atomically as strict JSON: NaN and infinity are refused.

    Raises:
        ValueError: a value that JSON cannot hold.
    """
    return write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path | str) -> Any:
    """The content of a JSON file.

    Raises:
        BadInput: the file is missing, or is not JSON as :func:`lacunar.core.json_text.parsed` has it.
    """
    try:
        return parsed(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"there is no file {str(path)!r}") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise BadInput(f"{str(path)!r} is not a JSON file ({error}); is it truncated?") from error
