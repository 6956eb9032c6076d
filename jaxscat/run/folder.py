"""The folder of one run: refused or claimed first, filled beside its place, put there whole."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jaxscat.io.archive import new_file

# What makes a folder recognisable as one that a run has written, and all that a run writes.
MARKERS = {"config.toml", "results.json", "run.json"}
REPORT = ("validation.json", "validation.png", "report.html")
CONTENT = MARKERS | {"maps.fits", "history.csv", "summary.png", "ensemble.csv", "ensemble.png"}
CONTENT |= set(REPORT)


def map_file_names(count: int) -> list[str]:
    """The files of a run that writes its maps into so many: maps.fits, or maps_001.fits, ..."""
    return ["maps.fits"] if count == 1 else [f"maps_{n:03}.fits" for n in range(1, count + 1)]


def numbered_map_files(names: set[str]) -> set[str]:
    """Those names that are of the form maps_001.fits."""
    return {name for name in names if re.fullmatch(r"maps_\d{3,}\.fits", name)}


def written_by_runs(names: set[str]) -> set[str]:
    """Those names in a folder that are of files which one run has written.

    Numbered files of maps count as far as they follow one another from maps_001.fits, and only
    where there is no maps.fits, since no run writes both.
    """
    numbered = set() if "maps.fits" in names else numbered_map_files(names)
    return names & (CONTENT | (numbered & set(map_file_names(len(numbered)))))


def check_destination(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse a place for results that is taken.

    With `overwrite`, an empty folder and the folder of a former run may be replaced; anything
    else (a home directory, say) never. Raises `FileExistsError`.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if not overwrite:
        raise FileExistsError(
            f"output folder {str(folder)!r} exists; expected a new one (--output), or --overwrite"
        )
    former = folder.is_dir() and not folder.is_symlink()
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


@contextmanager
def new_run_folder(
    folder: Path, *, overwrite: bool = False, within: Path | None = None
) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends well.

    It is made `within` another folder of the same file system, if that is given.

    When the block raises, everything made for it is removed and `folder` stays as it was.
    Raises `FileExistsError` before anything is made (see `check_destination`).
    """
    folder = Path(os.path.abspath(folder))
    check_destination(folder, overwrite=overwrite)
    new_parents = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=within or folder.parent))
    try:
        yield draft
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        with suppress(OSError):  # somebody else may have begun to use them
            for parent in new_parents:
                parent.rmdir()
        raise
    # mkdtemp keeps others out; results are as open as any new folder.
    umask = os.umask(0)
    os.umask(umask)
    draft.chmod(0o777 & ~umask)
    _put_in_place(draft, folder, overwrite=overwrite)


def _put_in_place(draft: Path, folder: Path, *, overwrite: bool) -> None:
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

    A file that is there is replaced in the end.
    """
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with new_file(path) as file:
        file.write(text.encode())


def write_history(path: Path, rows: Sequence[tuple[int, int, float, int]]) -> None:
    """Write the CSV table seed, step, loss, evaluations; step 0 is the start map."""
    write_table(path, [("seed", "step", "loss", "evaluations"), *rows])


def write_table(path: Path, lines: Sequence[Sequence[str | float | None]]) -> None:
    """Write a CSV table, headings first; what is None stays empty."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(lines)
