"""What a command needs of its surroundings: a home folder, streams that take any text."""

from __future__ import annotations

import atexit
import gc
import io
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

from jaxscat.run.kept_pyramids import TEMPORARY_HOME

_made_homes: list[Path] = []


def prepare_process() -> None:
    """Give a command what it needs, whatever it is started from."""
    accept_any_text()
    draw_into_files()
    ensure_home()
    collect_rarely()


def accept_any_text() -> None:
    """Replace characters that the terminal cannot show, rather than fail to show a result."""
    for stream in (sys.stdout, sys.stderr):
        # Names of files may hold bytes that are no text in any encoding.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")


def collect_rarely() -> None:
    """Search for objects that can be freed less often than Python does by default.

    Traces and figures are made of millions of objects, few of which can: the searches would take a
    twentieth of the time of a short run. What modules hold is searched no more.
    """
    gc.freeze()
    gc.set_threshold(50_000)


def draw_into_files() -> None:
    """Have matplotlib need no display, whatever backend the environment names.

    Figures go to files only, and a backend that is not installed would end the command.
    """
    os.environ["MPLBACKEND"] = "agg"


def ensure_home() -> None:
    """Give this process an empty home folder where it has none that can be used.

    Libraries keep settings and caches there, and fail without; the folder is removed at the end.
    """
    reason = _find_fault()
    if reason is None:
        return
    try:
        home = tempfile.mkdtemp(prefix=TEMPORARY_HOME)
    except OSError as error:
        warnings.warn(f"{reason}, and no temporary one can be made: {error}", stacklevel=2)
        return
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["HOME"] = home
    _made_homes.append(Path(home))
    warnings.warn(f"{reason}; caches are off (downloads are not kept)", stacklevel=2)


def in_temporary_home(path: Path) -> bool:
    """Tell whether a path is in a home folder that `ensure_home` has made."""
    return any(path.is_relative_to(home) for home in _made_homes)


def _find_fault() -> str | None:
    """Say what is wrong with the home folder; None if there is one that can be read."""
    try:
        home = Path.home()
    except RuntimeError:
        return "no home folder: HOME is not set, and the system knows none"
    if not home.is_absolute():
        return f"no home folder: HOME is {str(home)!r}, which is no absolute path"
    if not os.access(home, os.R_OK | os.X_OK):  # caches in one that cannot be written still serve
        return f"no home folder: {str(home)!r} (HOME) is not there or cannot be read"
    return None
