"""The progress of a run on the terminal: live bars, or lines of a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from jaxscat.progress import Observer

COMPILING = "compiling, or loading what was compiled before"


class ProgressBar(Observer):
    """Live bars on a terminal; the synthesis shows its loss and speed. Use as a context."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
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

    def compiling(self) -> None:
        """Say so beside the bar until the stage advances or ends."""
        self._progress.update(self._task, note=COMPILING)

    def building(self, done: int, total: int) -> None:
        """Advance the bar of the stage."""
        self._progress.update(self._task, completed=done, total=total)

    def step(self, progress: Any) -> None:
        """Advance the bar of the synthesis and show losses and speed."""
        self._progress.update(
            self._task, completed=progress.step, total=progress.max_steps, note=_describe(progress)
        )

    def _finish(self) -> None:
        """Stop the clock of the stage before; one without parts counts as one."""
        if self._task is None:
            return
        (task,) = [task for task in self._progress.tasks if task.id == self._task]
        if task.total is None:
            self._progress.update(self._task, completed=1, total=1)
        if task.fields["note"] == COMPILING:
            self._progress.update(self._task, note="")
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

    def compiling(self) -> None:
        """Write that the stage begins so."""
        self._write(f"  {COMPILING}")

    def building(self, done: int, total: int) -> None:
        """Write the finished part of the stage, if it takes long."""
        if time.monotonic() - self._began >= self._every and self._due():
            self._write(f"  {done / total:.0%} done")

    def step(self, progress: Any) -> None:
        """Write steps, losses and speed, unless the last line is only seconds old."""
        if self._due() or progress.step == progress.max_steps:
            of = "" if progress.maps == 1 else f" of {progress.maps} maps"
            self._write(f"  step {progress.step}/{progress.max_steps}{of}  {_describe(progress)}")

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._last < self._every:
            return False
        self._last = now
        return True

    def _write(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def show_progress(console: Console) -> ProgressBar | ProgressLines:
    """Show live bars when the console is a terminal, plain lines otherwise."""
    return ProgressBar(console) if console.is_terminal else ProgressLines(console)


@contextmanager
def show_nothing() -> Iterator[Observer]:
    """Show no progress: of several processes only the first shows its own."""
    yield Observer()


def _describe(progress: Any) -> str:
    speed = progress.step / progress.seconds if progress.seconds > 0 else 0.0
    if progress.maps == 1:
        return f"loss {progress.loss:.4g}  {speed:.1f} steps/s"
    losses = f"{progress.best:.4g} / {progress.loss:.4g} / {progress.worst:.4g}"
    rate = 60 * speed * progress.maps / progress.max_steps
    left = (progress.max_steps - progress.step) / speed if speed > 0 else float("inf")
    return (
        f"{progress.finished}/{progress.maps} maps done  loss best/median/worst {losses}  "
        f"{rate:.3g} maps/min  {_format_duration(left)} left"
    )


def _format_duration(seconds: float) -> str:
    """Format seconds as hours, minutes and seconds."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
