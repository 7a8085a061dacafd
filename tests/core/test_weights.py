import pickle
import struct
import zipfile

import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.files import atomic, read_json, write_json
from lacunar.core.weights import load_mask, load_model, load_tensors, model_state, save_mask, save_model, save_tensors
from tests.problems import BatchNormNet


def test_models_reload_bit_equal_with_buffers(tmp_path):
    model, other = BatchNormNet(), BatchNormNet()
    model(torch.randn(4, 1, 8, 8))
    path = save_model(tmp_path / "m.safetensors", model)
    load_model(path, other)
    assert named.digest(other.state_dict()) == named.digest(model.state_dict())


def test_tied_weights_reload_strictly_in_plain_torch_too(tmp_path):
    def tied():
        net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
        net[1].weight = net[0].weight
        return net

    model, other = tied(), tied()
    path = save_model(tmp_path / "m.safetensors", model)
    load_model(path, other)
    assert torch.equal(other[1].weight, model[0].weight)
    plain = tied()
    plain.load_state_dict(load_tensors(path), strict=True)
    assert torch.equal(plain[1].weight, model[0].weight)
    broken = save_tensors(tmp_path / "b", {"0.weight": torch.zeros(3, 3), "1.weight": torch.ones(3, 3)})
    with pytest.raises(BadInput, match=r"it ties 1.weight to 0.weight, and the file has other values for the two"):
        load_model(broken, other)
    assert torch.equal(other[0].weight, model[0].weight)
    load_model(save_tensors(tmp_path / "once", {"0.weight": torch.ones(3, 3)}), other)
    assert torch.equal(other[1].weight, torch.ones(3, 3))


def test_masks_round_trip_and_other_tensors_are_not_masks(tmp_path):
    mask = {"w": torch.tensor([True, False])}
    assert torch.equal(load_mask(save_mask(tmp_path / "a", mask))["w"], mask["w"])
    with pytest.raises(BadInput, match="is not a mask: w are not bool"):
        load_mask(save_tensors(tmp_path / "b", {"w": torch.zeros(2)}))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite_is_neither_saved_nor_loaded(tmp_path, value):
    with pytest.raises(BadInput, match="refused to save NaN or infinity in w"):
        save_tensors(tmp_path / "m", {"w": torch.tensor([value])})
    assert list(tmp_path.iterdir()) == []
    from safetensors.torch import save_file

    save_file({"w": torch.tensor([value])}, tmp_path / "m")
    with pytest.raises(BadInput, match="holds NaN or infinity in w"):
        load_tensors(tmp_path / "m")


def test_a_header_length_that_looks_like_a_pickle_is_not_one(tmp_path):
    # The first byte of a safetensors file is the low byte of its header length, which may be a pickle's first byte.
    for padding in range(0, 256, 8):
        path = save_tensors(tmp_path / "m", {"w": torch.ones(2)}, {"pad": "x" * padding})
        if path.read_bytes()[:1] == b"\x80":
            assert torch.equal(load_tensors(path)["w"], torch.ones(2))
            return
    pytest.fail("no header length ended in 0x80")


class Bomb:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_pickles_are_refused_and_never_run(tmp_path, capsys):
    raw, zipped = tmp_path / "a.pt", tmp_path / "b.pt"
    raw.write_bytes(pickle.dumps(Bomb()))
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Bomb()))
    for path in (raw, zipped):
        with pytest.raises(BadInput, match=r"looks like a pickle or zip.*convert it once"):
            load_tensors(path)
    assert capsys.readouterr().out == ""


def test_broken_files_get_a_sentence(tmp_path):
    good = save_tensors(tmp_path / "good", {"w": torch.zeros(100)}).read_bytes()
    cases = {"cut": good[:-50], "short": good[:5], "empty": b"", "text": b"hello world, this is no tensor file"}
    cases["huge"] = struct.pack("<Q", 2**60) + b"{}"
    cases["noise"] = struct.pack("<Q", 20) + b"\x00" * 40
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=r"truncated|cannot be read"):
            load_tensors(tmp_path / name)
    with pytest.raises(BadInput, match="there is no weights file"):
        load_tensors(tmp_path / "absent")


def test_other_architectures_are_refused_before_anything_is_written(tmp_path):
    model = nn.Linear(3, 2)
    before = named.digest(model.state_dict())
    missing = save_tensors(tmp_path / "a", {"weight": torch.zeros(2, 3)})
    foreign = save_tensors(tmp_path / "b", {**model_state(model), "extra": torch.zeros(1)})
    head = save_tensors(tmp_path / "c", {"weight": torch.zeros(5, 3), "bias": torch.zeros(5)})
    for path, sentence in ((missing, "missing bias"), (foreign, "unknown extra"), (head, "another number of classes")):
        with pytest.raises(BadInput, match=sentence):
            load_model(path, model)
    assert named.digest(model.state_dict()) == before


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int64, torch.uint8, torch.bool, torch.float8_e4m3fn])
def test_other_kinds_of_numbers_are_refused(tmp_path, dtype):
    model = nn.Linear(3, 2)
    before = named.digest(model.state_dict())
    path = save_tensors(tmp_path / "m", {"weight": torch.ones(2, 3).to(dtype), "bias": torch.zeros(2)})
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(BadInput, match=f"weight is {kind} in the file, float32 in the model; save it as numbers"):
        load_model(path, model)
    assert named.digest(model.state_dict()) == before


def test_other_precision_is_taken_and_whole_numbers_stay_whole(tmp_path):
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        state = {"weight": torch.ones(2, 3, dtype=dtype), "bias": torch.zeros(2)}
        assert load_model(save_tensors(tmp_path / "m", state), nn.Linear(3, 2)).weight.sum() == 6
    state = nn.BatchNorm1d(2).state_dict()
    narrow = {**state, "num_batches_tracked": torch.tensor(3, dtype=torch.int32)}
    assert load_model(save_tensors(tmp_path / "n", narrow), nn.BatchNorm1d(2)).num_batches_tracked == 3
    with pytest.raises(BadInput, match="num_batches_tracked is float32 in the file, int64 in the model"):
        load_model(save_tensors(tmp_path / "f", {**state, "num_batches_tracked": torch.tensor(3.5)}), nn.BatchNorm1d(2))


def test_not_finite_numbers_of_other_kinds_are_seen(tmp_path):
    for bad in (torch.tensor([float("nan")]).to(torch.float8_e5m2), torch.tensor([complex(float("inf"), 0)])):
        with pytest.raises(BadInput, match="NaN or infinity in w"):
            save_tensors(tmp_path / "m", {"w": bad})


@pytest.mark.parametrize(
    ("prefix", "told"),
    [
        (
            "module.",
            "its names carry 'module', as DataParallel writes it: .* lacunar convert .*m --out base.safetensors",
        ),
        ("_orig_mod.", "its names carry '_orig_mod', as torch.compile writes it"),
        ("backbone.", r"all its names begin with 'backbone.': .* --strip backbone\.$"),
    ],
)
def test_names_of_wrapped_models_are_recognised(tmp_path, prefix, told):
    model = nn.Linear(3, 2)
    path = save_tensors(tmp_path / "m", {prefix + name: t for name, t in model.state_dict().items()})
    with pytest.raises(BadInput, match="does not fit this model: .*" + told):
        load_model(path, model)


def test_atomic_leaves_the_old_file_when_the_block_fails(tmp_path):
    target = tmp_path / "deep" / "x.txt"
    with atomic(target) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), atomic(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and [p.name for p in target.parent.iterdir()] == ["x.txt"]


def test_json_is_strict(tmp_path):
    assert read_json(write_json(tmp_path / "a.json", {"ä": [1, None]})) == {"ä": [1, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()
    with pytest.raises(BadInput, match="there is no file"):
        read_json(tmp_path / "c.json")
    (tmp_path / "d.json").write_text('{"a": ')
    with pytest.raises(BadInput, match="is it truncated"):
        read_json(tmp_path / "d.json")
