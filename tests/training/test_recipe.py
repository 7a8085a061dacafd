import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from lacunar.auditing.trial import Trial
from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.batches import Batch, NamedBatches
from lacunar.data.examples import Examples
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.training import forward
from lacunar.training.loop import descend
from lacunar.training.recipe import Recipe
from lacunar.training.settings import Descent
from tests import problems


def build():
    return nn.Linear(4, 3)


RECIPE = Recipe(build, epochs=2, lr=0.1, batch_size=4)


def test_initialisation_and_order_are_seeded_apart(tiny):
    assert torch.equal(RECIPE.fresh(0).weight, RECIPE.fresh(0).weight)
    assert not torch.equal(RECIPE.fresh(0).weight, RECIPE.fresh(1).weight)
    base = RECIPE.fit(tiny, 0).weight
    assert torch.equal(RECIPE.fit(tiny, 0, order_seed=0).weight, base)
    assert not torch.equal(RECIPE.fit(tiny, 0, order_seed=1).weight, base)


def test_training_needs_a_build():
    with pytest.raises(NotApplicable, match="give it build="):
        Recipe().fresh(0)
    with pytest.raises(BadInput, match=r"must return a torch\.nn\.Module, got int"):
        Recipe(lambda: 3).fresh(0)


def test_a_users_own_training(tiny):
    def train(model, examples, seed):
        with torch.no_grad():
            model.weight.fill_(seed + len(examples) + torch.rand(1).item() * 0)
        return model.train()

    own = replace(RECIPE, train=train)
    model = own.fit(tiny, 5)
    assert model.weight[0, 0].item() == 17 and not model.training
    for refused in ({"skip": [5]}, {"mask": masks.full(named.weights(model), True)}):
        with pytest.raises(NotApplicable, match="its own train="):
            own.fit(tiny, 0, **refused)


def test_a_training_that_returns_nothing_gets_a_sentence(tiny):
    with pytest.raises(BadInput, match=r"must return the trained torch\.nn\.Module, got NoneType"):
        replace(RECIPE, train=lambda model, examples, seed: None).fit(tiny, 0)


def test_start_and_mask(tiny):
    start = build()
    mask = {"weight": torch.zeros(3, 4).bool(), "bias": torch.ones(3).bool()}
    model = RECIPE.fit(tiny, 0, start=start, mask=mask)
    assert not model.weight.any() and start.weight.all() and model.bias.any()


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_prepared_in_channels_last_and_the_given_ones_are_left_alone(channels):
    recipe = Recipe(normalize=((0.5,), (0.25,)))
    for x in (torch.full((2, channels, 4, 5), 51, dtype=torch.uint8), torch.full((2, channels, 4, 5), 0.2)):
        given = x.clone()
        prepared = recipe.prepare(x)
        assert prepared.stride() == (20 * channels, 1, 5 * channels, channels)
        assert torch.allclose(prepared, torch.tensor(-1.2))
        assert torch.equal(x, given)


def test_inputs_are_prepared_alike_in_training_and_judging():
    # A public copy normalises inputs in training, but neither in unlearning nor in evaluation.
    x = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    recipe = Recipe(normalize=((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)), augment="crop_flip")
    expected = (x.float() / 255 - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.2, 0.3, 0.4])[
        :, None, None
    ]
    assert torch.allclose(recipe.prepare(x), expected, atol=1e-6)
    batch = Batch(x, torch.zeros(6), torch.arange(6))
    assert torch.allclose(recipe.for_training(0, augmented=False)(batch).x, expected, atol=1e-6)
    assert not torch.allclose(recipe.for_training(0)(batch).x, expected, atol=1e-6)
    both = recipe.for_training(0, augmented=False)(NamedBatches({"a": batch, "b": batch}))
    assert torch.equal(both["a"].x, both["b"].x) and torch.allclose(both["b"].x, expected, atol=1e-6)
    assert x.dtype == torch.uint8, "stored images are not touched"


def test_the_same_pixels_give_the_same_logits_to_who_trains_who_unlearns_and_who_judges():
    problem = problems.problem("images")
    seen = []

    def watched(model, batch):
        with forward.eval_mode(model):
            seen.append((batch.ids, forward.logits(model, batch.x).detach()))
        return problem.loss(model, batch)

    # Nothing moves, BatchNorm statistics included, so that only the way of the pixels could make a difference.
    how = Descent(epochs=1, lr=0.0, batch_size=8, weight_decay=0.0, precision="float32", batchnorm="frozen")
    once = {"seed": 0, "inputs": problem.recipe.for_training(0, augmented=False)}
    descend(copy.deepcopy(problem.model), problem.retain, watched, how, **once)
    problem.descend(copy.deepcopy(problem.model), problem.retain, watched, how, augment=False, precision="float32")
    trial = Trial(DoNothing()(problem), problem.forget)
    judged = trial.logits("retain")
    assert len(seen) == 2 * problem.retain.steps(8)
    for ids, z in seen:
        assert torch.allclose(z, judged[problem.retain.positions(ids)], atol=1e-5)


def test_floats_pass_and_dicts_pass():
    assert torch.equal(Recipe().prepare(torch.tensor([[2.0]])), torch.tensor([[2.0]]))
    assert Recipe().prepare({"a": torch.tensor([1])}) == {"a": torch.tensor([1])}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"augment": "crops"}, "unknown augmentation 'crops': did you mean 'crop'"),
        ({"loss": "cross_entropi"}, "unknown loss 'cross_entropi': did you mean 'cross_entropy'"),
        ({"normalize": ((0.0,), (0.0,))}, "must be > 0"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"schedule": "x"}, "unknown schedule"),
    ],
)
def test_bad_settings(settings, sentence):
    with pytest.raises(BadInput, match=sentence):
        Recipe(build, **settings)


def test_normalisation_must_fit_the_channels(tiny):
    with pytest.raises(BadInput, match="normalize has 2 channels, the inputs have 3"):
        Recipe(normalize=((0.0, 0.0), (1.0, 1.0))).prepare(torch.zeros(1, 3, 2, 2))
    with pytest.raises(BadInput, match="is for images"):
        replace(RECIPE, augment="flip").fit(tiny, 0)


def other():
    return nn.Linear(4, 3, bias=False)


def test_digest_sees_settings_build_and_architecture():
    recipes = [RECIPE, replace(RECIPE, lr=0.2), replace(RECIPE, build=other), replace(RECIPE, schedule=lambda p: 1.0)]
    assert len({r.digest() for r in recipes}) == 4
    assert Recipe(build, epochs=2, lr=0.1, batch_size=4).digest() == RECIPE.digest()


def test_settings_are_plain():
    settings = RECIPE.settings()
    assert settings["build"].endswith(":build") and settings["epochs"] == 2 and settings["normalize"] is None


def test_skipping_unknown_ids_is_an_error(tiny):
    with pytest.raises(BadInput, match="ids are not in the data"):
        RECIPE.fit(tiny, 0, skip=[6])


def test_a_memorizing_world(digits):
    z = digits.recipe.predict(digits.model, digits.train)
    flipped = torch.isin(digits.train.ids, digits.flipped)
    assert float((z.argmax(1) == digits.train.y)[flipped].double().mean()) > 0.9
    assert problems.World is type(digits)


def test_binary_and_regression_recipes():
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    binary = Recipe(lambda: nn.Linear(3, 1), epochs=30, lr=0.5, batch_size=8, loss="binary_cross_entropy")
    examples = Examples.of(x, y)
    z = binary.predict(binary.fit(examples, 0), examples)
    assert float(((z[:, 0] > 0).long() == y).double().mean()) > 0.95
    line = Examples.of(x, x @ torch.tensor([1.0, -2.0, 0.5]))
    squares = Recipe(lambda: nn.Linear(3, 1), epochs=60, lr=0.1, batch_size=8, loss="squared_error", weight_decay=0)
    assert torch.allclose(squares.fit(line, 0).weight, torch.tensor([[1.0, -2.0, 0.5]]), atol=0.02)
