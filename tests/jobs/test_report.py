"""The pages of an experiment as a job; those of a finished one are in the tests of ``run``."""

from __future__ import annotations

import pytest

from lacunar.core.errors import BadInput
from lacunar.jobs.report import perform


def test_without_results_there_is_nothing_to_write(tmp_path):
    with pytest.raises(BadInput, match="there are no results in"):
        perform(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
