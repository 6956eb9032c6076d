"""Measure the maps of a `jaxscat run` folder with the installed FOSCAT and FOSCAT's own loss.

    jaxscat run configs/lss_foscat.toml
    python -m experiments.crosscheck losses runs/lss_foscat [--run-foscat]

Needs the extra `foscat`. The loss is that of FOSCAT's demonstrations: the mean over all
coefficients of their squared distance to the original's, in units of FOSCAT's standard errors. It
is evaluated by FOSCAT in float32 (as its demonstrations do) and in float64, and by jaxscat in
float64. With --run-foscat, FOSCAT also makes a map of its own from the same start, and the exit
status is 1 unless jaxscat's first map has the lower loss of the two, both measured by FOSCAT.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

import jaxscat
from experiments.crosscheck.report import write_json
from experiments.foscat_reference.conventions import FOSCAT_LOSS, Map
from experiments.foscat_reference.losses import FoscatLoss
from experiments.foscat_reference.statistics import Foscat
from experiments.foscat_reference.synthesis import FoscatSynthesis, synthesize
from jaxscat.run.config import Config, load_config
from jaxscat.run.maps import find_run_maps

Losses = dict[str, float]


def read_run(folder: Path) -> tuple[Config, dict[str, Map], np.ndarray | None]:
    """Return the config of a run, its maps by column name, and its masks [M, p] if any.

    Raises ValueError for a run that FOSCAT has no counterpart of.
    """
    config = load_config(folder / "config.toml")
    if config.pyramid.kernel_size != 3 or config.pyramid.scales is not None:
        raise ValueError("pyramid: expected kernel_size 3 and all scales")
    stored = find_run_maps(folder)
    first = next(iter(stored.files.values()))
    maps = {"ORIGINAL": stored.original, "START": jaxscat.load_map(first, field="START")}
    maps |= {f"SEED_{seed}": stored.of_seed(seed) for seed in stored.files}
    return config, maps, stored.mask


def foscat_loss(
    config: Config, original: Map, mask: np.ndarray | None, precision: str
) -> FoscatLoss:
    """Return FOSCAT's loss of a run's original in one precision."""
    foscat = Foscat(orientations=config.pyramid.orientations, precision=precision)
    return foscat.seed_loss(original, mask)


def jaxscat_losses(config: Config, maps: dict[str, Map], mask: np.ndarray | None) -> Losses:
    """Return the loss of every map as jaxscat computes FOSCAT's."""
    original = maps["ORIGINAL"]
    pyramid = jaxscat.build_pyramid(
        int(np.sqrt(original.size / 12)),
        orientations=config.pyramid.orientations,
        dtype=np.float64,
    )
    weights = None if mask is None else jnp.asarray(mask)
    target = jaxscat.make_target(jnp.asarray(original), pyramid, mask=weights, **FOSCAT_LOSS)
    loss = jax.jit(jaxscat.map_loss)
    return {name: float(loss(jnp.asarray(field), pyramid, target)) for name, field in maps.items()}


def run_foscat(loss: FoscatLoss, start: Map, iterations: int, console: Console) -> FoscatSynthesis:
    with console.status(f"FOSCAT's synthesis, {iterations} iterations"):
        return synthesize(loss, start, iterations)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.crosscheck losses",
        description="Measure the maps of a run folder with FOSCAT's loss.",
    )
    parser.add_argument("folder", type=Path, help="folder written by `jaxscat run`")
    parser.add_argument("--run-foscat", action="store_true", help="also let FOSCAT make a map")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures here")
    options = parser.parse_args(arguments)
    jax.config.update("jax_enable_x64", True)
    console = Console(stderr=True)

    config, maps, mask = read_run(options.folder)
    original = maps["ORIGINAL"]
    single = foscat_loss(config, original, mask, "float32")
    seconds = None
    ours = next(name for name in maps if name.startswith("SEED_"))
    if options.run_foscat:
        made = run_foscat(single, maps["START"], config.synthesis.max_steps, console)
        maps["FOSCAT"], seconds = made.map, made.seconds

    double = foscat_loss(config, original, mask, "float64")
    columns: dict[str, Losses] = {
        "FOSCAT float32": {name: single.value(field) for name, field in maps.items()},
        "FOSCAT float64": {name: double.value(field) for name, field in maps.items()},
        "jaxscat float64": jaxscat_losses(config, maps, mask),
    }
    table = Table(title=f"FOSCAT's seed loss of the maps of {options.folder}")
    table.add_column("map")
    for column in columns:
        table.add_column(column, justify="right")
    for name in maps:
        if name != "ORIGINAL":
            table.add_row(name, *(f"{losses[name]:.6f}" for losses in columns.values()))
    Console().print(table)
    if seconds is not None:
        console.print(f"FOSCAT's synthesis took {seconds:.1f} s")
    if options.json is not None:
        write_json(options.json, {"losses": columns, "foscat_seconds": seconds})
    losses = columns["FOSCAT float32"]
    if options.run_foscat and not losses[ours] <= losses["FOSCAT"]:
        console.print(f"[red]{ours} has a higher loss than FOSCAT's own map[/]")
        return 1
    return 0
