"""Experiments: what to run is a value, every result is a line of a file, every trained model is kept and shared."""

from lacunar.lab.experiment import Experiment
from lacunar.lab.record import Record
from lacunar.lab.results import read
from lacunar.lab.runner import run

__all__ = ["Experiment", "Record", "read", "run"]
