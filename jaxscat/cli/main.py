"""The command line. The only place that sets JAX's precision and platform."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from jaxscat.cli.compilation_cache import find_cache, with_cache_option
from jaxscat.cli.console import (
    INTERRUPTED,
    error_console,
    errors_in_one_line,
    print_table,
    say,
    show_line,
    show_warning,
)
from jaxscat.cli.environment import prepare_process
from jaxscat.cli.interrupts import interrupts
from jaxscat.cli.jax_setup import configure, require_devices
from jaxscat.cli.measure import MeasureOptions, measure_files, split_masks
from jaxscat.cli.options import with_options
from jaxscat.cli.order_question import CommandsWithWords, orders_to_choose
from jaxscat.cli.outputs import check_output
from jaxscat.cli.progress import show_progress
from jaxscat.cli.run import RUN_HELP, download, run
from jaxscat.cli.settings import init, settings
from jaxscat.cli.tables import (
    comparison_table,
    describe_copies,
    describe_independence,
    describe_verdict,
    ensemble_table,
    summary_table,
    validation_table,
)
from jaxscat.datasets.registry import dataset_names, describe
from jaxscat.io.archive import write_bytes
from jaxscat.plotting import as_label, plot_coefficients, render_figure, write_figure
from jaxscat.run.config import load_config
from jaxscat.run.folder import REPORT
from jaxscat.run.kept_pyramids import describe_kept
from jaxscat.run.provenance import describe_devices, versions
from jaxscat.run.report import read_verdict
from jaxscat.run.validate import validate_run
from jaxscat.statistics.comparison import choose_errors, common_scales, compare_statistics
from jaxscat.statistics.storage import load_statistics, save_statistics
from jaxscat.validation.ensemble import copy_test
from jaxscat.validation.sky import sky_sentence

app = typer.Typer(
    cls=CommandsWithWords,
    help="Scattering covariances on HEALPix maps: measure, synthesize, validate.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line.

    It exits with 0, 1 (diverged), 2 (bad input) or 130 (Ctrl-C, SIGTERM or SIGHUP: at the limit of
    a batch system's time, and when the terminal is closed, the best map is kept).
    """
    interrupts.listen()
    warnings.showwarning = show_warning
    prepare_process()
    try:
        app()
    except SystemExit as end:
        if end.code or not interrupts.came:
            raise
        interrupts.settle()
        show_line("interrupted, but all is done")
        raise SystemExit(INTERRUPTED) from None


app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[--section.key value ...] [OPTIONS]",
    help=RUN_HELP,
)(run)
app.command()(settings)
app.command()(init)


@app.command()
@with_cache_option
def validate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.")],
) -> None:
    """Validate the maps of a run folder again, print the table and write the report anew."""
    with errors_in_one_line("interrupted; what was there is kept"):
        config = load_config(folder / "config.toml")
        configure(config.run.platform, config.run.precision)
        with show_progress(error_console()) as shown:
            found = validate_run(folder, interrupts.watched(shown))
        if found.ensemble is None:
            (seed,) = found.seeds
            print_table(validation_table(found.reports[seed], title=f"{folder}: seed {seed}"))
        else:
            print_table(ensemble_table(found.ensemble, title=f"{folder}: {len(found.seeds)} seeds"))
            say(describe_independence(found.ensemble))
        say(describe_copies(copy_test(list(found.reports.values()))))
        if found.sky is not None:
            say(sky_sentence(found.sky))
        say("")
        for line in describe_verdict(read_verdict(folder)):
            say(line)
        say(f"wrote {', '.join(str(folder / name) for name in REPORT)}")


@app.command("measure")
@with_cache_option
@with_options(MeasureOptions)
def measure_command(options: MeasureOptions) -> None:
    """Measure the scattering covariance of a map, or of two, with standard errors."""
    with errors_in_one_line(), orders_to_choose():
        options.check()
        options, said = options.with_orders()
        for sentence in said:
            show_line(f"note: {sentence}")
        configure("default", options.precision)
        for name in (options.map, options.second):
            if name in dataset_names():
                download(name)
        with show_progress(error_console()) as bars:
            observer = interrupts.watched(bars)
            stored, unit = measure_files(options, observer=observer)
            observer.stage("writing")
            picture = b""
            if options.figure is not None:
                # Drawn first: what cannot be drawn is not written either.
                shown = split_masks(stored.description or options.map, stored.statistics)
                format = options.figure.suffix[1:].lower()
                label = as_label("map units" if unit is None else unit)
                picture = render_figure(plot_coefficients(shown, unit=label), format)
            save_statistics(
                options.output,
                stored.statistics,
                stored.spec,
                errors=stored.errors,
                description=stored.description,
                sky=stored.sky,
            )
            if options.figure is not None:
                write_bytes(options.figure, picture)
        print_table(summary_table(stored))
        if stored.sky is not None:
            say(sky_sentence(stored.sky))
        more = "" if options.figure is None else f" and {options.figure}"
        say(f"wrote {options.output}{more}")


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
    with errors_in_one_line("interrupted; nothing is written"):
        if figure is not None:
            check_output("figure", figure, [first, other], overwrite=overwrite, figure=True)
        one, two = load_statistics(first), load_statistics(other)
        found = one.spec.scales, two.spec.scales
        one, two = common_scales(one, two)
        rows = compare_statistics(one, two)
        if found[0] != found[1]:
            coarsest = one.spec.finest_nside >> (one.spec.scales - 1)
            say(f"{found[0]} and {found[1]} scales; compared down to nside {coarsest}")
        print_table(comparison_table(rows, title=f"{other} against {first}"))
        if figure is not None:
            names = [str(first), str(other) if other != first else f"{other} (again)"]
            both = split_masks(names[0], one.statistics) | split_masks(names[1], two.statistics)
            whole = getattr(one.statistics, "masks", None) is None
            errors: Any = choose_errors(one, two) if whole else None
            write_figure(figure, plot_coefficients(both, errors=errors))
            say(f"wrote {figure}")


@app.command()
def datasets() -> None:
    """List the maps that are known by name, and whether they are on this machine."""
    with errors_in_one_line():
        table = Table()
        for heading in ("name", "nside", "what it is", "source", "licence", "on this machine"):
            table.add_column(
                heading, justify="right" if heading == "nside" else "left", overflow="fold"
            )
        for row in describe():
            table.add_row(
                row.name, str(row.nside), row.description, row.source, row.licence, row.location
            )
        print_table(table)


@app.command()
def info() -> None:
    """Show the versions of what jaxscat stands on, its devices, and the folders of its caches."""
    with errors_in_one_line():
        for name, version in versions().items():
            say(f"{name:10} {version or 'not installed'}")
        require_devices()
        device = describe_devices()
        say(f"{'platform':10} {device['platform']}")
        for index, kind in enumerate(device["devices"]):
            say(f"{f'device {index}':10} {kind}")
        say(f"{'programs':10} {find_cache().describe()}")
        say(f"{'pyramids':10} {describe_kept()}")


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and end.")] = False,
) -> None:
    if version:
        say(versions()["jaxscat"] or "not installed")
        raise typer.Exit
