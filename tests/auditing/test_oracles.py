from __future__ import annotations

from lacunar.auditing.oracles import oracle_seed, train_oracles
from lacunar.core import named
from lacunar.core.weights import model_state
from lacunar.training.trainer import PlainTrainer
from lacunar.training.watch import Watch
from tests import problems


def digest(model):
    return named.digest(model_state(model))


def test_oracles_are_trained_on_the_retained_examples_with_their_own_seeds():
    problem = problems.problem("images", masked=True)
    titles = []

    def watch(title):
        titles.append(title)
        return Watch()

    trained = train_oracles(problem, 2, PlainTrainer(watch))
    assert titles == ["oracle 1 of 2", "oracle 2 of 2"] and all(t.about["seconds"] > 0 for t in trained)
    models = [t.model for t in trained]
    again = problem.recipe.fit(problem.retain, oracle_seed(problem.seed, 1), mask=problem.mask)
    assert digest(models[1]) == digest(again) != digest(models[0])
    for name, w in named.weights(models[0]).items():
        assert not bool(w[~problem.mask[name]].any())
