import subprocess
import sys

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.resident import gathered, gathered_labels


def test_tensors_and_dicts_of_them():
    x, y = gathered([(torch.full((2,), float(i)), i) for i in range(3)], 3)
    assert x.tolist() == [[0, 0], [1, 1], [2, 2]] and y.tolist() == [0, 1, 2]
    x, y = gathered([({"a": i, "b": [i, i]}, 0.5) for i in range(2)], 2)
    assert x["a"].tolist() == [0, 1] and x["b"].tolist() == [[0, 0], [1, 1]] and y.dtype == torch.float64


def test_a_wider_type_further_on_loses_nothing():
    x, y = gathered([(1, 0), (2.5, 1), (3, 0.25)], 3)
    assert x.tolist() == [1, 2.5, 3] and y.tolist() == [0, 1, 0.25]


def test_labels_alone():
    data = [(torch.zeros(2), i / 2) for i in range(4)]
    assert gathered_labels(data, 4).tolist() == [0, 0.5, 1, 1.5]
    with pytest.raises(BadInput, match="the label of item 4 of the data set has another shape"):
        gathered_labels([*data, (torch.zeros(2), [1, 2])], 5)


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        ((torch.zeros(3), 0), "item 1 of the data set has another shape than item 0"),
        (({"a": torch.zeros(2)}, 0), "item 1 of the data set has another shape than item 0"),
        ((torch.zeros(2), [0, 1]), "the label of item 1 of the data set has another shape"),
    ],
)
def test_items_of_other_shapes_are_named(odd, sentence):
    with pytest.raises(BadInput, match=sentence):
        gathered([(torch.zeros(2), 0), odd], 2)


PEAK = """
import torch
from lacunar.data.stream import load

class Pictures:
    def __len__(self): return 4000
    def __getitem__(self, i): return torch.full((3, 64, 64), float(i)), i % 2

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

torch.set_num_threads(1)
torch.isfinite(torch.zeros(9)).all()
before = peak()
data = load(Pictures())
print((peak() - before) / (data.x.numel() * data.x.element_size()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read as Linux tells it")
def test_loading_takes_the_memory_of_the_data_and_little_more():
    # A process of its own: the peak of this one is that of whatever ran before.
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert 0.9 < float(done.stdout) < 1.2
