from __future__ import annotations

import subprocess
import sys

import pytest

import lacunar
from tests.cli.conftest import call
from tests.cli.toy import VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb):
    said = call(verb, {}, "--help")
    assert said.code == 0 and "--debug" in said.out


def test_bugs_end_with_1(monkeypatch):
    from lacunar.catalog import documentation

    monkeypatch.setattr(documentation, "summaries", lambda kind: 1 / 0)
    said = call("methods")
    assert said.code == 1
    assert said.err == (
        "error: ZeroDivisionError: division by zero (a bug in lacunar or in the code it was given; --debug shows "
        "where)\n"
    )


def test_files_that_cannot_be_written_are_bad_input(tmp_path, monkeypatch):
    from lacunar.catalog import documentation

    def full(kind):
        raise PermissionError(13, "Permission denied", "runs/r1")

    monkeypatch.setattr(documentation, "summaries", full)
    said = call("methods")
    assert (said.code, said.err) == (2, "error: Permission denied: 'runs/r1'\n")


@pytest.mark.parametrize("start", [["-m", "lacunar"], ["-c", "import lacunar.cli; lacunar.cli.main()"]])
def test_version(start):
    printed = subprocess.run([sys.executable, *start, "--version"], capture_output=True, text=True, check=True).stdout
    assert printed == f"{lacunar.__version__}\n"
