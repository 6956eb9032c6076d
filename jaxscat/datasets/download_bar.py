"""A progress bar for downloads by pooch."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn


class DownloadBar:
    """Progress bar of a download on the standard error, drawn once the server has answered.

    pooch sets `total`, which draws the bar, and calls `update`, `reset` and `close`.
    Source: pooch's documentation, "Using custom progress bars".
    """

    def __init__(self, title: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task(title, total=None)

    def __enter__(self) -> Self:
        """Return the bar, not drawn yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the bar and leave it on the screen."""
        self._progress.stop()

    @property
    def total(self) -> float | None:
        """Return the size of the download in bytes, or None if unknown."""
        return self._progress.tasks[0].total

    @total.setter
    def total(self, size: int) -> None:
        self._progress.update(self._task, total=size or None)
        self._progress.start()

    def update(self, size: int) -> None:
        """Advance by `size` bytes."""
        self._progress.advance(self._task, size)

    def reset(self) -> None:
        """Reset to zero bytes."""
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Do nothing: the context manager stops the bar."""
