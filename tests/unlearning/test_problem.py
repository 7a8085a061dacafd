import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from lacunar.methods.fine_tuning.fine_tune import FineTune
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem


def model():
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def test_a_problem_splits_the_training_set_by_id(tiny):
    problem = Problem.of(model(), tiny, [15, 5], device="cpu")
    assert problem.forget.ids.tolist() == [15, 5] and len(problem.retain) == 10
    assert not torch.isin(problem.retain.ids, problem.forget.ids).any()
    assert Problem.of(model(), tiny, tiny.where([5]), device="cpu").forget.ids.tolist() == [5]
    assert Problem.of(model(), (tiny.x, tiny.y), [11], device="cpu").forget.ids.tolist() == [11]


@pytest.mark.parametrize(
    ("forget", "sentence"),
    [
        ([], "there are no ids to forget"),
        ([1, 2], "2 of 2 ids are not in the data .*: 1, 2"),
        (list(range(5, 120, 10)), "all 12 training examples are to be forgotten"),
        (["a"], "whole numbers"),
        ([-5], "1 of 1 ids are not in the data"),
    ],
)
def test_bad_requests(tiny, forget, sentence):
    with pytest.raises(BadInput, match=sentence):
        Problem.of(model(), tiny, forget, device="cpu")


def test_duplicates_are_counted_once_and_said(tiny):
    with pytest.warns(UserWarning, match="3 entries but 2 distinct ids"):
        problem = Problem.of(model(), tiny, [5, 15, 5], device="cpu")
    assert len(problem.forget) == 2 and "distinct" in problem.notes[0]


def test_a_class_that_disappears_is_said(tiny):
    gone = tiny.ids[tiny.y == 1]
    assert "class 1 disappears" in Problem.of(model(), tiny, gone, device="cpu").notes[0]
    assert Problem.of(model(), tiny, gone[:2], device="cpu").notes == ()


@pytest.mark.parametrize(("shift", "low"), [(1, 1), (-1, -1)])
def test_labels_must_fit_the_head(tiny, shift, low):
    with pytest.raises(BadInput, match=rf"labels run from {low} to .* but the model has 3 logits"):
        Problem.of(model(), tiny.labelled(tiny.y + shift), [5], device="cpu")


def test_broken_weights_and_masks_are_refused(tiny):
    broken = model()
    with torch.no_grad():
        broken.bias[0] = float("nan")
    with pytest.raises(BadInput, match="NaN or infinity in bias"):
        Problem.of(broken, tiny, [5], device="cpu")
    zeros = masks.full(named.weights(model()), False)
    with pytest.raises(BadInput, match="non-zero weights outside its mask"):
        Problem.of(model(), tiny, [5], device="cpu", mask=zeros)
    with pytest.raises(BadInput, match="same model"):
        Problem.of(model(), tiny, [5], device="cpu", where={"x": torch.ones(1).bool()})
    with pytest.raises(BadInput, match="no trainable weight"):
        Problem.of(nn.ReLU(), tiny, [5], device="cpu")


def test_closed_form_updates_respect_the_masks(tiny):
    where = {"weight": torch.rand(3, 4) < 0.5, "bias": torch.zeros(3).bool()}
    problem = Problem.of(model(), tiny, [5], device="cpu", where=where)
    net = model()
    before = named.weights(net)
    problem.move(net, {n: torch.ones_like(w) for n, w in before.items()})
    after = named.weights(net)
    assert torch.equal(after["bias"], before["bias"])
    assert torch.equal(after["weight"], torch.where(where["weight"], before["weight"] + 1, before["weight"]))


def test_pruning_hooks_get_a_sentence(tiny):
    hooked = model()
    prune.l1_unstructured(hooked, "weight", 0.5)
    hooked(tiny.x)
    with pytest.raises(BadInput, match=r"pruning hooks, .*prune\.remove"):
        Problem.of(hooked, tiny, [5], device="cpu")


def test_streams_work_end_to_end(tiny):
    from lacunar.data.stream import Stream, load

    recipe = Recipe(model, epochs=1, lr=0.1, batch_size=4)
    data = [(tiny.x[i], int(tiny.y[i])) for i in range(12)]
    streamed = load(data, resident_bytes=0)
    assert isinstance(streamed, Stream)
    results = []
    for train in (streamed, Examples.of(tiny.x, tiny.y)):
        problem = Problem.of(recipe.fit(train, 0), train, [3, 4], recipe, device="cpu")
        results.append(named.digest(named.weights(FineTune(epochs=2, batch_size=5)(problem).model)))
    assert results[0] == results[1]


@pytest.mark.parametrize("form", [lambda y: y.float(), lambda y: y[:, None]])
def test_labels_of_another_form_get_a_sentence(tiny, form):
    with pytest.raises(BadInput, match="do not fit the loss 'cross_entropy' on logits"):
        Problem.of(model(), tiny.labelled(form(tiny.y)), [5], device="cpu")


def test_numpy_arrays_are_taken_as_they_come(tiny):
    problem = Problem.of(model(), (tiny.x.double().numpy(), tiny.y.numpy()), [5], device="cpu")
    assert problem.retain.x.dtype == torch.float32


def test_names_of_examples_are_forgotten_like_ids():
    train = Examples.of(torch.randn(4, 3), torch.arange(4) % 2, ["ada", "bob", "cy", "dan"], groups=[1, 2, 1, 2])
    problem = Problem.of(nn.Linear(3, 2), train, ["cy", "ada"], device="cpu")
    assert sorted(problem.forget.ids.tolist()) == [0, 2]
    assert problem.retain.names is not None and problem.retain.names.values.tolist() == ["bob", "dan"]
    assert Problem.of(nn.Linear(3, 2), train, train.members([2]), device="cpu").retain.ids.tolist() == [0, 2]
