"""The options that verbs share, each written once; defaults live with what the options fill."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Argument, Option

Name = Annotated[str | None, Argument(metavar="[NAME]", help="One of them; without it, all are listed.")]
Out = Annotated[str, Option("--out", help="Folder of this run; the same command goes on after an interruption.")]
Force = Annotated[bool, Option("--force", help="Replace the run that the folder holds.")]
Json = Annotated[bool, Option("--json", help="Print JSON on standard output, and nothing else there.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress and no notes.")]
Debug = Annotated[bool, Option("--debug", help="Show the traceback of an error.")]
Seconds = Annotated[float, Option("--checkpoint-seconds", min=0, help="Seconds between checkpoints.")]

_NAMED = "a catalog line or an import string"

REQUEST: dict[str, Any] = {
    "model": Annotated[str | None, Option(help=f"Model: {_NAMED} (resnet:depth=8, mycode.nets:build).")],
    "weights": Annotated[str | None, Option(help="Weights of the trained model (.safetensors), or a train folder.")],
    "data": Annotated[str | None, Option(help=f"Training data: {_NAMED} (digits, mycode.data:train_set).")],
    "test": Annotated[str | None, Option(help=f"Test data: {_NAMED}; else the test part of --data.")],
    "tuning": Annotated[
        str | None,
        Option(help=f"Held-out examples that the method may look at: {_NAMED}; else the tuning part of --data."),
    ],
    "forget": Annotated[str | None, Option(help="File of ids to forget: .csv, .json, .npy or .txt.")],
    "id_column": Annotated[str | None, Option(help="Column of that file that holds the ids.")],
    "scenario": Annotated[str | None, Option(help="A rule instead of a file (whole_class:label=3).")],
    "scenario_seed": Annotated[int | None, Option(help="Seed of the draw of the scenario.")],
    "method": Annotated[str | None, Option(help="Unlearning method; see lacunar methods.")],
    "settings": Annotated[list[str] | None, Option("--set", help="Setting of the method, name=value; repeatable.")],
    "recipe": Annotated[
        list[str] | None,
        Option(help="How the model was trained: name=value, repeatable, or the import string of a Recipe."),
    ],
    "pruner": Annotated[str | None, Option(help="What makes the model sparse (global_magnitude:sparsity=0.9).")],
    "rewind": Annotated[str | None, Option(help="Where weights go back to: an epoch, init, or none (the default).")],
    "finetune": Annotated[
        list[str] | None,
        Option(help="Without a rewind, train on under the mask: name=value over the recipe (epochs=10); repeatable."),
    ],
    "mask": Annotated[str | None, Option(help="Mask of a pruned model (.safetensors).")],
    "where": Annotated[str | None, Option(help="Mask of the weights that may move (.safetensors); see select.")],
    "seed": Annotated[int | None, Option(help="Seed of everything else that is random.")],
    "device": Annotated[str | None, Option(help="auto, cpu, cuda, cuda:1, ...")],
}
"""The options that fill a :class:`lacunar.jobs.request.Request`, by field."""

UNLEARN = (
    "model", "weights", "data", "test", "tuning", "forget", "id_column", "scenario", "scenario_seed", "method",
    "settings", "recipe", "mask", "where", "seed", "device",
)  # fmt: skip
"""What a request to unlearn may say."""
