"""A plugin of pytest that reports every test at once, so that nothing is lost by a kill.

    python -m pytest -p experiments.benchmarks.pytest_lines

Lines are `{"collected": 12}` and `{"test": name, "outcome": "passed"}`; one that failed, in its
set-up or while it was collected too, has the `last_lines` of its traceback.
"""

from typing import Any

import pytest

from experiments.benchmarks.slices import last_lines, report


def pytest_configure(config: Any) -> None:
    """Report from the main process only: those of xdist hand their results to it."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Reporter(), "lines")


class Reporter:
    """Reports as they come."""

    def __init__(self) -> None:
        self._collected = 0

    def pytest_collection_finish(self, session: Any) -> None:
        """Report the number of tests, where they run in this process."""
        self._report_collected(len(getattr(session, "items", ())))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Report the number of tests, where they run in others."""
        self._report_collected(len(ids))

    def _report_collected(self, count: int) -> None:
        if count > self._collected:
            self._collected = count
            report({"collected": count})

    def pytest_collectreport(self, report: Any) -> None:
        """Report a module that cannot be collected."""
        if report.failed:
            _report_failure(report)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Report a test once: its call, or what kept it from being called."""
        if report.failed:
            _report_failure(report)
        elif report.when == "call" or report.skipped:
            _report(report, report.outcome)


def _report(found: Any, outcome: str, **more: Any) -> None:
    report({"test": found.nodeid, "outcome": outcome, **more})


def _report_failure(found: Any) -> None:
    phase = getattr(found, "when", "collection")
    _report(found, "failed", phase=phase, last_lines=last_lines(found.longreprtext))
