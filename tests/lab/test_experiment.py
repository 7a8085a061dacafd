from __future__ import annotations

import pytest

from lacunar.catalog import registry
from lacunar.core.errors import BadInput
from lacunar.lab.experiment import CONTROLS, Experiment


def test_a_file_becomes_values(tiny_experiment):
    experiment = Experiment.read(tiny_experiment())
    assert experiment.dataset == (
        registry.parse("datasets", "synthetic:n_train=80,n_test=40,classes=3,shape=[6],validation=0.25"),
    )
    assert [m.name() for m in experiment.methods] == [*CONTROLS, "fine_tune"]
    assert experiment.pruners == (None,)
    assert experiment.seeds == (0, 1, 2)


def test_lines_and_tables_say_the_same(tiny_experiment):
    table = tiny_experiment(('"fine_tune:epochs=1"', '{ name = "fine_tune", epochs = 1 }'))
    assert Experiment.read(table).methods[-1] == registry.parse("methods", "fine_tune:epochs=1")


def test_controls_are_added_only_where_they_are_missing(tiny_experiment):
    given = Experiment.read(tiny_experiment(("fine_tune:epochs=1", "retrain")))
    assert sorted(m.name() for m in given.methods) == sorted(CONTROLS)


def test_dense_is_the_lack_of_a_pruner(tiny_experiment):
    given = Experiment.read(tiny_experiment(("oracles = 2", 'oracles = 2\npruners = ["dense", "random:sparsity=0.5"]')))
    assert given.pruners == (None, registry.parse("pruners", "random:sparsity=0.5"))


def test_overrides_win(tiny_experiment):
    folder = tiny_experiment()
    given = Experiment.read(folder, ["recipe.epochs=7", "seeds=[4]", "scenarios=whole_class:label=1", "title=a = b"])
    assert given.recipe["epochs"] == 7 and given.recipe["batch_size"] == 16
    assert given.seeds == (4,)
    assert given.scenarios == (registry.parse("scenarios", "whole_class:label=1"),)
    assert given.title == "a = b"


SHORT = ("[recipe]", "[recipes.short]\nepochs = 1\nrewind = 3\n\n[recipe]")


def test_a_named_recipe_replaces_what_it_names(tiny_experiment):
    folder = tiny_experiment(SHORT)
    short = Experiment.read(folder, recipe="short")
    assert short.recipe == {"epochs": 1, "batch_size": 16} and short.rewind == 3
    assert Experiment.read(folder, ["recipe.epochs=7"], "short").recipe["epochs"] == 7
    whole = Experiment.read(folder)
    assert whole.recipe["epochs"] == 2 and whole.rewind == "init"


def test_wrong_recipes_get_a_sentence(tiny_experiment):
    folder = tiny_experiment(SHORT)
    with pytest.raises(BadInput, match="unknown recipe of the experiment 'shor': did you mean 'short'"):
        Experiment.read(folder, recipe="shor")
    folder = tiny_experiment(("[recipe]", "[recipes.short]\nepoch = 1\n\n[recipe]"))
    with pytest.raises(BadInput, match="unknown setting of the recipe 'epoch': did you mean 'epochs'"):
        Experiment.read(folder)


def test_the_recipe_takes_its_normalisation_from_the_data_unless_it_is_given(tiny_experiment):
    image = ("shape=[6]", "shape=[1,4,4]")
    experiment = Experiment.read(tiny_experiment(image))
    data = experiment.dataset[0].load()
    assert data.normalize is not None
    assert experiment.recipe_for(experiment.model[0], data).normalize == data.normalize
    own = Experiment.read(tiny_experiment(image), ["recipe.normalize=[[0.5],[0.25]]"])
    recipe = own.recipe_for(own.model[0], data)
    assert recipe.normalize == ((0.5,), (0.25,))
    assert recipe.build.inputs == (1, 4, 4) and recipe.build.classes == 3


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("seeds = ", "seed = ", "unknown key of the experiment 'seed': did you mean 'seeds'"),
        ("batch_size = 16", "batchsize = 16", "unknown setting of the recipe 'batchsize': did you mean 'batch_size'"),
        ("batch_size = 16", 'batch_size = "many"', "recipe.batch_size cannot be 'many'"),
        ("epochs = 2\n", "epochs = 0\n", "epochs must be at least 1, got 0"),
        ("batch_size = 16", "build = 16", "unknown setting of the recipe 'build'"),
        ("fine_tune:", "fine_tun:", "unknown method 'fine_tun': did you mean 'fine_tune'"),
        ("fine_tune:epochs=1", "fine_tune:epoch=1", "unknown setting of fine_tune 'epoch': did you mean 'epochs'"),
        ('["fine_tune:epochs=1"]', "[3]", "one of methods is written as a line or as a table with a name, got 3"),
        ('["fine_tune:epochs=1"]', '["fine_tune", "fine_tune:epochs=10"]', "fine_tune is listed twice"),
        ("seeds = [0, 1, 2]", "seeds = [0, 1, 1]", "1 is listed twice"),
        ("seeds = [0, 1, 2]", "seeds = []", "seeds of the experiment cannot be"),
        ("oracles = 2", "oracles = -1", "oracles of the experiment cannot be -1"),
        ('evaluators = ["accuracy"]', "", "the experiment has no 'evaluators'; add it"),
        ("seeds = [", "seeds = ", "is not a TOML file"),
    ],
)
def test_what_is_wrong_gets_a_sentence(tiny_experiment, old, new, sentence):
    folder = tiny_experiment((old, new))
    with pytest.raises(BadInput, match=sentence):
        Experiment.read(folder)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("recipe.epoch=3", "unknown setting of the recipe 'epoch': did you mean 'epochs'"),
        ("epochs", "an override is written key=value"),
        ("title.x=3", "'title.x' cannot be set: title is not a table"),
    ],
)
def test_wrong_overrides_get_a_sentence(tiny_experiment, override, sentence):
    with pytest.raises(BadInput, match=sentence):
        Experiment.read(tiny_experiment(), [override])


def test_no_file(tmp_path):
    with pytest.raises(BadInput, match="there is no experiment"):
        Experiment.read(tmp_path)
