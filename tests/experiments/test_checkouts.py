"""The worker of two checkouts imports the one it is told to, and its rows say which is slower."""

import pytest

from experiments.benchmarks import checkouts
from experiments.benchmarks.checkouts import Worker, build_table, measure_row


def make_checkout(folder, body=""):
    package = folder / "jaxscat"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(body)
    return folder


def test_a_worker_measures_the_checkout_that_it_is_given(tmp_path, capfd):
    noisy = "import time\nprint('noise')\ntime.sleep(0.05)\n"
    with Worker(make_checkout(tmp_path / "one", noisy)) as worker:
        assert 0.05 <= worker.import_seconds < 5.0
        # This package has nothing to measure: the request fails, and says where.
        with pytest.raises(RuntimeError, match=r"one: value_and_grad failed"):
            worker.ask("value_and_grad", dataset="cosmic-web", nside=2, calls=1)
    printed = capfd.readouterr()
    assert "noise" in printed.err and "AttributeError" in printed.err


def test_a_worker_refuses_another_jaxscat(tmp_path):
    body = "__file__ = '/elsewhere/jaxscat/__init__.py'"
    with pytest.raises(RuntimeError, match=r"got jaxscat from /elsewhere"):
        Worker(make_checkout(tmp_path, body))


def test_a_row_has_medians_of_both_and_the_ratio_after_over_before():
    row = measure_row("loss", 32, [(1.0, 2.0), (2.0, 4.0), (0.01, 0.03)])
    assert row["before"]["median_seconds"] == 1.0
    assert row["after"]["median_seconds"] == 2.0
    assert row["ratio"] == 2.0
    table = build_table([row, measure_row("import", None, [(0.01, 0.02)])], "a map")
    cells = [list(column.cells) for column in table.columns]
    assert cells[:4] == [
        ["loss", "import"],
        ["32", ""],
        ["1.000 s", "10.00 ms"],
        ["2.000 s", "20.00 ms"],
    ]


def test_a_synthesis_is_named_by_the_steps_that_it_made(tmp_path, monkeypatch):
    asked = []

    class Recorder:
        def __init__(self, checkout):
            self.slow = checkout.name == "after"

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def ask(self, call, **arguments):
            asked.append((call, arguments, self.slow))
            steps = 290 if self.slow else 300
            return {"run_seconds": 3.0 + 3.0 * self.slow, "evaluations": 2 * steps, "steps": steps}

    monkeypatch.setattr(checkouts, "Worker", Recorder)
    options = checkouts.parse(["before", "after", "--nsides", "32", "--syntheses", "2"])
    whole, one = checkouts.measure_syntheses(options)
    assert (whole["quantity"], whole["ratio"]) == ("290 to 300 steps", 2.0)
    assert one["ratio"] == pytest.approx(2.0 * 300 / 290)
    # The first pair compiles and does not count.
    assert [slow for *_, slow in asked] == [False, True, True, False, False, True]
    assert whole["before"]["calls"] == 2
    problem = {"dataset": "cosmic-web", "nside": 32, "steps": 300}
    assert all(request[:2] == ("synthesize", problem) for request in asked)
