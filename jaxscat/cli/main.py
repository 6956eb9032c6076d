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

from jaxscat.cli.coefficient_tables import comparison_table, summary_table
from jaxscat.cli.jax_setup import cluster_of, configure
from jaxscat.cli.measure import (
    Measurement,
    check_output,
    curves,
    measure_files,
)
from jaxscat.cli.terminal import (
    copies,
    ensemble_table,
    independence,
    observer_for,
    result_tables,
    silent,
    validation_table,
)
from jaxscat.datasets.registry import dataset_names, dataset_path, describe
from jaxscat.plotting import plot_coefficients, write_figure
from jaxscat.run.config import load_config, parse_overrides
from jaxscat.run.execute import run_experiment, validate_run
from jaxscat.run.folder import REPORT
from jaxscat.run.provenance import describe_devices, versions
from jaxscat.run.resume import check_new_run, finished_results, place_of
from jaxscat.statistics.comparison import choose_errors, compare_statistics
from jaxscat.statistics.storage import load_statistics, save_statistics
from jaxscat.validation.ensemble import copy_test

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
    _heed_termination()
    app()


def _heed_termination() -> None:
    """Let SIGTERM interrupt like Ctrl-C: at a batch system's time limit the best map is kept."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[--section.key value ...] [OPTIONS]",
)
def run(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The experiment.")],
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
    """Run one experiment and write its folder.

    Options of the form --section.key override entries of the config, lists too:
    --synthesis.seeds 1 2 3
    """
    with _errors_in_one_line():
        settings = load_config(config, parse_overrides(context.args))
        folder = output if output is not None else Path("runs") / settings.run.name
        if resume and overwrite:
            raise ValueError("--resume and --overwrite: expected one of them")
        cluster = cluster_of(distributed, coordinator, processes, process)
        finished = resume and finished_results(folder, settings) is not None
        if not resume and cluster is None:
            check_new_run(folder, overwrite=overwrite)
        configure(settings.run.platform, settings.run.precision, cluster)
        _heed_termination()  # JAX has a handler of its own for processes that it brings together
        if settings.data.dataset is not None and not finished:
            dataset_path(settings.data.dataset)  # a download draws a bar of its own, so before ours
        first = jax.process_index() == 0
        with observer_for(_errors()) if first else silent() as observer:
            try:
                outcome = run_experiment(
                    settings,
                    folder,
                    overwrite=overwrite,
                    resume=resume,
                    observer=observer,
                    config_path=config,
                )
            except KeyboardInterrupt:
                if place_of(folder).exists():
                    _fail("interrupted; --resume goes on with it", INTERRUPTED)
                raise
        if not outcome.computed:
            if first:
                _say(f"{outcome.folder} is finished; nothing to do")
            return
        if first:
            for table in result_tables(outcome.results):
                _print(table)
            if "ensemble" in outcome.results:
                _say(independence(outcome.results["ensemble"]))
            reports = [row["validation"] for row in outcome.results["seeds"]]
            _say(copies(copy_test(reports)))
            _say(f"wrote {outcome.folder}; the report is {outcome.folder / 'report.html'}")
    if outcome.status == "interrupted":
        on = "; --resume goes on with it" if place_of(folder).exists() else ""
        _fail(f"interrupted; the best map so far is written{on}" if first else "", INTERRUPTED)
    if outcome.status == "not finite":
        text = "the loss is no longer finite; the last finite map is written"
        _fail(text if first else "", DIVERGED)


@app.command()
def validate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.")],
) -> None:
    """Validate the maps of a run folder again, print the table and write the report anew."""
    with _errors_in_one_line("interrupted; what was there is kept"):
        settings = load_config(folder / "config.toml")
        configure(settings.run.platform, settings.run.precision)
        with observer_for(_errors()) as observer:
            found = validate_run(folder, observer)
        if found.ensemble is None:
            (seed,) = found.seeds
            _print(validation_table(found.reports[seed], title=f"{folder}: seed {seed}"))
        else:
            _print(ensemble_table(found.ensemble, title=f"{folder}: {len(found.seeds)} seeds"))
            _say(independence(found.ensemble))
        _say(copies(copy_test(list(found.reports.values()))))
        _say(f"wrote {', '.join(str(folder / name) for name in REPORT)}")


@app.command("measure")
def measure_command(
    map: Annotated[str, typer.Argument(metavar="MAP", help="A .npy or FITS file, or a dataset.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the coefficients (.npz).")
    ],
    second: Annotated[str | None, typer.Option(help="Measure both maps together.")] = None,
    nside: Annotated[int | None, typer.Option(help="Working nside; default the map's.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Weights of the pixels.")] = None,
    mask_threshold: Annotated[
        float | None, typer.Option(help="Ignore coarse pixels with no more weight than this.")
    ] = None,
    orientations: Annotated[int, typer.Option(help="Number of orientations.")] = 4,
    kernel_size: Annotated[int, typer.Option(help="Side of the kernel, pixels.")] = 3,
    scales: Annotated[int | None, typer.Option(help="Number of scales; default all.")] = None,
    order: Annotated[str | None, typer.Option(help="RING or NESTED.")] = None,
    field: Annotated[str, typer.Option(help="Column of a FITS file, number or name.")] = "0",
    unseen: Annotated[str, typer.Option(help="Pixels without data: refuse or mask.")] = "refuse",
    geometry: Annotated[str, typer.Option(help="exact or foscat.")] = "exact",
    precision: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    error_formula: Annotated[str, typer.Option(help="pixels or foscat.")] = "pixels",
    both_triangles: Annotated[
        bool, typer.Option("--both-triangles", help="S4 of two maps with j1 > j2 too.")
    ] = False,
    figure: Annotated[Path | None, typer.Option(help="Draw them (.png, .pdf, .svg).")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there.")
    ] = False,
) -> None:
    """Measure the scattering covariance of a map, or of two, with standard errors."""
    with _errors_in_one_line("interrupted; nothing is written"):
        measurement = Measurement(
            map=map,
            second=second,
            nside=nside,
            mask=mask,
            mask_threshold=mask_threshold,
            orientations=orientations,
            kernel_size=kernel_size,
            scales=scales,
            order=order,
            field=int(field) if field.isdecimal() else field,
            unseen=unseen,
            geometry=geometry,
            precision=precision,
            error_formula=error_formula,
            both_triangles=both_triangles,
        )
        measurement.check()
        inputs = [map, second, mask]
        check_output("output", output, inputs, overwrite=overwrite)
        if figure is not None:
            check_output("figure", figure, [*inputs, output], overwrite=overwrite, figure=True)
        configure("default", precision)
        for name in (map, second):
            if name in dataset_names():
                dataset_path(name)  # a download draws a bar of its own, so before ours
        with observer_for(_errors()) as observer:
            stored = measure_files(measurement, observer=observer)
            observer.stage("writing")
            # Drawn first: what cannot be drawn is not written either.
            drawn = None
            if figure is not None:
                drawn = plot_coefficients(curves(stored.description or map, stored.statistics))
            save_statistics(
                output,
                stored.statistics,
                stored.spec,
                errors=stored.errors,
                description=stored.description,
            )
            if figure is not None and drawn is not None:
                write_figure(figure, drawn)
        _print(summary_table(stored))
        _say(f"wrote {output}" + ("" if figure is None else f" and {figure}"))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A.npz", help="Coefficients, the reference.")],
    other: Annotated[Path, typer.Argument(metavar="B.npz", help="Coefficients of the same kind.")],
    figure: Annotated[Path | None, typer.Option(help="Draw both (.png, .pdf, .svg).")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a figure that is there.")
    ] = False,
) -> None:
    """Compare two files that `jaxscat measure` has written."""
    with _errors_in_one_line("interrupted; nothing is written"):
        if figure is not None:
            check_output("figure", figure, [first, other], overwrite=overwrite, figure=True)
        one, two = load_statistics(first), load_statistics(other)
        rows = compare_statistics(one, two)
        _print(comparison_table(rows, title=f"{other} against {first}"))
        if figure is not None:
            names = [str(first), str(other) if other != first else f"{other} (again)"]
            both = curves(names[0], one.statistics) | curves(names[1], two.statistics)
            errors = choose_errors(one, two) if one.statistics.masks is None else None
            write_figure(figure, plot_coefficients(both, errors=errors))
            _say(f"wrote {figure}")


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


@contextmanager
def _errors_in_one_line(
    interrupted: str = "interrupted; nothing is written",
) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError, MemoryError) as error:
        _fail("error: " + " ".join(str(error).split()), BAD_INPUT)
    except jax.errors.JaxRuntimeError as error:  # out of memory, mostly
        _fail("error: JAX: " + str(error).splitlines()[0], BAD_INPUT)
    except KeyboardInterrupt:
        _fail(interrupted, INTERRUPTED)


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
    if text:
        _errors().print(text, highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _show_warning(message: Warning | str, *_: object) -> None:
    print(f"warning: {message}", file=sys.stderr)
