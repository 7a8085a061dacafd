"""Whose a folder is: claimed by one request, by one command at a time, with the request written first."""

from __future__ import annotations

import pytest

from lacunar.core.errors import BadInput
from lacunar.core.files import alone_in, read_json, write_json
from lacunar.jobs.request import Request
from lacunar.jobs.run_folder import LEFT, REQUEST, claim, claimed, record, record_in, request_in, spare, sweep

WANTED = record(Request(data="digits", seed=3), {"data": "0"})


def test_a_request_is_read_back(tmp_path):
    write_json(tmp_path / REQUEST, WANTED)
    assert request_in(tmp_path) == Request(data="digits", seed=3) and record_in(tmp_path) == WANTED


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "is not a run folder: it holds no request.json"),
        ({"format": "other"}, "was not written by this version"),
        ([], "was not written by this version"),
        ({**WANTED, "asked": 3}, "is damaged; start the run again"),
        ({**WANTED, "asked": {"sed": 3}}, "unknown setting of request.json 'sed': did you mean 'seed'"),
    ],
)
def test_what_is_no_request(tmp_path, content, sentence):
    if content is not None:
        write_json(tmp_path / REQUEST, content)
    with pytest.raises(BadInput, match=sentence):
        request_in(tmp_path)


def test_the_request_is_there_before_anything_else_and_stays(tmp_path):
    place = tmp_path / "deep/run"
    with claimed(place, WANTED, "result") as finished:
        assert not finished and read_json(place / REQUEST) == WANTED
        (place / "result").touch()
    assert claim(place, WANTED, "result")
    with claimed(place, WANTED, "result") as finished:
        assert finished


def test_a_run_that_fails_before_it_made_anything_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), claimed(tmp_path / "run", WANTED, "result"):
        raise ZeroDivisionError
    assert not (tmp_path / "run").exists()


def test_one_that_fails_later_or_is_interrupted_leaves_its_request(tmp_path):
    for place, error in ((tmp_path / "a", ZeroDivisionError), (tmp_path / "b", KeyboardInterrupt)):
        with pytest.raises(error), claimed(place, WANTED, "result"):
            if error is ZeroDivisionError:
                (place / "checkpoint").touch()
            raise error
        assert not claim(place, WANTED, "result")


def test_other_folders_are_refused_and_force_removes_a_run_alone(tmp_path):
    other = record(Request(data="digits", seed=4), {})
    for name in ("thesis.tex", *LEFT):
        (tmp_path / name).write_text("{}")
    write_json(tmp_path / REQUEST, other)
    with pytest.raises(BadInput, match="is not empty and holds no run of this request"):
        claim(tmp_path, WANTED, "result")
    with claimed(tmp_path, WANTED, "result", force=True):
        assert sorted(path.name for path in tmp_path.iterdir()) == [REQUEST, "thesis.tex"]
    with pytest.raises(BadInput, match=r"thesis\.tex' is a file; give a folder"):
        claim(tmp_path / "thesis.tex", WANTED, "result")


def test_two_commands_never_work_in_one_folder(tmp_path):
    with (
        alone_in(tmp_path / "run"),
        pytest.raises(BadInput, match="another command is at work in"),
        claimed(tmp_path / "run", WANTED, "result"),
    ):
        pytest.fail("it was claimed twice")
    with claimed(tmp_path / "run", WANTED, "result"):
        pass


def test_temporary_files_of_ours_are_swept_and_no_others(tmp_path):
    for name in (".request.json.abcd1234.tmp", ".model.safetensors.________.tmp", ".thesis.tex.abcd1234.tmp"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".thesis.tex.abcd1234.tmp"]


def test_no_input_is_lost(tmp_path):
    (tmp_path / "base").mkdir()
    spare([tmp_path / "x"], {"weights": str(tmp_path / "base"), "mask": None})
    for lost in (tmp_path / "base/request.json", tmp_path / "base/mask.safetensors"):
        with pytest.raises(BadInput, match=r"would be replaced, but this command reads it \(--weights\)"):
            spare([lost], {"weights": str(tmp_path / "base")})
