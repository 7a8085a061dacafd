import pytest
import torch

from lacunar.core.rng import keyed_integers
from lacunar.training.augmentation import AUGMENTATIONS, augment


def slow(kind, image, draws):
    """One image at a time: pad, cut, mirror."""
    height, width = image.shape[1:]
    if kind in ("crop", "crop_flip"):
        padded = torch.nn.functional.pad(image, (4, 4, 4, 4))
        top, left = int(draws[1] % 9), int(draws[2] % 9)
    else:
        padded, top, left = image, 0, 0
    mirror = kind in ("flip", "crop_flip") and int(draws[0]) % 2 == 1
    if mirror:
        # Shifting the mirror's columns is cutting the mirrored picture at the other end.
        padded = padded.flip(2)
        left = padded.shape[2] - width - left
    return padded[:, top : top + height, left : left + width]


@pytest.mark.parametrize("kind", AUGMENTATIONS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_equals_one_image_at_a_time(kind, dtype):
    x = torch.randint(0, 256, (40, 3, 7, 9)).to(dtype)
    ids = torch.arange(40) * 3
    draws = keyed_integers(5, 2, ids, 3)
    expected = torch.stack([slow(kind, image, d) for image, d in zip(x, draws, strict=True)])
    assert torch.equal(augment(kind, x, ids, 5, 2), expected)


def test_draws_do_not_depend_on_the_batch():
    x, ids = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8), torch.arange(20)
    whole = augment("crop_flip", x, ids, 0, 1)
    order = torch.randperm(20)
    assert torch.equal(augment("crop_flip", x[order], ids[order], 0, 1), whole[order])
    assert torch.equal(augment("crop_flip", x[3:4], ids[3:4], 0, 1), whole[3:4])
    assert not torch.equal(augment("crop_flip", x, ids, 0, 2), whole)


def test_every_shift_and_mirror_occurs():
    x = torch.zeros(4000, 1, 9, 9, dtype=torch.uint8)
    x[:, :, 4, 4] = 1
    moved = augment("crop_flip", x, torch.arange(4000), 0, 0)
    places = moved.reshape(4000, -1).argmax(1)
    assert len(torch.unique(places)) == 81
    x[:, :, 4, 4], x[:, :, 4, 0] = 0, 1
    mirrored = augment("flip", x, torch.arange(4000), 0, 0)[:, 0, 4, 8].double().mean()
    assert 0.46 < float(mirrored) < 0.54
