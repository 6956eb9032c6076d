"""The signals that end a command: noted when they come, obeyed where the command can end."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from jaxscat.progress import Observer, Progress

# A job that loses its terminal, or reaches the limit of its time, is ended like one by Ctrl-C.
_ENDING = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):
    _ENDING.append(signal.SIGHUP)
# Programs that pass a signal on send it twice within an instant; nobody presses a key so fast.
_APART_SECONDS = 0.5
_PATIENCE_SECONDS = 1.0
_WAITING = (
    b"\ninterrupted; ends when what is being computed is done (Ctrl-C again ends it at once)\n"
)
# Begin the name of the stage that makes new maps.
_MAKING = ("synthesizing", "denoising", "filling", "separating")
_SHOW_CURSOR = b"\x1b[?25h"  # which a progress bar hides
INTERRUPTED = 130


class Interrupts:
    """Takes the signals that end a command, so that none is lost and none does harm.

    An exception that a handler raises can surface anywhere: within a callback of XLA it is
    swallowed, and during a compilation it takes the process down. The handlers therefore only note
    that a signal has come; `look` raises KeyboardInterrupt for it, once. A second Ctrl-C ends the
    process at once and leaves what a kill leaves.

    Attributes:
        came: whether a signal has come.
    """

    def __init__(self) -> None:
        self.came = False
        self._pending = self._settled = False
        self._at_once = False
        self._watched = False

    def listen(self) -> None:
        """Take the signals from now on, but those that whoever started the process has ignored.

        To be called again after a library has installed handlers of its own.
        """
        for number in _ENDING:
            # nohup has children ignore SIGHUP, and shells have background jobs ignore SIGINT.
            if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)
        if not self._watched:
            self._watched = True
            # Python runs no handler while the main thread compiles; this thread goes on.
            reading, writing = os.pipe()
            os.set_blocking(writing, False)
            signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(reading,), daemon=True).start()

    def look(self) -> None:
        """Raise KeyboardInterrupt if a signal has come for which none was raised yet."""
        if self._pending:
            self.settle()
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise KeyboardInterrupt in the handler too, for a block that waits for others."""
        self._at_once = True
        try:
            self.look()
            yield
        except KeyboardInterrupt:
            self.settle()
            raise
        finally:
            self._at_once = False
        self.look()

    def settle(self) -> None:
        """Raise no more for the signal that has come."""
        self._pending, self._settled = False, True

    def watched(self, observer: Observer) -> Observer:
        """Return an observer that looks for a signal at every event, and tells another of it.

        It looks no more once a synthesis has ended, whose maps are to be written.
        """
        return _Watched(observer, self)

    def _note(self, *_: object) -> None:
        if self.came:
            return  # closing a terminal sends several
        self.came = self._pending = True
        if self._at_once:
            raise KeyboardInterrupt  # still pending: something may swallow it here too

    def _watch(self, reading: int) -> None:
        """Say that a command goes on for a while after a signal, and end it at a second Ctrl-C."""
        first = None
        ending = bytes(_ENDING)
        while True:
            for number in os.read(reading, 64):
                now = time.monotonic()
                if number not in ending:
                    continue
                if first is None:
                    first = now
                    threading.Thread(target=self._say_later, daemon=True).start()
                elif number == signal.SIGINT and now - first >= _APART_SECONDS:
                    _write(_SHOW_CURSOR if os.isatty(2) else b"")
                    os._exit(INTERRUPTED)

    def _say_later(self) -> None:
        time.sleep(_PATIENCE_SECONDS)
        if not self._settled:
            _write(_WAITING)


class _Watched(Observer):
    def __init__(self, observer: Observer, interrupts: Interrupts) -> None:
        self._observer, self._interrupts = observer, interrupts
        self._name, self._made = "", False

    def stage(self, name: str) -> None:
        self._made = self._made or self._name.startswith(_MAKING)
        self._name = name
        if not self._made:
            self._interrupts.look()
        self._observer.stage(name)

    def compiling(self) -> None:
        self._observer.compiling()
        self._look()

    def building(self, done: int, total: int) -> None:
        self._observer.building(done, total)
        self._look()

    def step(self, progress: Progress) -> None:
        self._observer.step(progress)
        self._look()

    def _look(self) -> None:
        # New maps that are made are written: what is left takes less time than they took.
        if not self._made:
            self._interrupts.look()


def _write(text: bytes) -> None:
    with suppress(OSError):  # the terminal may be gone
        os.write(2, text)


interrupts = Interrupts()
