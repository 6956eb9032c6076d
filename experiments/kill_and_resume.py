"""Kill a run at random moments, resume it, and see that its results are those of one left alone.

    python experiments/kill_and_resume.py --kills 20

Every run is a process of its own, killed with SIGKILL. Results are compared byte by byte: maps,
losses, tables, and every number of results.json but the times. Prints a line per kill; ends with
status 1 if any result differs.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = Path(__file__).parents[1] / "configs" / "ensemble_quick.toml"
FILES = ("config.toml", "history.csv", "ensemble.csv")


def command(config: Path, folder: Path, overrides: list[str], *more: str) -> list[str]:
    program = [sys.executable, "-m", "jaxscat.cli", "run", str(config), "--output", str(folder)]
    return [*program, *more, *overrides]


def finish(arguments: list[str]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")


def killed(arguments: list[str], seconds: float) -> bool:
    """Kill a run after so many seconds; whether it was still running."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def content(folder: Path) -> dict[str, object]:
    """What has to be the same in two runs."""
    from astropy.io import fits

    with fits.open(folder / "maps.fits") as units:
        table = units[1].data  # pyright: ignore[reportAttributeAccessIssue]
        found: dict[str, object] = {"maps": table.tobytes()}
    found |= {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
    results = json.loads((folder / "results.json").read_text())
    return found | {"results": without_times(results)}


def without_times(tree: object) -> object:
    if isinstance(tree, dict):
        return {name: without_times(v) for name, v in tree.items() if "seconds" not in name}
    return [without_times(value) for value in tree] if isinstance(tree, list) else tree


def state_of(folder: Path) -> str:
    """Where a kill has met the run."""
    place = folder.with_name(folder.name + ".unfinished")
    if not place.exists():
        return "finished" if folder.exists() else "nothing on disk yet"
    steps = [int(path.name) for path in place.glob("checkpoints/*/*") if path.name.isdigit()]
    return f"checkpoint {max(steps)}" if steps else "no checkpoint yet"


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill runs, resume them, compare.")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--twice", type=float, default=0.3, help="part that is killed again")
    parser.add_argument("--seed", type=int, default=0)
    options, overrides = parser.parse_known_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary) / "whole"
        began = time.monotonic()
        finish(command(options.config, whole, overrides))
        length = time.monotonic() - began
        expected = content(whole)
        print(f"uninterrupted run: {length:.0f} s", flush=True)
        differing = 0
        number = 0
        while number < options.kills:
            folder = Path(temporary) / f"run_{number + 1}"
            moments = [chance.uniform(0, length)]
            running = killed(command(options.config, folder, overrides), moments[0])
            if not running:
                # Runs take less time than the first one took: this was no kill.
                length = moments[0]
                print(
                    f"a run had ended after {length:.1f} s; moments are drawn from less", flush=True
                )
                shutil.rmtree(folder)
                continue
            number += 1
            states = [state_of(folder)]
            while running and chance.random() < options.twice and "nothing" not in states[-1]:
                moments.append(chance.uniform(0, length))
                again = command(options.config, folder, overrides, "--resume")
                running = killed(again, moments[-1])
                states.append(state_of(folder))
            # Before anything is on disk there is nothing to resume: such a run begins again.
            more = () if "nothing" in states[-1] else ("--resume",)
            finish(command(options.config, folder, overrides, *more))
            found = content(folder)
            wrong = [name for name in expected if found.get(name) != expected[name]]
            left = [path.name for path in Path(temporary).iterdir() if "unfinished" in path.name]
            differing += bool(wrong or left)
            when = ", ".join(
                f"{moment:.1f} s ({state})" for moment, state in zip(moments, states, strict=True)
            )
            verdict = f"DIFFERS in {', '.join([*wrong, *left])}" if wrong or left else "the same"
            print(f"kill {number:2}: after {when}: {verdict}", flush=True)
    print(f"{options.kills - differing} of {options.kills} runs are the uninterrupted one")
    raise SystemExit(differing > 0)


if __name__ == "__main__":
    main()
