"""A run that has not ended: what it keeps beside its folder, and how it goes on."""

from __future__ import annotations

import fcntl
import glob
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from jaxscat.run.config import Config, load_config
from jaxscat.run.folder import check_destination
from jaxscat.run.provenance import versions


@dataclass(frozen=True)
class UnfinishedRun:
    """The place `<folder>.unfinished` beside the folder of a run.

    Attributes:
        folder: the place. It has the run's config.toml, a note.json on who began it, its
            checkpoints and, while results are written, their draft.
        run: what tells the run from others in the same folder, unchanged when it is resumed.
        overwrite: whether the run may replace the folder of a former one.
    """

    folder: Path
    run: str
    overwrite: bool

    def checkpoints(self, process: int = 0) -> Path:
        """Folder of the checkpoints of one process (see `jaxscat.Checkpoints`)."""
        return self.folder / "checkpoints" / f"process_{process}"

    def has_checkpoints(self) -> bool:
        """Whether the synthesis has a state from which to go on."""
        return any(path.name.isdigit() for path in self.folder.glob("checkpoints/*/*"))


def place_of(folder: Path) -> Path:
    """Where a run keeps what it needs to go on."""
    folder = Path(os.path.abspath(folder))
    return folder.with_name(folder.name + ".unfinished")


def check_new_run(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse a place for results that is taken (see `check_destination`), or half-way there.

    Raises `FileExistsError`.
    """
    check_destination(folder, overwrite=overwrite)
    if not overwrite and place_of(folder).exists():
        raise FileExistsError(
            f"{str(place_of(folder))!r} holds an unfinished run of {str(folder)!r}; expected "
            "--resume to go on with it, --overwrite to begin anew, or another folder (--output)"
        )


def finished_results(folder: Path, config: Config) -> dict[str, Any] | None:
    """The content of results.json if the run of a folder has ended; None if it can be resumed.

    Raises `FileNotFoundError` when there is nothing to resume, and `ValueError` when what is there
    is of another config (the first entry that differs is named) or version, or damaged.
    """
    place, folder = place_of(folder), Path(os.path.abspath(folder))
    results = _results(folder)
    begun = _note(place)
    if begun is None and results is None:
        raise FileNotFoundError(
            f"nothing to resume: neither {str(folder)!r} is the folder of a run nor is there an "
            f"unfinished one in {str(place)!r}"
        )
    ours = begun is None or (results is not None and begun["run"] == _run_of(folder))
    if results is not None and ours and results["status"] != "interrupted":
        _check_config(folder, config)
        return results
    if begun is None:
        raise FileNotFoundError(
            f"nothing to resume: the run in {str(folder)!r} was interrupted before it had kept a "
            "checkpoint; expected --overwrite to run it anew"
        )
    _check_config(place, config)
    version = versions()["jaxscat"]
    if begun["version"] != version:
        raise ValueError(
            f"{str(place)!r} was begun by jaxscat {begun['version']}, and this is {version}; "
            "expected the same version"
        )
    return None


@contextmanager
def begun_run(
    folder: Path, config: Config, *, overwrite: bool = False, resume: bool = False
) -> Iterator[UnfinishedRun]:
    """Begin a run, or go on with one that `finished_results` has found.

    When the block raises, the place is kept if there is a checkpoint in it, and else removed; what
    becomes of it in the end is the caller's to say (see `remove`).

    Raises `FileExistsError` while another process makes the run, beside what `check_new_run` does.
    """
    place, folder = place_of(folder), Path(os.path.abspath(folder))
    new_parents = [parent for parent in folder.parents if not parent.exists()]
    held = None
    if resume:
        held = _held(place)
        _tidy(place, folder)
        note = _note(place)
        assert note is not None  # `finished_results` has seen it
        replace = note["overwrite"] or note["run"] == _run_of(folder)
        run = UnfinishedRun(place, note["run"], replace)
    else:
        check_new_run(folder, overwrite=overwrite)
        if place.exists():
            with _held(place):
                _tidy(place, folder)
                remove(place)
        run = UnfinishedRun(place, uuid.uuid4().hex, overwrite)
        _make(run, config)
        held = _held(place)
    _sweep(place)
    try:
        with held:
            yield run
    except BaseException:
        kept = run.has_checkpoints() or any(place.glob(".*"))  # results that found no place
        if not kept:
            remove(place)
            for parent in new_parents:
                if parent.exists() and not any(parent.iterdir()):
                    parent.rmdir()
        raise


def joined_run(folder: Path) -> UnfinishedRun:
    """The run that another process has begun.

    Raises `FileNotFoundError` when it cannot be seen from here.
    """
    place = place_of(folder)
    note = _note(place)
    if note is None:
        raise FileNotFoundError(
            f"the first process has begun a run that is not in {str(place)!r} here: expected a "
            "folder that all processes share"
        )
    return UnfinishedRun(place, note["run"], note["overwrite"])


def remove(place: Path) -> None:
    """Remove the place of a run, if there is one, and what a kill has left of it before."""
    if place.exists():
        place.rename(place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}"))
    _sweep(place)


def _sweep(place: Path) -> None:
    """Remove places that were being made or removed when a process was killed."""
    for path in place.parent.glob(f".{glob.escape(place.name)}.*"):
        shutil.rmtree(path, ignore_errors=True)


def _held(place: Path) -> IO[str]:
    """Return a file that no other process can hold until it is closed, or this process has died."""
    file = (place / "lock").open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise FileExistsError(
            f"{str(place)!r} is in use: another process makes this run at the moment"
        ) from None
    except OSError:
        pass  # a file system without locks
    return file


def _make(run: UnfinishedRun, config: Config) -> None:
    """Make the place under another name first, so that it is there with all its files or not."""
    try:
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        draft = run.folder.with_name(f".{run.folder.name}.{run.run[:8]}")
        draft.mkdir()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(run.folder)) from None
    (draft / "config.toml").write_text(config.to_toml(), encoding="utf-8")
    note = {"run": run.run, "overwrite": run.overwrite, "version": versions()["jaxscat"]}
    (draft / "note.json").write_text(json.dumps(note), encoding="utf-8")
    draft.rename(run.folder)


def _tidy(place: Path, folder: Path) -> None:
    """Remove drafts of results that a kill has left, and put back what they were to replace."""
    for former in place.glob("*.former"):
        if not folder.exists():
            former.rename(folder)
    for draft in place.glob(".*"):
        shutil.rmtree(draft, ignore_errors=True)


def _note(place: Path) -> dict[str, Any] | None:
    if not (place / "note.json").is_file():
        return None
    try:
        note = json.loads((place / "note.json").read_text(encoding="utf-8"))
        return {name: note[name] for name in ("run", "overwrite", "version")}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{str(place / 'note.json')!r} is damaged ({error}); remove {str(place)!r} to begin "
            "anew"
        ) from None


def _results(folder: Path) -> dict[str, Any] | None:
    return _json(folder / "results.json")


def _run_of(folder: Path) -> str | None:
    found = _json(folder / "run.json")
    return None if found is None else found.get("run")


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}") from None


def _check_config(folder: Path, config: Config) -> None:
    """Refuse to go on with another config, and name an entry that differs."""
    former, now = load_config(folder / "config.toml"), config
    for section, entries in now.model_dump(mode="json").items():
        if section == "checkpoints":  # when they are written changes nothing
            continue
        others = former.model_dump(mode="json")[section]
        for name, value in entries.items():
            if others[name] != value and (section, name) != ("run", "name"):
                raise ValueError(
                    f"{str(folder)!r} is of another config: {section}.{name} is {others[name]!r} "
                    f"there and {value!r} now; expected the same"
                )
