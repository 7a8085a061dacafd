"""Requests that the tests of jobs share."""

from __future__ import annotations

from lacunar.jobs.request import Request

OWN = Request(model="usercode:build", data="usercode:train_set", recipe={"epochs": 1}, device="cpu")
"""A training of the user's own code."""

CNN = Request(
    model="small_cnn:width=4,depth=2",
    data="digits:n_train=40,n_test=20",
    recipe={"epochs": 1, "precision": "float32"},
    device="cpu",
)
"""A training by names."""
