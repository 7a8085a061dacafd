from __future__ import annotations

import pytest

from lacunar.catalog import documentation, registry, renamed
from lacunar.core.errors import BadInput
from lacunar.methods.fine_tuning.l1_sparse import L1Sparse

SENTENCE = "the setting 'schedule' of l1_sparse is called 'fade' now; the former name is taken for this version only"


def test_a_former_name_of_a_setting_is_taken_with_a_sentence():
    with pytest.warns(FutureWarning, match=f"^{SENTENCE}$"):
        made = registry.parse("methods", "l1_sparse:epochs=2,schedule=cosine")
    assert made == L1Sparse(epochs=2, fade="cosine")
    with pytest.warns(FutureWarning, match=SENTENCE):
        assert (
            registry.from_spec("methods", {"name": "l1_sparse", "settings": {"schedule": "constant"}}).fade
            == "constant"
        )
    assert registry.parse("methods", "l1_sparse:fade=cosine").fade == "cosine", "today's name needs no sentence"


@pytest.mark.parametrize("line", ["schedule=cosine,fade=cosine", "fade=cosine,schedule=cosine"])
def test_a_setting_under_both_of_its_names_is_given_twice(line):
    with pytest.raises(BadInput, match=r"'schedule' and 'fade' are one setting of l1_sparse, .*: give one"):
        registry.parse("methods", f"l1_sparse:{line}")


def test_a_former_name_of_another_plug_in_is_no_name():
    with pytest.raises(BadInput, match="unknown setting of fine_tune 'schedule'"):
        registry.parse("methods", "fine_tune:schedule=cosine")


def test_a_former_name_of_a_plug_in_is_taken_with_a_sentence(monkeypatch):
    monkeypatch.setitem(renamed.PLUGINS, "methods", {"sparse_l1": "l1_sparse"})
    with pytest.warns(FutureWarning, match=r"^the method 'sparse_l1' is called 'l1_sparse' now; the former name"):
        made = registry.parse("methods", "sparse_l1:epochs=2")
    assert made == L1Sparse(epochs=2) and made.line() == "l1_sparse:epochs=2"
    assert registry.is_known("methods", "sparse_l1") and "sparse_l1" not in registry.names("methods")


def test_the_page_of_a_former_name_is_that_of_today():
    with pytest.warns(FutureWarning, match="the evaluator 'prop2' is called 'proposition2' now"):
        assert documentation.page("evaluators", "prop2") == documentation.page("evaluators", "proposition2")


@pytest.mark.parametrize("kind", registry.KINDS)
def test_former_names_lead_to_names_of_today_that_nobody_else_has(kind):
    former = renamed.PLUGINS.get(kind, {})
    assert set(former.values()) <= set(registry.names(kind)) and not set(former) & set(registry.names(kind))
    for name in registry.names(kind):
        cls = registry.plugin_class(kind, name)
        settings = set(cls.__dataclass_fields__)
        assert set(cls.renamed.values()) <= settings and not set(cls.renamed) & settings
