from __future__ import annotations

import json

from lacunar.jobs import demo
from tests.cli.conftest import call


def test_demo(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "EXAMPLES", 200)
    monkeypatch.setattr(demo, "WRONG", 16)
    monkeypatch.setattr(demo, "METHODS", ("do_nothing", "l1_sparse:epochs=2"))
    said = call("demo", {"--out": str(tmp_path), "--oracles": "3", "--json": ""})
    assert said.code == 0, said.err
    rows = {row["method"]: row for row in said.json["rows"]}
    assert list(rows) == ["do_nothing", "l1_sparse", "mean of 3 retrained"]
    assert rows["do_nothing"]["verdict"].startswith("fail")
    assert float(rows["mean of 3 retrained"]["forget acc."]) < float(rows["do_nothing"]["forget acc."]) - 50
    assert said.json["report"] == str(tmp_path / "l1_sparse/report.html")
    assert json.loads((tmp_path / "do_nothing/report.json").read_text())["asked"]["count"] == 16
