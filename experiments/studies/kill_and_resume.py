"""Kill a run at random moments, resume it, and compare its results with those of one left alone.

    python -m experiments.studies kill --kills 20 [--section.key value ...]

Every run is a process of its own, killed with SIGKILL. Results are compared byte by byte: maps,
losses, tables, and every number of results.json but the times. Prints a line per kill; ends with
status 1 if any result differs.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments.studies.options import split_overrides, study_parser
from experiments.studies.run_folders import finish, read_maps, read_results

CONFIG = Path(__file__).parents[2] / "configs" / "ensemble_quick.toml"
FILES = ("config.toml", "history.csv", "ensemble.csv")


def build_command(config: Path, folder: Path, overrides: list[str], *more: str) -> list[str]:
    program = [sys.executable, "-m", "jaxscat_command", "run", str(config), "--output", str(folder)]
    return [*program, *more, *overrides]


def kill_after(arguments: list[str], seconds: float) -> bool:
    """Start a run and kill it after some seconds; return whether it was still running."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def read_content(folder: Path) -> dict[str, object]:
    """Read what has to be the same in two runs."""
    found: dict[str, object] = {name: map.tobytes() for name, map in read_maps(folder).items()}
    found |= {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
    return found | {"results": read_results(folder)}


def describe_state(folder: Path) -> str:
    """Say how far a run had come when it was killed."""
    place = folder.with_name(folder.name + ".unfinished")
    if not place.exists():
        return "finished" if folder.exists() else "nothing on disk yet"
    steps = [int(path.stem) for path in place.glob("checkpoints/*/*.npz") if path.stem.isdigit()]
    return f"checkpoint {max(steps)}" if steps else "no checkpoint yet"


def main(arguments: list[str]) -> int:
    arguments, overrides = split_overrides(arguments)
    parser = study_parser("kill", "Kill runs, resume them, compare.")
    parser.epilog = "Overrides --section.key value are passed on to the runs; put them last."
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--twice", type=float, default=0.3, help="part that is killed again")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary) / "whole"
        began = time.monotonic()
        finish(build_command(options.config, whole, overrides))
        length = time.monotonic() - began
        expected = read_content(whole)
        print(f"uninterrupted run: {length:.0f} s", flush=True)
        differing = 0
        number = 0
        while number < options.kills:
            folder = Path(temporary) / f"run_{number + 1}"
            moments = [chance.uniform(0, length)]
            running = kill_after(build_command(options.config, folder, overrides), moments[0])
            if not running:
                # Runs take less time than the first one took: this was no kill.
                length = moments[0]
                print(
                    f"a run had ended after {length:.1f} s; moments are drawn from less", flush=True
                )
                shutil.rmtree(folder)
                continue
            number += 1
            states = [describe_state(folder)]
            while running and chance.random() < options.twice and "nothing" not in states[-1]:
                moments.append(chance.uniform(0, length))
                again = build_command(options.config, folder, overrides, "--resume")
                running = kill_after(again, moments[-1])
                states.append(describe_state(folder))
            # Before anything is on disk there is nothing to resume: such a run begins again.
            more = () if "nothing" in states[-1] else ("--resume",)
            finish(build_command(options.config, folder, overrides, *more))
            found = read_content(folder)
            names = sorted(expected.keys() | found.keys())
            wrong = [name for name in names if found.get(name) != expected.get(name)]
            left = [path.name for path in Path(temporary).iterdir() if "unfinished" in path.name]
            differing += bool(wrong or left)
            when = ", ".join(
                f"{moment:.1f} s ({state})" for moment, state in zip(moments, states, strict=True)
            )
            verdict = f"DIFFERS in {', '.join([*wrong, *left])}" if wrong or left else "the same"
            print(f"kill {number:2}: after {when}: {verdict}", flush=True)
    print(f"{options.kills - differing} of {options.kills} runs are the uninterrupted one")
    return int(differing > 0)
