"""Send a signal to a run at many moments, and look at how it ends.

    python -m experiments.studies signals --tries 40 [--section.key value ...]

Every run is a process of its own, which gets one of SIGINT, SIGTERM and SIGHUP. The moments lie
evenly between its start and `--until`; by default that is when an uninterrupted run ends. A signal
has to end the run with the status 130, without a traceback, and what it leaves has to be resumed
or written whole. Prints a line per signal; ends with status 1 if any run ended otherwise.
"""

from __future__ import annotations

import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from experiments.studies.kill_and_resume import build_command
from experiments.studies.options import split_overrides, study_parser
from experiments.studies.run_folders import finish

CONFIG = Path(__file__).parents[2] / "configs" / "quickstart.toml"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
LAST_MOMENT = 0.3  # seconds in which a process ends that has done its work


class Ending(NamedTuple):
    """How a run has ended.

    Attributes:
        code: exit status, negative where a signal has killed it; None if it had ended before.
        seconds: from the signal to the end.
        errors: what it has written on the standard error.
    """

    code: int | None
    seconds: float
    errors: str


def signal_after(arguments: list[str], moment: float, sent: signal.Signals) -> Ending:
    """Start a run, send it a signal after some seconds and wait for its end."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        # Shells have their background jobs ignore some signals; children of this one must not.
        former = {each: signal.signal(each, signal.default_int_handler) for each in SIGNALS}
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=errors)
        for each, handler in former.items():
            signal.signal(each, handler)
        code, began = None, time.monotonic() + moment
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(sent)
            code = process.wait()
        errors.seek(0)
        return Ending(code, time.monotonic() - began, errors.read())


def judge(ending: Ending, folder: Path, sent: signal.Signals) -> str:
    """Say what is wrong with the end of a run that got a signal; nothing if it is as it should.

    While Python imports the package there is nothing to clean up, and while it ends there is
    nothing to interrupt: the signal then ends the process by itself, or changes nothing.
    """
    importing = not ending.errors and ending.code == -sent
    over = ending.code == 0 and ending.seconds < LAST_MOMENT and (folder / "run.json").exists()
    if ending.code in (None, INTERRUPTED) or importing or over:
        wrong = []
    else:
        wrong = ["the signal was lost" if ending.code == 0 else f"status {ending.code}"]
    if "Traceback" in ending.errors:
        wrong.append("a traceback")
    said = ending.errors.splitlines()[-1] if ending.errors else ""
    state = folder.with_name(folder.name + ".unfinished").exists()
    if "--resume" in said and not state:
        wrong.append("nothing to resume")
    if "map so far is written" in said and not (folder / "results.json").exists():
        wrong.append("no results")
    if "nothing is written" in said and (state or folder.exists()):
        wrong.append("something was written")
    return ", ".join(wrong)


def main(arguments: list[str]) -> int:
    arguments, overrides = split_overrides(arguments)
    parser = study_parser("signals", "Send signals to runs at many moments.")
    parser.epilog = "Overrides --section.key value are passed on to the runs; put them last."
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--tries", type=int, default=40)
    parser.add_argument("--until", type=float, default=None, help="last moment, in seconds")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        until = options.until
        if until is None:
            began = time.monotonic()
            finish(build_command(options.config, Path(temporary) / "whole", overrides))
            until = time.monotonic() - began
        failed, sent_to = 0, 0
        for number in range(options.tries):
            moment = until * (number + chance.random()) / options.tries
            sent = chance.choice(SIGNALS)
            folder = Path(temporary) / f"run_{number}"
            ending = signal_after(build_command(options.config, folder, overrides), moment, sent)
            wrong = judge(ending, folder, sent)
            failed, sent_to = failed + bool(wrong), sent_to + (ending.code is not None)
            said = ending.errors.strip().splitlines()[-1:] or [""]
            how = "had ended before" if ending.code is None else f"{ending.seconds:.1f} s later"
            print(
                f"{sent.name:7} after {moment:5.2f} s: {wrong or 'right'} ({how}: {said[0]})",
                flush=True,
            )
    print(f"{sent_to - failed} of {sent_to} runs have ended as they should")
    return int(failed > 0)
