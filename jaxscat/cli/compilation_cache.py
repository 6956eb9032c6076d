"""Compiled programs kept from one command to the next, in JAX's persistent compilation cache."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import os
import platform
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import jax
import platformdirs
import typer

from jaxscat.cli.environment import in_temporary_home

# Programs take some 20 kB each. The oldest of them go when a command begins with more than this.
LARGEST_BYTES = 2**28
_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
_SETTINGS: dict[str, Any] = {
    # Most programs compile within a tenth of a second, and there are many.
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
    # XLA's own caches have the folder's name, which gets into the keys of programs, and no use.
    "jax_persistent_cache_enable_xla_caches": "none",
}
# What JAX adds to the name of a program, and (where it bounds the size itself) beside it.
_PROGRAM, _TIME = "-cache", "-atime"
_PROCESSOR = (
    "vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "cpu", "machine", "isa",
)  # fmt: skip
_FAULT = r"Error (reading|writing) persistent compilation cache entry for '(.*?)': (.*)"


@dataclass(frozen=True)
class CompilationCache:
    """Where compiled programs are kept.

    Attributes:
        folder: their folder; None where none are kept.
        reason: why none are kept, or empty.
        ours: whether jaxscat has chosen the folder, and keeps it in order.
        fault: whether none are kept because the folder cannot be used.
    """

    folder: Path | None
    reason: str = ""
    ours: bool = False
    fault: bool = False

    def describe(self) -> str:
        """Say where the programs are and how many, or why none are kept."""
        if self.folder is None:
            return f"off: {self.reason}"
        sizes = [size for _, size, _ in _programs(self.folder)]
        return f"{self.folder} ({len(sizes)} programs, {sum(sizes) / 1e6:.1f} MB)"


def find_cache() -> CompilationCache:
    """Find the folder of compiled programs: that of JAX's own variable, or one for this processor.

    JAX does not tell processors apart, and a program of another one can end the process.
    """
    if not jax.config.jax_enable_compilation_cache:  # pyright: ignore[reportAttributeAccessIssue]
        return CompilationCache(None, "JAX_ENABLE_COMPILATION_CACHE says so")
    if _VARIABLE in os.environ:
        chosen = os.environ[_VARIABLE]
        return CompilationCache(Path(chosen) if chosen else None, f"{_VARIABLE} is empty")
    folder = _home() / _identify_machine()
    if in_temporary_home(folder):
        return CompilationCache(None, "no home folder")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**16))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return CompilationCache(None, f"{str(folder)!r} cannot be used: {reason}", fault=True)
    return CompilationCache(folder, ours=True)


def keep_programs() -> None:
    """Have JAX, which has its devices, keep compiled programs in the folder of `find_cache`.

    Where they cannot be kept, a warning says why. Damaged ones are compiled again and replaced.
    Settings of JAX that the environment has are left as they are.
    """
    cache = find_cache()
    if cache.fault:
        warnings.warn(f"compiled programs are not kept: {cache.reason}", stacklevel=2)
    if cache.folder is None:
        return
    _silence_loader()
    if not cache.ours:
        return
    _remove_oldest(_home(), LARGEST_BYTES)
    jax.config.update("jax_compilation_cache_dir", str(cache.folder))
    for name, value in _SETTINGS.items():
        if name.upper() not in os.environ:
            jax.config.update(name, value)
    warnings.filterwarnings("always", message=_FAULT)
    warnings.showwarning = _mend(cache.folder, warnings.showwarning)


def has_no_programs() -> bool:
    """Tell whether programs are kept, but none is there yet: all are compiled in this command."""
    folder = find_cache().folder
    return folder is not None and next(_programs(folder), None) is None


def with_cache_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --no-compilation-cache."""
    switch = typer.Option("--no-compilation-cache", help="Compile all anew, and keep nothing.")
    name, kind = "no_compilation_cache", Annotated[bool, switch]
    # Resolved here: typer drops the options of names that it has to look up itself.
    hints = get_type_hints(command, include_extras=True)
    signature = inspect.signature(command)
    own = [one.replace(annotation=hints[one.name]) for one in signature.parameters.values()]
    added = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)

    @functools.wraps(command)
    def command_with_option(*arguments: Any, no_compilation_cache: bool, **given: Any) -> None:
        if no_compilation_cache:
            jax.config.update("jax_enable_compilation_cache", False)
        command(*arguments, **given)

    command_with_option.__signature__ = signature.replace(parameters=[*own, added])  # pyright: ignore
    command_with_option.__annotations__ = hints | {name: kind}
    return command_with_option


def _silence_loader() -> None:
    """Keep XLA from printing two errors for every program that it loads on a CPU.

    It takes the names of two optimizations for features that the processor lacks. Messages about
    devices have been shown before.
    """
    if jax.config.jax_logging_level in (None, "NOTSET"):  # pyright: ignore
        jax.config.update("jax_logging_level", "CRITICAL")
        # Only Python's loggers go back by this; those of XLA keep the level.
        jax.config.update("jax_logging_level", "NOTSET")


def _home() -> Path:
    """Return the folder of the programs of all machines."""
    return Path(platformdirs.user_cache_dir("jaxscat", appauthor=False)).absolute() / "programs"


def _identify_machine() -> str:
    """Name the machine by what programs depend on: its processor, and how many cores there are."""
    available = getattr(os, "sched_getaffinity", None)
    cores = os.cpu_count() if available is None else len(available(0))
    facts = [platform.machine(), str(cores)]
    try:
        first, _, _ = Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")
    except OSError:
        facts += [platform.processor(), platform.node()]
    else:
        lines = [line.partition(":") for line in first.splitlines()]
        facts += [value for name, _, value in lines if name.strip() in _PROCESSOR]
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()
    return f"{platform.machine() or 'machine'}-{cores}-{digest[:12]}"


def _mend(folder: Path, show: Callable[..., None]) -> Callable[..., None]:
    """Return a way to show warnings that takes care of JAX's about damaged programs.

    JAX compiles such a program again, but does not write over the damaged file.
    """

    def show_others(message: Warning | str, *arguments: Any, **named: Any) -> None:
        fault = re.match(_FAULT, str(message), re.DOTALL)
        if fault is None:
            return show(message, *arguments, **named)
        doing, program, reason = fault.groups()
        for file in _files(folder):
            if re.fullmatch(re.escape(program) + "-[0-9a-f]+" + _PROGRAM, file.name):
                _remove(Path(file.path))
        if doing == "writing":
            number = re.search(r"\[Errno \d+\] (.*?)(: '|$)", reason)
            said = reason if number is None else number[1]
            show(f"some compiled programs are not kept: {said}", *arguments, **named)

    return show_others


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what a folder holds, or nothing if it cannot be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        yield from entries


def _programs(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield the time of the last use, the size and the path of the programs in a folder."""
    for file in _files(folder):
        # Another command may remove it meanwhile.
        with contextlib.suppress(OSError):
            if file.name.endswith(_PROGRAM):
                found = file.stat()
                yield max(found.st_mtime, found.st_atime), found.st_size, Path(file.path)


def _remove_oldest(home: Path, largest: int) -> None:
    """Remove the programs of all machines not used for longest, until fewer bytes are left."""
    programs = sorted(found for folder in _files(home) for found in _programs(Path(folder.path)))
    left = sum(size for _, size, _ in programs)
    if left <= largest:
        return
    for _, size, path in programs:
        if left <= 0.8 * largest:
            break
        _remove(path)
        left -= size


def _remove(program: Path) -> None:
    beside = program.name.removesuffix(_PROGRAM) + _TIME
    for path in (program, program.with_name(beside)):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
