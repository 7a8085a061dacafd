"""Certified models kept in a file: bit-equal, with their budget, and nothing in it can be changed unseen."""

from __future__ import annotations

import dataclasses
import json
import pickle

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lacunar.core import chain
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.exact_unlearners import _file
from lacunar.exact_unlearners.certified_linear import CertifiedLinear
from lacunar.training.recipe import Recipe
from lacunar.unlearning.certificate import Release
from tests.exact_unlearners.test_certified_linear import table, true_weights


def fitted(density: float = 1.0, **settings) -> CertifiedLinear:
    train = table(density=density)
    return CertifiedLinear(releases=3, **settings).fit(train, Recipe(), seed=-7).edit(delete=[1, 4], columns=[2])


@pytest.mark.parametrize("density", [1.0, 0.1], ids=["dense", "sparse"])
@pytest.mark.parametrize("mechanism", ["output", "objective"])
def test_what_is_loaded_is_bit_equal_and_goes_on_as_if_it_had_never_been_saved(density, mechanism, tmp_path):
    model = fitted(density, mechanism=mechanism, l2=0.5)
    place = model.save(tmp_path / "model.safetensors")
    again = CertifiedLinear.load(place, model.record[-1].digest)
    assert again == model and again.record == model.record and again.limits == model.limits
    assert torch.equal(true_weights(again), true_weights(model)) and torch.equal(again.release(), model.release())
    x = torch.randn(5, 6)
    assert torch.equal(again.predict(x), model.predict(x)) and again.residual == model.residual
    one, other = (m.delete([7]) for m in (again, model))
    assert torch.equal(one.release(), other.release()) and one.record == other.record
    assert one._state.ids.tolist() == other._state.ids.tolist()


def test_the_budget_goes_on_where_it_was(tmp_path):
    model = fitted().delete([7])
    again = CertifiedLinear.load(model.save(tmp_path / "m")).delete([10])
    with pytest.raises(NotApplicable, match="the budget is spent"):
        CertifiedLinear.load(again.save(tmp_path / "m")).delete([13])


def test_a_classifier_of_three_classes_without_bias(tmp_path):
    model = CertifiedLinear(bias=False).fit(table(classes=3), Recipe(), seed=0)
    again = CertifiedLinear.load(model.save(tmp_path / "m"))
    assert torch.equal(again.predict(table().x), model.predict(table().x)) and again._state.width == 6


def content_of(path) -> tuple[dict[str, torch.Tensor], dict]:
    with safe_open(path, framework="pt") as opened:
        return load_file(path), json.loads(opened.metadata()["state"])


def rewritten(path, tensors, content, sealed: bool):
    if sealed:
        content = {k: v for k, v in content.items() if k != "seal"}
        content = {**content, "tensors": _file.named.digest(tensors)}
        content["seal"] = _file._seal(content)
    save_file(tensors, path, {"state": json.dumps(content)})


def rechained(entries: list[dict]) -> list[dict]:
    """Entries under hashes that fit again: what somebody would do who knows how the record is made."""
    record: list[Release] = []
    for entry in entries:
        plain = Release(**{k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()})
        record.append(chain.sealed(plain, record))
    chain.verify(record)
    return [dataclasses.asdict(entry) for entry in record]


def cheaper(content):
    entries = content["record"]
    entries[1]["spent"] = 0.0
    return rechained(entries)


@pytest.mark.parametrize(
    ("change", "sealed", "sentence"),
    [
        (lambda t, c: t["theta"].mul_(1.5), False, "its seal does not fit"),
        (lambda t, c: t["x"].mul_(1.5), False, "its seal does not fit"),
        (lambda t, c: c["settings"].update(epsilon=99.0), False, "its seal does not fit"),
        (lambda t, c: c.update(beta=99.0), False, "its seal does not fit"),
        (lambda t, c: c["record"].pop(), False, "its seal does not fit"),
        (lambda t, c: c["record"][1].update(mu=0.0), True, "entry 1 of the record does not fit"),
        (lambda t, c: c["record"].pop(0), True, "entry 0 of the record does not fit"),
        (lambda t, c: c.update(record=cheaper(c)), True, "entry 1 of the record says that 0 was spent"),
        (lambda t, c: t["theta"].mul_(1.5), True, "the weights of .* do not fit its data"),
        (lambda t, c: c.update(record=[]), True, "does not hold together"),
        (lambda t, c: t.update(x=t["x"][:, 1:].contiguous()), True, "do not fit one another"),
        (lambda t, c: c.pop("beta"), True, "does not hold together"),
        (lambda t, c: c["settings"].update(l2=-1.0), True, "l2 must be"),
        (lambda t, c: c.update(format="other"), True, "is not a certified model that this version has saved"),
    ],
)
def test_tampering_is_found(change, sealed, sentence, tmp_path):
    place = fitted().save(tmp_path / "m.safetensors")
    tensors, content = content_of(place)
    change(tensors, content)
    rewritten(place, tensors, content, sealed)
    with pytest.raises(BadInput, match=sentence):
        CertifiedLinear.load(place)


def test_sparse_rows_that_point_outside_are_refused(tmp_path):
    place = fitted(density=0.1).save(tmp_path / "m")
    tensors, content = content_of(place)
    tensors["x.indices"][0] = 10**6
    rewritten(place, tensors, content, sealed=True)
    with pytest.raises(BadInput, match="does not hold together"):
        CertifiedLinear.load(place)


def test_an_older_copy_is_told_by_the_digest_of_its_record(tmp_path):
    model = fitted()
    place = model.save(tmp_path / "m")
    later = model.delete([7])
    assert CertifiedLinear.load(place).record == model.record, "a whole old file is a good file by itself"
    with pytest.raises(BadInput, match="another or an older model"):
        CertifiedLinear.load(place, later.record[-1].digest)


def test_files_of_other_kinds(tmp_path):
    with pytest.raises(BadInput, match="call fit first"):
        CertifiedLinear().save(tmp_path / "m")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(BadInput, match="is not a certified model that this version has saved"):
        CertifiedLinear.load(tmp_path / "other.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "text.safetensors", {"state": "{"})
    with pytest.raises(BadInput, match="is not a certified model that this version has saved"):
        CertifiedLinear.load(tmp_path / "text.safetensors")
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"theta": 1}))
    with pytest.raises(BadInput, match="looks like a pickle"):
        CertifiedLinear.load(tmp_path / "m.pkl")
    with pytest.raises(BadInput, match="there is no weights file"):
        CertifiedLinear.load(tmp_path / "nothing")
