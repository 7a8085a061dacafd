"""``convert``: a checkpoint of torch, or one with the names of a wrapped model, as plain safetensors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from torch import Tensor

from lacunar.core.errors import BadInput
from lacunar.core.tensor_names import plain_names
from lacunar.core.weights import is_pickle, load_tensors, save_tensors
from lacunar.jobs.told import Told

READER = Path(__file__).with_name("_torch_reader.py")
SECONDS = 600


def perform(source: Path | str, out: Path | str, key: str = "", strip: str = "", force: bool = False) -> Told:
    """Write the tensors of ``source`` to ``out`` under the names that the model itself gives them.

    A pickle is read in another process, by torch's weights_only loader and under limits; nothing but tensors by name
    comes back, as a safetensors file that is checked like any other.

    Args:
        key: entry of a nested checkpoint that holds the weights, where it is not "state_dict" or the like.
        strip: beginning to take off the names, where it is not that of a known wrapper.

    Raises:
        BadInput: a file that is missing, holds anything but tensors, or needs more memory or time than its size
            explains; an ``out`` that is there already or does not end in .safetensors; names that would coincide.
    """
    given, target = Path(source), Path(out)
    if target.suffix != ".safetensors":
        raise BadInput(f"--out {str(out)!r} must end in .safetensors, which is what is written")
    if target.exists() and not force:
        raise BadInput(f"{str(out)!r} is there already; give another --out, or --force to replace it")
    tensors = _read(given, key)
    names = plain_names(tensors, strip)
    if len(set(names.values())) < len(names):
        raise BadInput(f"without {strip or 'the words of wrappers'!r} two tensors of {str(source)!r} have one name")
    save_tensors(target, {names[name]: tensor for name, tensor in tensors.items()}, {"format": "lacunar-model-1"})
    renamed = sum(name != plain for name, plain in names.items())
    facts = {"weights": str(target), "tensors": len(names), "renamed": renamed}
    return Told(facts, [f"wrote {target}: {len(names)} tensors, {renamed} of them under a shorter name"])


def _read(source: Path, key: str) -> dict[str, Tensor]:
    if not source.is_file():
        raise BadInput(f"there is no file {str(source)!r}")
    if not is_pickle(source):
        return load_tensors(source)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "read.safetensors"
        answer = _answer_of(source, written, key)
        if "refused" in answer:
            raise BadInput(f"{str(source)!r} is refused: {str(answer['refused'])[:400]!r}")
        return load_tensors(written)


def _answer_of(source: Path, written: Path, key: str) -> dict[str, Any]:
    command = [sys.executable, "-P", str(READER), str(source.resolve()), str(written), key]
    # One thread, since each takes memory of its own out of what the reader may have.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, env=environment, check=False)  # noqa: S603
        answer = json.loads(done.stdout[-2000:].decode().strip().rpartition("\n")[2])
    except (subprocess.TimeoutExpired, ValueError):
        answer = None
    if not isinstance(answer, dict):
        raise BadInput(f"{str(source)!r} cannot be read within the memory and time that a file of its size should need")
    return answer
