"""The speed benchmark: the baseline is what it says, both ways agree, and the tables come from the results."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks.speed import public_way, table, training
from benchmarks.speed.cases import CASES, agreement, images, public, restore, save
from PIL import Image

from benchmarks import timing
from lacunar.catalog.registry import find
from lacunar.data.data_set import Splits
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe


def small_data(channels: int, n: int = 96) -> Splits:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (n, channels, 8, 8), generator=generator, dtype=torch.uint8)
    examples = Examples.of(x, torch.arange(n) % 3)
    return Splits(examples, examples, ((0.4,) * channels, (0.3,) * channels))


def recipe_for(data: Splits, **more) -> Recipe:
    model = find("models", "small_cnn", width=4, depth=2).shaped(data.train)
    return Recipe(model, epochs=1, batch_size=32, lr=0.05, normalize=data.normalize, precision="float32", **more)


@pytest.mark.parametrize("channels", [1, 3])
def test_both_ways_agree_when_nothing_is_random(channels, capsys):
    data = small_data(channels)
    found = agreement(recipe_for(data, augment="crop_flip"), data.train, batches=2)
    assert found["inputs"] < 1e-6
    assert found["weights"] < 1e-9


def test_disagreement_stops_the_benchmark(monkeypatch):
    data = small_data(1)
    monkeypatch.setattr(training, "agreement", lambda recipe, examples: {"inputs": 0.0, "weights": 0.5})
    with pytest.raises(SystemExit, match="do not do the same thing"):
        training.agree(replace(CASES["mlp 64-128-10, digits"], model="mlp"), data)


def test_the_public_way_repeats_itself(capsys):
    data = small_data(3)
    recipe = recipe_for(data, augment="crop_flip")
    one, same, other = (public(recipe, data.train, seed).head.weight for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert "epoch 0 [0/3] loss" in capsys.readouterr().out


@pytest.mark.parametrize("draw", [(0, 0), (4, 4), (8, 1)])
def test_a_crop_is_a_window_over_a_black_border(draw, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    values = iter(draw)
    monkeypatch.setattr(random, "randint", lambda low, high: next(values))
    left, top = draw
    expected = np.pad(pixels, ((4, 4), (4, 4), (0, 0)))[top : top + 8, left : left + 8]
    assert np.array_equal(np.asarray(public_way.RandomCrop()(Image.fromarray(pixels))), expected)


@pytest.mark.parametrize(("draw", "mirrored"), [(0.4, True), (0.6, False)])
def test_a_flip_mirrors_left_and_right(draw, mirrored, monkeypatch):
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 6)
    monkeypatch.setattr(random, "random", lambda: draw)
    flipped = np.asarray(public_way.RandomFlip()(Image.fromarray(pixels)))
    assert np.array_equal(flipped, pixels[:, ::-1] if mirrored else pixels)


def test_workers_read_the_same_examples(tmp_path):
    data = small_data(3)
    save(data, 10, tmp_path / "part.npz")
    again = restore(tmp_path / "part.npz")
    assert torch.equal(again.train.x, data.train.x[:10])
    assert torch.equal(again.train.y, data.train.y[:10])
    assert again.normalize == data.normalize
    assert len(images(recipe_for(again), again.train)) == 10


def test_the_tables_of_the_page_are_those_of_the_results():
    rows = timing.read(training.HERE)
    assert {row["case"] for row in rows} == set(CASES)
    assert {row["what"] for row in rows} == {"agreement", "training", "accuracy", "inputs", "steps", "profile"}
    assert table.page(rows) in (training.HERE / "README.md").read_text(encoding="utf-8")


def test_tables_replace_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "HERE", tmp_path)
    (tmp_path / "README.md").write_text("before\n" + "old".join(training.MARKS) + "after\n")
    row = {"what": "accuracy", "case": "c", "value": 0.5}
    rows = [{**row, "variant": way, "seed": s, "value": 0.5 + s / 10} for way in ("ours", "public") for s in range(3)]
    training.renew_tables([{"what": "agreement", "case": "c", "inputs": 0.0, "weights": 2e-5}, *rows])
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| c | 60.0 ± 10.0 | 60.0 ± 10.0 | 2e-05 |" in text
