import torch
from typer.testing import CliRunner

from lacunar.cli import app
from lacunar.core.weights import load_tensors


def test_a_checkpoint_becomes_weights_and_code_is_refused(tmp_path):
    torch.save({"state_dict": {"module.w": torch.ones(2)}}, tmp_path / "a.pt")
    out = tmp_path / "base.safetensors"
    said = CliRunner().invoke(app, ["convert", str(tmp_path / "a.pt"), "--out", str(out)])
    assert said.exit_code == 0 and "1 tensors, 1 of them under a shorter name" in said.stdout
    assert load_tensors(out)["w"].tolist() == [1, 1]
    again = CliRunner().invoke(app, ["convert", str(tmp_path / "a.pt"), "--out", str(out)])
    assert again.exit_code == 2 and "is there already" in again.stderr
