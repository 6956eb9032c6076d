"""Slices of a long measurement: processes with a time budget each, that report line by line.

A slice writes one JSON object per line to a file, as soon as it has it. What is there when its
time is over counts; the rest was not measured.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmarks.harness import fresh_environment

# The environment variable with the file for the lines of a slice.
LINES = "JAXSCAT_BENCHMARK_LINES"
POLL_SECONDS = 0.5
LAST_LINES = 20
NOT_MEASURED = "not measured"
Line = dict[str, Any]


def report(line: Line) -> None:
    """Write a line of the slice that this process is; without one, print it."""
    text = json.dumps(line)
    path = os.environ.get(LINES)
    if path is None:
        print(text, flush=True)
        return
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(text + "\n")


def run_slice(
    command: Sequence[str],
    budget: float,
    folder: Path,
    take: Callable[[Line], None],
    **settings: str,
) -> Line:
    """Run a slice and hand over its lines as they come.

    Args:
        command: of the process.
        budget: seconds after which it is ended, with all that it has started.
        folder: for its lines and its output; it must be empty.
        take: called with every line.
        settings: of the environment.

    Returns:
        `ended` ("by itself", "cut off" or a status), `seconds`, and the last lines of the output
        unless it ended by itself.
    """
    lines, log = folder / "lines", folder / "log"
    lines.touch()
    environment = fresh_environment(**settings, **{LINES: str(lines)})
    begin = time.perf_counter()
    with log.open("wb") as output, lines.open(encoding="utf-8") as stream:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            while process.poll() is None and time.perf_counter() - begin < budget:
                time.sleep(POLL_SECONDS)
                _take_lines(stream, take)
            cut = process.poll() is None
        finally:
            _end(process)
        _take_lines(stream, take)
    found: Line = {"seconds": round(time.perf_counter() - begin, 1)}
    if not cut and process.returncode == 0:
        return {"ended": "by itself", **found}
    ended = f"cut off after {budget:.0f} s" if cut else f"status {process.returncode}"
    return {"ended": ended, **found, "last_lines": last_lines(log.read_text(errors="replace"))}


def _take_lines(stream: Any, take: Callable[[Line], None]) -> None:
    """Hand over all whole lines since the last time."""
    while True:
        place = stream.tell()
        text = stream.readline()
        if not text.endswith("\n"):
            stream.seek(place)
            return
        take(json.loads(text))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it has started, which share its group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_lines(text: str) -> list[str]:
    """Return the last lines of a text that say something."""
    return [line for line in text.splitlines() if line.strip()][-LAST_LINES:]
