from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lacunar import report
from lacunar.core.errors import BadInput
from lacunar.report import Table
from tests.report.audits import ALL, failed, passed


def test_html_gets_its_json_twin(tmp_path):
    audit = replace(failed(), curves={})
    path = audit.save(tmp_path / "new" / "report.html")
    assert path == tmp_path / "new" / "report.html"
    assert sorted(p.name for p in path.parent.iterdir()) == ["report.html", "report.json"]
    twin = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))
    assert twin["format"] == "lacunar-audit-1"
    assert twin["verdict"] == audit.verdict
    assert len(twin["items"]) == len(audit.items)
    assert twin["measurements"] == [m.as_dict() for m in audit.measurements]


@pytest.mark.parametrize("name", ALL)
def test_json_alone(tmp_path, name):
    path = report.save(ALL[name](), tmp_path / "r.JSON")
    assert [p.name for p in tmp_path.iterdir()] == ["r.JSON"]
    assert json.loads(path.read_text(encoding="utf-8"))["verdict"] == name


@pytest.mark.parametrize("name", ["report.pdf", "report", "html"])
def test_another_ending_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(BadInput, match=rf"cannot be written to '{name}': its name must end in .html or .json"):
        report.save(passed(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_fails_writes_nothing(tmp_path):
    broken = replace(passed(), curves={"roc": {"fpr": [0.5]}})
    with pytest.raises(KeyError):
        report.save(broken, tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_an_unbounded_interval_is_null_in_json(tmp_path):
    first, *rest = passed().items
    audit = replace(passed(), items=(replace(first, rho_low=-float("inf"), p=float("nan")), *rest))
    twin = json.loads(report.save(audit, tmp_path / "r.json").read_text(encoding="utf-8"))
    assert twin["items"][0]["rho_low"] is None and twin["items"][0]["p"] is None
    assert twin["items"][0]["rho_high"] == first.rho_high


def test_save_experiment(tmp_path):
    path = report.save_experiment(tmp_path / "e.html", "T", "I", [Table("c", ("a",), (("1",),))], [], {"torch": "2"})
    assert "<caption>c</caption>" in path.read_text(encoding="utf-8")
    with pytest.raises(BadInput, match=r"must end in .html"):
        report.save_experiment(tmp_path / "e.json", "T", "I", [], [], {})


def test_templates_are_part_of_the_package():
    folder = Path(report.__file__).parent / "templates"
    assert {p.name for p in folder.iterdir()} >= {
        "audit.html.j2",
        "base.html.j2",
        "experiment.html.j2",
        "style.html.j2",
    }
