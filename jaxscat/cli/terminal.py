"""What a run shows on the terminal: its progress and its tables."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from jaxscat.progress import Observer
from jaxscat.validation.rows import format_multipoles, iterate_rows
from jaxscat.validation.verdict import copy_verdict


class ProgressBar(Observer):
    """Live bars on a terminal; the synthesis shows its loss and speed. Use as a context."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._task: Any = None

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()
        self._progress.stop()

    def stage(self, name: str) -> None:
        """Begin a new line."""
        self._finish()
        self._task = self._progress.add_task(name, total=None, note="")

    def building(self, done: int, total: int) -> None:
        """Advance the bar of the stage."""
        self._progress.update(self._task, completed=done, total=total)

    def step(self, progress: Any) -> None:
        """Advance the bar of the synthesis and show losses and speed."""
        self._progress.update(
            self._task, completed=progress.step, total=progress.max_steps, note=_note(progress)
        )

    def _finish(self) -> None:
        """Stop the clock of the stage before; one without parts counts as one."""
        if self._task is None:
            return
        (task,) = [task for task in self._progress.tasks if task.id == self._task]
        if task.total is None:
            self._progress.update(self._task, completed=1, total=1)
        self._progress.stop_task(self._task)


class ProgressLines(Observer):
    """Plain lines for a log: one per stage, and one for a synthesis every few seconds."""

    def __init__(self, console: Console, *, every_seconds: float = 10.0) -> None:
        self._console = console
        self._every = every_seconds
        self._began = self._last = -float("inf")

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def stage(self, name: str) -> None:
        """Write the name of the stage."""
        self._began, self._last = time.monotonic(), -float("inf")
        self._write(name)

    def building(self, done: int, total: int) -> None:
        """Write how much is built, if it takes long."""
        if time.monotonic() - self._began >= self._every and self._due():
            self._write(f"  {done / total:.0%} of the pixels")

    def step(self, progress: Any) -> None:
        """Write steps, losses and speed, unless the last line is only seconds old."""
        if self._due() or progress.step == progress.max_steps:
            self._write(f"  step {progress.step}/{progress.max_steps}  {_note(progress)}")

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._last < self._every:
            return False
        self._last = now
        return True

    def _write(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def observer_for(console: Console) -> ProgressBar | ProgressLines:
    """Live bars when the console is a terminal, plain lines otherwise."""
    return ProgressBar(console) if console.is_terminal else ProgressLines(console)


@contextmanager
def silent() -> Iterator[Observer]:
    """Show nothing: of several processes only the first does."""
    yield Observer()


def _note(progress: Any) -> str:
    speed = progress.step / progress.seconds if progress.seconds > 0 else 0.0
    if progress.maps == 1:
        return f"loss {progress.loss:.4g}  {speed:.1f} steps/s"
    losses = f"{progress.best:.4g} / {progress.loss:.4g} / {progress.worst:.4g}"
    rate = 60 * speed * progress.maps / progress.max_steps
    left = (progress.max_steps - progress.step) / speed if speed > 0 else float("inf")
    return (
        f"{progress.finished}/{progress.maps} maps done  loss best/median/worst {losses}  "
        f"{rate:.3g} maps/min  {_duration(left)} left"
    )


def _duration(seconds: float) -> str:
    """Whole hours, minutes and seconds."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


COLUMNS = {
    "original": "original",
    "start": "start",
    "gaussian": "Gaussian controls",
    "filtered": "filtered controls",
    "synthesized": "synthesized",
}

# So little scatter, as a part of the number, is that of rounding.
_ROUNDING = 1e-6
# How the numbers of a row are written, by its group.
STYLES = {
    "pixel_correlation": "+.4f",
    "power_spectrum_ratio": ".4f",
    "correlation_ranges": "+.3f",
    "power_spectrum_bins": ".4f",
    "distances": ".4f",
    "scattering": ".5f",
    "scattering_error": ".5f",
    "scattering_improvement_pct": ".3f",
}


def validation_table(report: Mapping[str, Any], *, title: str) -> Table:
    """One validation report (see `validate`) as a table: a row per quantity, a column per map.

    Of the controls mean and scatter are shown.
    """
    rows = list(iterate_rows(report))
    shown = [name for name in COLUMNS if any(name in row.values for row in rows)]
    table = Table(title=title, title_justify="left")
    table.add_column("quantity")
    for name in shown:
        table.add_column(COLUMNS[name], justify="right")
    lines = []
    for row in rows:
        style = _style(row.group, row.name)
        name = _named(row.name, row.values.get("chance"))
        lines.append((row.group, [name, *(_cell(row.values, n, style) for n in shown)]))
    _fill(table, lines)
    return table


def ensemble_table(ensemble: Mapping[str, Any], *, title: str) -> Table:
    """The quantities of several seeds (see `ensemble_report`) as a table, a row for each.

    Scatter is the standard deviation over the seeds; the last column says by how many of their own
    standard deviations the controls of either kind are farther from the original.
    """
    table = Table(title=title, title_justify="left")
    table.add_column("quantity")
    kinds = [
        kind
        for kind in ("gaussian", "filtered")
        if any(row[kind] is not None for row in ensemble["quantities"])
    ]
    for name in ["original", *(COLUMNS[kind] for kind in kinds), "mean", "scatter", "16 to 84 %"]:
        table.add_column(name, justify="right")
    if kinds:
        table.add_column("controls worse by", justify="right")
    lines = []
    for row in ensemble["quantities"]:
        style = _style(row["group"], row["name"])
        original = "" if row["original"] is None else _number(row["original"], style)
        controls = ["" if row[kind] is None else _cell(row, kind, style) for kind in kinds]
        low, high = (_number(row[f"percentile_{percent}"], style) for percent in (16, 84))
        mean, scatter = _number(row["mean"], style), _number(row["std"], style.removeprefix("+"))
        name = _named(row["name"], row["chance"])
        cells = [name, original, *controls, mean, scatter, f"{low} to {high}"]
        if kinds:
            apart = [row["separation"].get(kind) for kind in kinds]
            known = [f"{value:.1f}" for value in apart if value is not None]
            cells.append(f"{' / '.join(known)} std" if known else "")
        lines.append((row["group"], cells))
    _fill(table, lines)
    return table


def copies(ranges: Sequence[Mapping[str, Any]]) -> str:
    """How much of the original's own structure new maps have (see `copy_test`), in a few words."""
    listed = ", ".join(
        f"{_number(part['mean'], '+.2f')} (chance {_number(part['by_chance'], '.2g')}) at "
        f"{format_multipoles(part)}"
        for part in ranges
    )
    return f"correlation with the original: {listed}. {copy_verdict(ranges)}"


def independence(ensemble: Mapping[str, Any]) -> str:
    """One line on how much the maps of several seeds have in common (see `ensemble_report`)."""
    largest = ensemble["pixel_correlation"]["largest_between_seeds"]
    original = ensemble["pixel_correlation"]["largest_with_original"]
    first, second = largest["seeds"]
    return (
        f"largest |correlation| between two maps: {_magnitude(largest['correlation'])} "
        f"(seeds {first} and {second}), with the original: {_magnitude(original['correlation'])} "
        f"(seed {original['seed']})"
    )


def result_tables(results: Mapping[str, Any]) -> list[Table]:
    """What is shown of results.json: the validation, of several seeds together, and the outcome."""
    title, seeds = f"{results['data']}, nside {results['nside']}", results["seeds"]
    if "ensemble" in results:
        table = ensemble_table(results["ensemble"], title=f"{title}, {len(seeds)} seeds")
    else:
        (row,) = seeds
        table = validation_table(row["validation"], title=f"{title}, seed {row['seed']}")
    return [table, outcome_table(seeds)]


def outcome_table(seeds: Sequence[Mapping[str, Any]]) -> Table:
    """One row per seed of results.json: status, steps, losses, times."""
    table = Table(title="synthesis", title_justify="left")
    for heading in ("seed", "status", "steps", "evaluations", "loss at start", "loss at end"):
        table.add_column(heading, justify="left" if heading == "status" else "right")
    table.add_column("compile [s]", justify="right")
    table.add_column("run [s]", justify="right")
    for row in seeds:
        table.add_row(
            str(row["seed"]),
            row["status"],
            str(row["nsteps"]),
            str(row["evaluations"]),
            _number(row["start_loss"], ".6g"),
            _number(row["final_loss"], ".6g"),
            _number(row["compile_seconds"], ".1f"),
            _number(row["run_seconds"], ".1f"),
        )
    return table


def _fill(table: Table, lines: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Add rows, each with its group: those of pixels, of spectra and of scattering apart."""
    before = None
    for group, cells in lines:
        part = "pixel" if group == "distribution" else group.split("_")[0]
        part = "pixel" if group == "correlation_ranges" else part
        if before not in (None, part):
            table.add_section()
        table.add_row(*cells)
        before = part


def _style(group: str, name: str) -> str:
    """How the numbers of a row are written."""
    if group == "distribution":
        return ".4f" if name in ("skewness", "kurtosis") else ".5g"
    return STYLES[group]


def _named(name: str, chance: float | None) -> str:
    """The name of a row, with the level of chance where there is one."""
    return name if chance is None else f"{name} (chance {chance:.2g})"


def _cell(values: Mapping[str, Any], column: str, style: str) -> str:
    """A number, of controls with their scatter; empty where the quantity has no such number."""
    if column not in values:
        return ""
    value, scatter = values[column], values.get(f"{column}_std")
    text = _number(value, style)
    if value is None or scatter is None or scatter <= _ROUNDING * abs(value):
        return text
    return f"{text} ± {format(scatter, style.removeprefix('+'))}"


def _magnitude(value: float | None) -> str:
    return "none" if value is None else f"{abs(value):.2g}"


def _number(value: float | None, style: str) -> str:
    return "none" if value is None else format(value, style)
