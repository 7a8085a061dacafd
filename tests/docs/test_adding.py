"""The example of every page "adding a ..." runs as it is printed, and does what the page says."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from lacunar.auditing.trial import Trial
from lacunar.catalog import documentation
from lacunar.core import named
from lacunar.data.examples import Examples
from lacunar.sparsity.score import Score
from tests.problems import problem

PAGES = Path(__file__).parents[2] / "docs"
EXAMPLES = {
    "adding_a_method": "NoisyFineTune",
    "adding_an_evaluator": "TrueLabel",
    "adding_a_score": "RelativeMagnitude",
    "adding_a_pruner": "Lamp",
    "adding_a_data_set": "Moons",
}


def code(page: str) -> str:
    """The one Python block of a page."""
    (block,) = re.findall(r"```python\n(.*?)```", (PAGES / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)
    return block


@pytest.fixture
def example(tmp_path, monkeypatch):
    """A page's class, imported from a file as a third party's package would be."""

    def load(page: str) -> type:
        path = tmp_path / f"{page}.py"
        path.write_text(code(page), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(f"example_of_{page}", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return getattr(module, EXAMPLES[page])

    return load


@pytest.mark.parametrize("page", EXAMPLES)
def test_an_example_is_a_documented_value_with_settings(page, example):
    cls = example(page)
    made = cls()
    assert type(made)(**made.settings()) == made and json.dumps(made.spec())
    first = documentation.text(cls).partition("\n")[0]
    assert first.endswith(".") and not re.search(r"\\|:math|\{", first)
    assert made.name() == re.sub(r"(?<!^)(?=[A-Z])", "_", EXAMPLES[page]).lower()


@pytest.mark.parametrize("page", EXAMPLES)
def test_an_example_is_formatted_like_the_rest(page, tmp_path):
    path = tmp_path / "example.py"
    path.write_text(code(page), encoding="utf-8")
    root = PAGES.parent / "pyproject.toml"
    for verb in (["format", "--check"], ["check"]):
        said = subprocess.run(
            [sys.executable, "-m", "ruff", *verb, "--no-cache", "--config", str(root), str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stdout


def test_the_method_trains_with_noise_that_its_setting_scales(example):
    method, posed = example("adding_a_method"), problem("vectors")
    still, same, shaken = (method(epochs=2, noise=noise)(posed) for noise in (0.0, 0.0, 0.1))
    states = [named.weights(outcome.model) for outcome in (still, same, shaken)]
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(states[0].values(), states[2].values(), strict=True))


def test_the_evaluator_says_mean_probabilities_of_the_labels(example):
    posed = problem("vectors")
    do_nothing = documentation.plugin_class("methods", "do_nothing")()
    trial = Trial(do_nothing(posed), posed.retain)
    forget, test = example("adding_an_evaluator")().measure([trial])
    wanted = trial.logits("forget").softmax(1)[range(len(posed.forget)), trial.labels("forget")].mean()
    assert forget.value == pytest.approx(float(wanted)) and forget.n == len(posed.forget)
    assert (test.name, test.direction, test.n) == ("true_label_test", "match", len(posed.retain))


def test_the_score_is_one_at_the_largest_weight_of_each_tensor(example):
    score, posed = example("adding_a_score")(), problem("vectors")
    assert isinstance(score, Score)
    values = posed.scores(score)
    for name, weight in named.weights(posed.model).items():
        assert values[name].max() == 1 and values[name].argmax() == weight.abs().argmax()


def test_the_pruner_keeps_as_many_as_asked_and_the_largest_of_each_layer(example):
    net = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
    nn.init.constant_(net[1].weight, 1e-3)
    with torch.no_grad():
        net[1].weight[0, 0] = 2e-3
    mask = example("adding_a_pruner")(sparsity=0.9, scope="conv+linear").mask(net, None, torch.Generator())
    assert sum(int(mask[name].sum()) for name in ("0.weight", "1.weight")) == 5
    # By magnitude alone the second layer would be empty.
    assert mask["1.weight"][0, 0] and mask["0.bias"].all()
    first = net[0].weight.detach().flatten()
    share = first.square() / torch.stack([first[first.abs() >= w.abs()].square().sum() for w in first])
    kept = int(mask["0.weight"].sum())
    assert set(mask["0.weight"].flatten().nonzero().flatten().tolist()) == set(share.topk(kept).indices.tolist())


def test_the_data_set_has_distinct_ids_and_both_classes(example):
    moons = example("adding_a_data_set")(n_train=30, n_test=20)
    parts, again = moons.load(), moons.load()
    assert isinstance(parts.train, Examples) and (len(parts.train), len(parts.test)) == (30, 20)
    assert torch.equal(torch.cat([parts.train.ids, parts.test.ids]), torch.arange(50))
    assert set(parts.train.y.tolist()) == set(parts.test.y.tolist()) == {0, 1}
    assert torch.equal(parts.train.x, again.train.x) and parts.train.x.dtype == torch.float32
