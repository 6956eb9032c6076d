"""The state of a run that has not ended, beside its folder: how it is kept, locked and read."""

from __future__ import annotations

import fcntl
import glob
import json
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import IO, Any, NamedTuple

from jaxscat.io.archive import write_text
from jaxscat.reasons import reason_of
from jaxscat.run.config import Config, load_config
from jaxscat.run.provenance import versions
from jaxscat.run.resolved import as_given


class Note(NamedTuple):
    """The note.json of an unfinished run.

    Attributes:
        run: identifier of the run.
        overwrite: whether it may replace the folder of a former run.
        version: version of the package that began it.
    """

    run: str
    overwrite: bool
    version: str | None


def state_folder(folder: Path) -> Path:
    """Return the folder `<folder>.unfinished` with the state of a run that has not ended.

    It has the run's config.toml, a note.json, the checkpoints of every process and, while results
    are written, their draft.
    """
    folder = Path(os.path.realpath(folder))
    return folder.with_name(folder.name + ".unfinished")


def find_finished_results(folder: Path, config: Config) -> dict[str, Any] | None:
    """Return the content of results.json if a run has ended, None if it can be resumed.

    Raises `FileNotFoundError` when there is nothing to resume, and `ValueError` when what is there
    is of another config (the first entry that differs is named) or version, or damaged.
    """
    state, folder = state_folder(folder), Path(os.path.realpath(folder))
    results = _read_json(folder / "results.json")
    note = read_note(state)
    if note is None and results is None:
        raise FileNotFoundError(
            f"nothing to resume: neither {str(folder)!r} is the folder of a run nor is there an "
            f"unfinished one in {str(state)!r}"
        )
    if results is not None and not isinstance(results.get("status"), str):
        raise ValueError(f"{str(folder / 'results.json')!r} is damaged: it has no status")
    same_run = note is None or (results is not None and note.run == read_run(folder))
    if results is not None and same_run and results["status"] != "interrupted":
        _check_config(folder, config)
        return results
    if note is None:
        raise FileNotFoundError(
            f"nothing to resume: the run in {str(folder)!r} was interrupted before it had kept a "
            "checkpoint; expected --overwrite to run it anew"
        )
    _check_config(state, config)
    version = versions()["jaxscat"]
    if note.version != version:
        raise ValueError(
            f"{str(state)!r} was begun by jaxscat {note.version}, and this is {version}; "
            "expected the same version"
        )
    return None


def make_state(state: Path, config: Config, run: str, *, overwrite: bool) -> None:
    """Make the state of a new run under another name first, so that it appears whole.

    Raises `OSError` where it cannot be made.
    """
    draft = state.with_name(f".{state.name}.{run[:8]}")
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(state)) from None
    write_text(draft / "config.toml", config.to_toml())
    note = Note(run, overwrite, versions()["jaxscat"])
    write_text(draft / "note.json", json.dumps(note._asdict()))
    draft.rename(state)


def has_checkpoints(state: Path) -> bool:
    """Say whether there is a checkpoint in the state of a run, of any process."""
    names = (path.name for path in state.glob("checkpoints/*/*"))
    # Other suffixes are those of a checkpoint that is being written.
    return any(re.fullmatch(r"\d+(\.npz)?|renewals\.npz", name) for name in names)


def lock(state: Path) -> IO[str]:
    """Lock the state of a run until the returned file is closed or this process has died.

    Raises `FileExistsError` while another process holds it.
    """
    file = (state / "lock").open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise FileExistsError(
            f"{str(state)!r} is in use: another process makes this run at the moment"
        ) from None
    except OSError:
        pass  # a file system without locks
    return file


def recover(state: Path, folder: Path) -> None:
    """Remove drafts of results that a kill has left, and put back what they were to replace."""
    for former in state.glob("*.former"):
        if not folder.exists():
            former.rename(folder)
    for draft in state.glob(".*"):
        shutil.rmtree(draft, ignore_errors=True)


def remove_state(state: Path) -> None:
    """Remove the state of a run, if there is one, and what a kill has left of it before."""
    if state.exists():
        state.rename(state.with_name(f".{state.name}.{uuid.uuid4().hex[:8]}"))
    remove_stale(state)


def remove_stale(state: Path) -> None:
    """Remove states that were being made or removed when a process was killed."""
    for path in state.parent.glob(f".{glob.escape(state.name)}.*"):
        shutil.rmtree(path, ignore_errors=True)


def read_note(state: Path) -> Note | None:
    """Read the note of an unfinished run, None where there is none.

    Raises `ValueError` when it is damaged.
    """
    path = state / "note.json"
    if not path.is_file():
        return None
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return Note(note["run"], note["overwrite"], note["version"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is damaged ({reason_of(error)}); remove {str(state)!r} to begin anew"
        ) from None


def read_run(folder: Path) -> str | None:
    """Read the identifier of the run that has written a folder, None where there is none."""
    found = _read_json(folder / "run.json")
    return None if found is None else found.get("run")


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {reason_of(error)}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{str(path)!r} is damaged: it holds no entries with names")
    return found


def _check_config(folder: Path, config: Config) -> None:
    """Refuse to go on with another config, and name an entry that differs.

    It is the same as it was given, or as it was resolved.
    """
    stored = load_config(folder / "config.toml")
    given = (_read_json(folder / "run.json") or {}).get("given") or {}
    found = min(
        _differences(stored, config), _differences(as_given(stored, given), config), key=len
    )
    if found:
        name, there, now = found[0]
        raise ValueError(
            f"{str(folder)!r} is of another config: {name} is {there!r} there and {now!r} now; "
            "expected the same"
        )


def _differences(former: Config, config: Config) -> list[tuple[str, Any, Any]]:
    """List the entries that differ, but those that do not change the maps."""
    before = former.model_dump(mode="json")
    return [
        (f"{section}.{name}", before[section][name], value)
        for section, entries in config.model_dump(mode="json").items()
        for name, value in entries.items()
        # When checkpoints are written changes nothing.
        if section != "checkpoints" and (section, name) != ("run", "name")
        if before[section][name] != value
    ]
