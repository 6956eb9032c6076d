"""The folder of one run: refused or claimed first, filled beside its place, put there whole."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxscat.io.archive import write_text
from jaxscat.run.config import Config
from jaxscat.run.processes import Processes, current_processes
from jaxscat.run.resume import (
    find_finished_results,
    has_checkpoints,
    lock,
    make_state,
    read_note,
    read_run,
    recover,
    remove_stale,
    remove_state,
    state_folder,
)

# What makes a folder recognisable as one that a run has written, and all that a run writes.
MARKERS = {"config.toml", "results.json", "run.json"}
REPORT = ("validation.json", "validation.png", "report.html")
CONTENT = MARKERS | {"maps.fits", "history.csv", "summary.png", "ensemble.csv", "ensemble.png"}
CONTENT |= {"agreement.png", "coefficients.png"} | {f"validation_{field}.png" for field in "TEBQU"}
CONTENT |= set(REPORT) | {"recovery.csv"}
# Files of the maps of denoised polarization, besides those of seeds.
CONTENT |= {f"maps_{name}.fits" for name in ("data", "reconstruction", "mean", "truth")}
CONTENT |= {
    f"maps_{name}{known}.fits"
    for name in ("wiener", "square_root_wiener")
    for known in ("", "_with_t")
}


def map_file_names(count: int) -> list[str]:
    """List the files of maps of a run by their number: maps.fits, or maps_001.fits, ..."""
    return ["maps.fits"] if count == 1 else [f"maps_{n:03}.fits" for n in range(1, count + 1)]


def numbered_map_files(names: set[str]) -> set[str]:
    """Select the names of the form maps_001.fits."""
    return {name for name in names if re.fullmatch(r"maps_\d{3,}\.fits", name)}


def written_by_runs(names: set[str]) -> set[str]:
    """Select the names in a folder that are of files which one run has written.

    Numbered files of maps count as far as they follow one another from maps_001.fits, and only
    where there is no maps.fits, since no run writes both.
    """
    numbered = set() if "maps.fits" in names else numbered_map_files(names)
    of_seeds = {name for name in names if re.fullmatch(r"maps_seed_\d+\.fits", name)}
    return names & (CONTENT | of_seeds | (numbered & set(map_file_names(len(numbered)))))


def check_destination(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse a folder for results that is taken.

    With `overwrite`, an empty folder and the folder of a former run may be replaced; anything
    else (a home directory, say) never. A link stands for what it leads to. Raises
    `FileExistsError`.
    """
    if not folder.exists():
        return
    if not overwrite:
        raise FileExistsError(
            f"output folder {str(folder)!r} exists; expected a new one (--output), or --overwrite"
        )
    former = folder.is_dir()
    if former and any(folder.iterdir()):
        found = {path.name for path in folder.iterdir()}
        former = found >= MARKERS
        foreign = found - written_by_runs(found)
        if former and foreign:
            raise FileExistsError(
                f"output folder {str(folder)!r} holds {', '.join(sorted(foreign))}, which "
                "no run has written; it is not replaced"
            )
    if not former:
        raise FileExistsError(
            f"output folder {str(folder)!r} is not the folder of a former run; it is not replaced"
        )


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, and the state beside it from which an unfinished run goes on.

    Attributes:
        folder: the folder of the results, which appear there together.
        config: the settings of the run.
        overwrite: whether the run may replace the folder of a former one.
        resume: whether it goes on with a run that was interrupted or killed.
        results: content of results.json of a run to resume that has ended, else None.
        run: identifier that tells the run from others in the same folder, also when it is
            resumed; empty before it is begun.
    """

    folder: Path
    config: Config
    overwrite: bool = False
    resume: bool = False
    results: dict[str, Any] | None = None
    run: str = ""

    @classmethod
    def open(
        cls,
        folder: str | Path,
        config: Config,
        *,
        overwrite: bool = False,
        resume: bool = False,
        processes: Processes | None = None,
    ) -> RunFolder:
        """Open a folder for a new run, or for one to resume, before anything is computed.

        Of several processes, all of which call this, the first refuses a folder that is taken.

        Raises:
            FileExistsError: a folder that is taken (see `check_destination`), or a state of an
                unfinished run that is neither resumed nor overwritten.
            FileNotFoundError: nothing to resume.
            ValueError: a run to resume of another config or version, or a damaged one.
        """
        opened = cls(Path(folder), config, overwrite, resume)
        processes = processes or current_processes()
        with processes.all_or_none():
            if resume:
                results = find_finished_results(opened.folder, config)
                return replace(opened, results=results)
            if processes.index == 0:
                check_destination(opened.folder, overwrite=overwrite)
                opened._check_state()
        return opened

    @property
    def state(self) -> Path:
        """The folder of the state (see `state_folder`)."""
        return state_folder(self.folder)

    @property
    def resumable(self) -> bool:
        """Whether there is a state from which the run goes on."""
        return self.state.exists()

    def checkpoints(self, process: int = 0) -> Path:
        """Return the folder of the checkpoints of one process (see `jaxscat.Checkpoints`)."""
        return self.state / "checkpoints" / f"process_{process}"

    def has_checkpoints(self) -> bool:
        """Say whether the synthesis has a state from which to go on."""
        return has_checkpoints(self.state)

    @contextmanager
    def begin(self) -> Iterator[RunFolder]:
        """Begin the run or go on with it, locked against other processes until the block ends.

        When the block raises, the state is kept if there are checkpoints or results in it, and else
        removed. When it ends well, the state is there until `finish` removes it.

        Raises `FileExistsError` while another process makes the run, and `OSError` where the state
        cannot be made.
        """
        state, folder = self.state, Path(os.path.realpath(self.folder))
        new_parents = [parent for parent in folder.parents if not parent.exists()]
        if self.resume:
            locked = lock(state)
            recover(state, folder)
            note = read_note(state)
            assert note is not None  # `open` has read it
            replaces = note.overwrite or note.run == read_run(folder)
            begun = replace(self, run=note.run, overwrite=replaces)
        else:
            self._check_state()
            if state.exists():
                with lock(state):
                    recover(state, folder)
                    remove_state(state)
            begun = replace(self, run=uuid.uuid4().hex)
            make_state(state, self.config, begun.run, overwrite=self.overwrite)
            locked = lock(state)
        remove_stale(state)
        try:
            with locked:
                yield begun
        except BaseException:
            written = any(state.glob(".*"))  # results that found no place
            if not written and not begun.has_checkpoints():
                begun.finish()
                for parent in new_parents:
                    if parent.exists() and not any(parent.iterdir()):
                        parent.rmdir()
            raise

    def join(self) -> RunFolder:
        """Join the run that another process has begun.

        Raises `FileNotFoundError` when it cannot be seen from here.
        """
        note = read_note(self.state)
        if note is None:
            raise FileNotFoundError(
                f"the first process has begun a run that is not in {str(self.state)!r} here: "
                "expected a folder that all processes share"
            )
        return replace(self, run=note.run, overwrite=note.overwrite)

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Make a temporary folder that takes the place of `folder` when the block ends well.

        It is within the state of a run that is begun. When the block raises, it is removed and
        `folder` stays as it was. Raises `OSError` for a folder that is taken in the meantime.
        """
        folder = Path(os.path.realpath(self.folder))
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=self.state))
        try:
            yield draft
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        # mkdtemp keeps others out; results are as open as those before, or as any new folder.
        umask = os.umask(0)
        os.umask(umask)
        mode = stat.S_IMODE(folder.stat().st_mode) if folder.is_dir() else 0o777 & ~umask
        draft.chmod(mode)
        _put_in_place(draft, folder, overwrite=self.overwrite)

    def finish(self) -> None:
        """Remove the state of a run that has ended."""
        remove_state(self.state)

    def _check_state(self) -> None:
        """Refuse to begin anew beside an unfinished run, unless that is overwritten."""
        if not self.overwrite and self.resumable:
            raise FileExistsError(
                f"{str(self.state)!r} holds an unfinished run of {str(self.folder)!r}; expected "
                "--resume to go on with it, --overwrite to begin anew, or another folder (--output)"
            )


def _put_in_place(draft: Path, folder: Path, *, overwrite: bool) -> None:
    """Move a draft to its folder, which may have been taken meanwhile."""
    try:
        check_destination(folder, overwrite=overwrite)
        if not folder.exists():
            draft.rename(folder)
            return
        former = draft.with_name(draft.name.lstrip(".") + ".former")
        folder.rename(former)
        try:
            draft.rename(folder)
        except BaseException:
            former.rename(folder)
            raise
    except OSError as error:
        raise OSError(f"{error}; the results are kept in {str(draft)!r}") from error
    shutil.rmtree(former, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON for people to read; NaN and infinity are refused with a `ValueError`.

    An existing file is replaced once the new one is whole.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_table(path: Path, lines: Sequence[Sequence[str | float | None]]) -> None:
    """Write a CSV table, headings first; what is None stays empty.

    An existing file is replaced once the new one is whole.
    """
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(lines)
    write_text(path, stream.getvalue())
