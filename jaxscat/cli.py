"""The command line. The only place that sets JAX's precision and platform."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import jax
import typer
from rich.console import Console
from rich.table import Table

from jaxscat.config import Config, load_config, parse_overrides
from jaxscat.datasets import dataset_path, describe
from jaxscat.experiment import run_experiment, validate_run
from jaxscat.provenance import describe_devices, versions
from jaxscat.run_folder import check_destination
from jaxscat.terminal import observer_for, outcome_table, validation_table

# JAX's names of the platforms that a config names.
PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}
BAD_INPUT, INTERRUPTED, DIVERGED = 2, 130, 1

app = typer.Typer(
    help="Scattering covariances on HEALPix maps: measure, synthesize, validate.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; exit 0, 1 (diverged), 2 (bad input) or 130 (Ctrl-C, SIGTERM)."""
    warnings.showwarning = _show_warning
    # A batch system's time limit is an interruption like any other: the best map is kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[--section.key value ...] [OPTIONS]",
)
def run(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The experiment.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for the results; default runs/<name>.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the folder of a former run.")
    ] = False,
) -> None:
    """Run one experiment and write its folder.

    Options of the form --section.key override entries of the config, lists too:
    --synthesis.seeds 1 2 3
    """
    with _errors_in_one_line():
        settings = load_config(config, parse_overrides(context.args))
        folder = output if output is not None else Path("runs") / settings.run.name
        check_destination(folder, overwrite=overwrite)
        _configure(settings)
        if settings.data.dataset is not None:
            dataset_path(settings.data.dataset)  # a download draws a bar of its own, so before ours
        with observer_for(_errors()) as observer:
            outcome = run_experiment(
                settings, folder, overwrite=overwrite, observer=observer, config_path=config
            )
        for row in outcome.results["seeds"]:
            _print(validation_table(row["validation"], title=_title(outcome.results, row["seed"])))
        _print(outcome_table(outcome.results["seeds"]))
        _say(f"wrote {outcome.folder}")
    if outcome.status == "interrupted":
        _fail("interrupted; the best map so far is written", INTERRUPTED)
    if outcome.status == "not finite":
        _fail("the loss is no longer finite; the last finite map is written", DIVERGED)


@app.command()
def validate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.")],
) -> None:
    """Validate the maps of a run folder again and print the tables."""
    with _errors_in_one_line():
        _configure(load_config(folder / "config.toml"))
        for name, report in validate_run(folder).items():
            _print(validation_table(report, title=f"{folder}: {name}"))


@app.command()
def datasets() -> None:
    """List the maps that are known by name, and whether they are on this machine."""
    with _errors_in_one_line():
        table = Table()
        for heading in ("name", "nside", "what it is", "source", "licence", "on this machine"):
            table.add_column(
                heading, justify="right" if heading == "nside" else "left", overflow="fold"
            )
        for row in describe():
            table.add_row(
                row.name, str(row.nside), row.description, row.source, row.licence, row.location
            )
        _print(table)


@app.command()
def info() -> None:
    """Show the versions of what jaxscat stands on and the devices it would use."""
    with _errors_in_one_line():
        for name, version in versions().items():
            _say(f"{name:10} {version or 'not installed'}")
        device = describe_devices()
        _say(f"{'platform':10} {device['platform']}")
        for index, kind in enumerate(device["devices"]):
            _say(f"{f'device {index}':10} {kind}")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and end.")] = False,
) -> None:
    if version:
        _say(versions()["jaxscat"] or "not installed")
        raise typer.Exit


def _configure(config: Config) -> None:
    """Set what JAX can only be told before its first computation."""
    if config.run.platform != "default":
        jax.config.update("jax_platforms", PLATFORMS[config.run.platform])
    jax.config.update("jax_enable_x64", config.run.precision == "float64")
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts that a platform has devices
        reason = (str(error) or "no such device").splitlines()[0]
        raise ValueError(f"run.platform = {config.run.platform!r}: {reason}") from None


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError, MemoryError) as error:
        _fail("error: " + " ".join(str(error).split()), BAD_INPUT)
    except jax.errors.JaxRuntimeError as error:  # out of memory, mostly
        _fail("error: JAX: " + str(error).splitlines()[0], BAD_INPUT)
    except KeyboardInterrupt:
        _fail("interrupted before there was a map; nothing is written", INTERRUPTED)


def _title(results: dict, seed: int) -> str:
    return f"{results['data']}, nside {results['nside']}, seed {seed}"


def _errors() -> Console:
    return Console(stderr=True)


def _print(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # a pipe has no width: rich would cut tables at 80 columns
    console.print(table)


def _say(text: str) -> None:
    Console().print(text, highlight=False, markup=False, soft_wrap=True)


def _fail(text: str, code: int) -> NoReturn:
    _errors().print(text, highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _show_warning(message: Warning | str, *_: object) -> None:
    print(f"warning: {message}", file=sys.stderr)
