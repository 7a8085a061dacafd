from __future__ import annotations

import json
import subprocess
from pathlib import Path

import torch

from lacunar.machine import environment


def test_all_of_it_is_json_and_names_what_numbers_depend_on():
    found = json.loads(json.dumps(environment.environment()))
    assert found["versions"]["torch"] == torch.__version__
    assert found["hardware"]["threads"] == torch.get_num_threads()
    assert found["hardware"]["device"] == "cpu"


def test_the_command_can_be_pasted(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/some/where/lacunar/__main__.py", "run", "a b.toml"])
    assert environment.environment()["command"] == "lacunar run 'a b.toml'"


def test_the_commit_is_of_the_package_and_marked_when_files_differ(tmp_path, monkeypatch):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    module = tmp_path / "pkg" / "room" / "environment.py"
    module.parent.mkdir(parents=True)
    module.write_text("a = 1\n")
    other = tmp_path / "pkg" / "another" / "loop.py"
    other.parent.mkdir()
    other.write_text("a = 1\n")
    monkeypatch.setattr(environment, "__file__", str(module))
    uncached = environment.commit.__wrapped__
    assert uncached() is None
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert uncached() == head
    other.write_text("a = 2\n")
    assert uncached() == head + "+", "a change in any room is a change of the package"


def test_outside_git_there_is_no_commit():
    assert environment._git(Path("/"), "log") is None
