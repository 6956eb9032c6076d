"""The command `run`: one experiment, from a config or from a map alone, to its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import jax
import typer

from jaxscat.cli.compilation_cache import has_no_programs, with_cache_option
from jaxscat.cli.console import (
    DIVERGED,
    INTERRUPTED,
    error_console,
    errors_in_one_line,
    fail,
    show_line,
)
from jaxscat.cli.interrupts import interrupts
from jaxscat.cli.jax_setup import configure, reach_coordinator, read_cluster
from jaxscat.cli.order_question import orders_to_choose
from jaxscat.cli.outcome import show_outcome
from jaxscat.cli.progress import show_nothing, show_progress
from jaxscat.cli.short_options import SHORT, expand_short
from jaxscat.datasets.registry import dataset_path
from jaxscat.run.config import Config, config_of_map, load_config, task_of
from jaxscat.run.execute import run_experiment
from jaxscat.run.first_look import is_map, limit_nside
from jaxscat.run.folder import RunFolder
from jaxscat.run.overrides import parse_overrides
from jaxscat.run.pixel_orders import settle_config
from jaxscat.run.results import has_diverged
from jaxscat.run.simulated import describe_simulation, warn_of_example

FIRST_COMMAND = (
    "Programs are compiled for the first time on this machine, which takes up to a minute on a "
    "few cores. They are kept: the next run of this kind begins within seconds."
)
# A paragraph in each line, as it is shown.
RUN_HELP = """\
Make new maps like a map, or run any other experiment, and write its folder.

{map}

{options}

{config}
""".format(
    map="jaxscat run MAP makes a new map like a map of yours, with settings for a first look. Its "
    "folder then has a config.toml with all of them, which jaxscat run takes as well.",
    options="Every setting is an option, lists too: --synthesis.seeds 1 2 3. jaxscat settings "
    f"explains them. Those of most runs have short names: --{', --'.join(SHORT)}. "
    "--seeds 4 makes four maps (or solutions of a reconstruction), --seeds 7 8 those of these "
    "seeds.",
    config="jaxscat run CONFIG.toml takes the settings from a file, such as the config.toml of a "
    "former run, or one that jaxscat init has made; options on the command line count more.",
)


@with_cache_option
def run(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(metavar="CONFIG.toml|MAP", help="The experiment, or a map: a file or name."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the results; default runs/<name>."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the folder of a former run.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was interrupted or killed.")
    ] = False,
    distributed: Annotated[
        bool,
        typer.Option(
            "--distributed", help="One of several processes, of which the cluster tells JAX."
        ),
    ] = False,
    coordinator: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Address of the first of several processes."),
    ] = None,
    processes: Annotated[int | None, typer.Option(help="How many they are.")] = None,
    process: Annotated[int | None, typer.Option(help="Number of this one, from 0.")] = None,
) -> None:
    """Run one experiment, or a first look at a map, and write its folder (see `RUN_HELP`)."""
    with errors_in_one_line(), orders_to_choose():
        if resume and overwrite:
            raise ValueError("--resume and --overwrite: expected one of them")
        settings = _read_settings(source, context.args)
        folder = output if output is not None else Path("runs") / settings.run.name
        cluster = read_cluster(distributed, coordinator, processes, process)
        with interrupts.at_once():
            reach_coordinator(cluster)
        configure(settings.run.platform, settings.run.precision, cluster)
        if cluster is not None:
            interrupts.listen()  # JAX has a handler of its own for several processes
        interrupts.look()
        opened = RunFolder.open(folder, settings, overwrite=overwrite, resume=resume)
        for name in (settings.data.dataset, settings.truth.dataset):
            if name is not None and opened.results is None:
                download(name)
        first = jax.process_index() == 0
        if first and opened.results is None and has_no_programs():
            show_line(FIRST_COMMAND)
        path = None if is_map(source) else Path(source)
        with show_progress(error_console()) if first else show_nothing() as shown:
            observer = interrupts.watched(shown)
            try:
                outcome = run_experiment(settings, opened, observer=observer, config_path=path)
            except KeyboardInterrupt:
                if opened.resumable:
                    fail("interrupted; --resume goes on with it", INTERRUPTED)
                raise
        if first:
            show_outcome(outcome)
    if not outcome.computed:
        return
    if outcome.status == "interrupted":
        on = "; --resume goes on with it" if outcome.resumable else ""
        fail(f"interrupted; the best map so far is written{on}" if first else "", INTERRUPTED)
    if has_diverged(outcome.status):
        text = "the loss is no longer finite; the last finite map is written"
        fail(text if first else "", DIVERGED)


def _read_settings(source: str, words: list[str]) -> Config:
    """Read the config of a run, or make that of a map, and say what was chosen for it."""
    alone = is_map(source)
    overrides = expand_short(parse_overrides(words), "synthesis" if alone else task_of(source))
    settings = (config_of_map if alone else load_config)(source, overrides)
    settings, said = settle_config(settings)
    if alone and settings.data.dataset is not None:
        download(settings.data.dataset)
    if alone:
        settings, limited = limit_nside(settings)
        said += [] if limited is None else [limited]
    for sentence in [*said, *describe_simulation(settings)]:
        show_line(f"note: {sentence}")
    for sentence in [] if alone else warn_of_example(settings, overrides):
        show_line(f"warning: {sentence}")
    return settings


def download(name: str) -> None:
    """Obtain a dataset before there are bars of ours: a download draws one of its own."""
    with interrupts.at_once():  # a server may not answer for long
        dataset_path(name)
