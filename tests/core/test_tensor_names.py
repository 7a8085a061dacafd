import pytest

from lacunar.core.tensor_names import plain_names, remedy, wrappers_in

PLAIN = ["0.weight", "head.bias"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (PLAIN, []),
        ([f"module.{n}" for n in PLAIN], ["module"]),
        ([f"_orig_mod.{n}" for n in PLAIN], ["_orig_mod"]),
        ([f"state_dict.module._orig_mod.{n}" for n in PLAIN], ["state_dict", "module", "_orig_mod"]),
        (["0._orig_mod.weight", "head.bias"], ["_orig_mod"]),
        (["module.0.weight", "module.head._orig_mod.bias"], ["module", "_orig_mod"]),
    ],
)
def test_words_of_wrappers(names, words):
    assert list(plain_names(names).values()) == PLAIN
    assert wrappers_in(names) == words


def test_a_part_of_a_model_may_be_called_module():
    names = ["module.weight", "head.bias"]
    assert list(plain_names(names).values()) == names
    assert list(plain_names(["net.0.weight", "net.head.bias"], "net.").values()) == PLAIN


def test_what_to_do():
    assert "'module', as DataParallel writes it" in (remedy("f", [f"module.{n}" for n in PLAIN], PLAIN) or "")
    assert "the model is wrapped by torch.compile, the file is not" in (
        remedy("f", PLAIN, [f"_orig_mod.{n}" for n in PLAIN]) or ""
    )
    assert "--strip net." in (remedy("f", [f"net.{n}" for n in PLAIN], PLAIN) or "")
    assert remedy("f", ["other.weight"], PLAIN) is None
    assert remedy("f", [], PLAIN) is None
