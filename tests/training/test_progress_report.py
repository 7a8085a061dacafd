import io
from dataclasses import replace

from lacunar.training.progress_report import Report
from lacunar.training.watch import Watch
from tests.training.test_recipe import RECIPE


def test_report_prints_one_line_per_epoch_off_a_terminal(tiny):
    out = io.StringIO()
    replace(RECIPE, epochs=3).fit(tiny, 0, watch=Watch(callbacks=[Report("fit", out)]))
    lines = out.getvalue().splitlines()
    assert len(lines) == 3 and lines[2].startswith("fit: epoch 3/3 loss ")


def test_report_draws_a_bar_on_a_terminal_and_cleans_up(tiny):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = Terminal()
    RECIPE.fit(tiny, 0, watch=Watch(callbacks=[Report("fit", out)]))
    text = out.getvalue()
    assert ("fit" in text and "epoch 2/2" in text) or "epoch" in text
    assert text.count("\x1b[?25h") == text.count("\x1b[?25l"), "the cursor is shown again"
