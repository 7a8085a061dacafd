import pickle
import subprocess
import sys
from collections import OrderedDict

import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.weights import load_model, load_tensors, save_tensors
from lacunar.jobs.convert import READER, perform


def net():
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_a_nested_checkpoint_of_a_wrapped_model(tmp_path):
    model = net()
    state = {f"module._orig_mod.{name}": t for name, t in model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1, "step": [1]}}, tmp_path / "a.ckpt")
    told = perform(tmp_path / "a.ckpt", tmp_path / "base.safetensors")
    assert told.facts == {"weights": str(tmp_path / "base.safetensors"), "tensors": 7, "renamed": 7}
    loaded = load_model(tmp_path / "base.safetensors", net())
    assert named.digest(loaded.state_dict()) == named.digest(model.state_dict())


@pytest.mark.parametrize("zipped", [True, False])
def test_plain_state_dicts_tied_and_strided_tensors(tmp_path, zipped):
    weight = torch.arange(6.0).reshape(2, 3)
    state = OrderedDict(a=weight, b=weight, c=weight.t(), d=torch.tensor(3))
    torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    perform(tmp_path / "a.pt", tmp_path / "b.safetensors")
    found = load_tensors(tmp_path / "b.safetensors")
    assert found.keys() == state.keys() and all(torch.equal(found[name], t) for name, t in state.items())


def test_an_entry_and_a_beginning_of_the_users_choice(tmp_path):
    torch.save({"ema": {"net.w": torch.ones(2)}, "raw": {"net.w": torch.zeros(2)}}, tmp_path / "a.pt")
    perform(tmp_path / "a.pt", tmp_path / "b.safetensors", key="ema", strip="net.")
    assert load_tensors(tmp_path / "b.safetensors")["w"].tolist() == [1, 1]


def test_safetensors_are_renamed_without_another_process(tmp_path):
    save_tensors(tmp_path / "a.safetensors", {"module.w": torch.ones(2)})
    assert perform(tmp_path / "a.safetensors", tmp_path / "b.safetensors").facts["renamed"] == 1
    assert list(load_tensors(tmp_path / "b.safetensors")) == ["w"]


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda p: {"w": Bomb(p / "ran")}, "torch's weights_only loader refuses it"),
        (lambda p: net(), "torch's weights_only loader refuses it"),
        (lambda p: torch.zeros(3), "it holds no weights by name, but Tensor"),
        (lambda p: {"w": torch.zeros(3), "epoch": 3}, r"among the weights is epoch \(int\): say with --key"),
        (lambda p: {"model": {"w": torch.zeros(1)}, "state_dict": {"w": torch.zeros(1)}}, "several entries"),
        (lambda p: {"w": torch.zeros(1).expand(1 << 40)}, "refuse|cannot be read within the memory"),
        (lambda p: {}, "it holds no weights by name, but nothing"),
    ],
)
def test_anything_else_is_refused_and_nothing_is_run_or_written(tmp_path, content, sentence):
    torch.save(content(tmp_path), tmp_path / "a.pt")
    with pytest.raises(BadInput, match=sentence):
        perform(tmp_path / "a.pt", tmp_path / "b.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_a_bare_pickle_is_refused(tmp_path):
    (tmp_path / "a.bin").write_bytes(pickle.dumps({"w": Bomb(tmp_path / "ran")}))
    with pytest.raises(BadInput, match="is refused"):
        perform(tmp_path / "a.bin", tmp_path / "b.safetensors")
    assert not (tmp_path / "ran").exists()


def test_the_reader_holds_its_limits(tmp_path):
    torch.save({"w": torch.zeros(4)}, tmp_path / "a.pt")
    probe = (
        f"import runpy, resource; m = runpy.run_path({str(READER)!r}); m['main']({str(tmp_path / 'a.pt')!r}, "
        f"{str(tmp_path / 'b')!r}, ''); print([resource.getrlimit(r)[0] for r in "
        "(resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    size = (tmp_path / "a.pt").stat().st_size
    assert done.stdout.strip() == str([60, 2 * size + (1 << 20), 0])


def test_what_cannot_be_written(tmp_path):
    save_tensors(tmp_path / "a.safetensors", {"x.w": torch.ones(2), "w": torch.ones(2)})
    with pytest.raises(BadInput, match=r"must end in \.safetensors"):
        perform(tmp_path / "a.safetensors", tmp_path / "b.pt")
    with pytest.raises(BadInput, match="is there already; give another --out, or --force"):
        perform(tmp_path / "a.safetensors", tmp_path / "a.safetensors")
    with pytest.raises(BadInput, match=r"two tensors of .* have one name"):
        perform(tmp_path / "a.safetensors", tmp_path / "b.safetensors", strip="x.")
    with pytest.raises(BadInput, match="there is no file"):
        perform(tmp_path / "absent.pt", tmp_path / "b.safetensors")
