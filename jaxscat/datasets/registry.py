"""Named datasets: their origin, their licence, and how to obtain them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from jaxtyping import Float

from jaxscat.datasets.packaged import packaged_cosmic_web
from jaxscat.datasets.polarized_dust import polarized_dust_maps

DATA_VARIABLE = "JAXSCAT_DATA"


class DatasetError(ValueError):
    """A dataset is unknown, cannot be obtained, or has the wrong checksum."""


@dataclass(frozen=True)
class Dataset:
    """A named full-sky NESTED map, or several maps that are Stokes parameters.

    They are either made by `make`, on demand or from a file that is `packaged` with jaxscat, or
    read from a file given by `url`, `file` and `sha256`.
    `stokes` names the rows of an array of Stokes parameters, in the convention COSMO; without it,
    there is one map of shape (npix,).
    """

    name: str
    nside: int
    description: str
    source: str
    licence: str
    make: Callable[[], Float[np.ndarray, "*S p"]] | None = None
    packaged: bool = False
    stokes: tuple[str, ...] = ()
    url: str = ""
    file: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class DatasetRow:
    """One row of the list of datasets; `location` is the source of the map on this machine.

    `available` is true if no network is needed.
    """

    name: str
    nside: int
    description: str
    source: str
    licence: str
    available: bool
    location: str


@lru_cache(maxsize=1)
def _cosmic_web() -> Float[np.ndarray, " p"]:
    return packaged_cosmic_web()


@lru_cache(maxsize=1)
def _polarized_dust() -> Float[np.ndarray, "3 p"]:
    return polarized_dust_maps(64)


_DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="cosmic-web",
            nside=64,
            description="filaments and voids on a shell, by the Zel'dovich approximation",
            source="made by jaxscat (jaxscat.datasets.cosmic_web)",
            licence="BSD-3-Clause",
            make=_cosmic_web,
            packaged=True,
        ),
        Dataset(
            name="polarized-dust",
            nside=64,
            description="I, Q, U of filaments of dust along a turbulent magnetic field",
            source="made by jaxscat (jaxscat.datasets.polarized_dust)",
            licence="BSD-3-Clause",
            make=_polarized_dust,
            stokes=("I", "Q", "U"),
        ),
        Dataset(
            name="lss",
            nside=128,
            description="Large-Scale-Structure map of the FOSCAT demonstrations",
            source="https://github.com/jmdelouis/FOSCAT_DEMO",
            licence="GPL-3.0 (downloaded, not part of jaxscat)",
            url="https://raw.githubusercontent.com/jmdelouis/FOSCAT_DEMO/main/data/"
            "LSS_map_nside128.npy",
            file="LSS_map_nside128.npy",
            sha256="eed2d821be68de0317e0c0c8b8d15c4e5eeb9b960c70e27d88672fb40162bddd",
        ),
    )
}


def dataset_names() -> tuple[str, ...]:
    """Return the names of the datasets, which `load_map` accepts instead of a file."""
    return tuple(_DATASETS)


def find_dataset(name: str) -> Dataset:
    """Return the entry of one dataset; DatasetError (a ValueError) for an unknown name."""
    if name not in _DATASETS:
        raise DatasetError(f"dataset: got {name!r}, expected one of {', '.join(_DATASETS)}")
    return _DATASETS[name]


def describe() -> list[DatasetRow]:
    """List all datasets with origin, licence and availability on this machine.

    Nothing is computed or downloaded.
    """
    rows = []
    for dataset in _DATASETS.values():
        if dataset.make is not None:
            available = True
            location = "part of jaxscat" if dataset.packaged else "made on demand"
        else:
            present = [path for path in _places(dataset) if _is_readable(path)]
            intact = [path for path in present if _sha256(path) == dataset.sha256]
            available = bool(intact) and intact[0] == present[0]
            if available:
                location = str(present[0])
            elif present:
                location = f"{present[0]} (wrong checksum)"
            else:
                location = "downloaded on first use"
        rows.append(
            DatasetRow(
                name=dataset.name,
                nside=dataset.nside,
                description=dataset.description,
                source=dataset.source,
                licence=dataset.licence,
                available=available,
                location=location,
            )
        )
    return rows


def dataset_path(name: str) -> Path | None:
    """Return the verified file of a dataset, downloaded if needed; None if it is computed.

    The folder given by the environment variable JAXSCAT_DATA takes precedence. A file that is not
    there is downloaded once to the user's cache, with a progress bar on the standard error.
    Raises DatasetError (a ValueError) for an unknown name, a wrong checksum, a JAXSCAT_DATA that
    is not a folder, and for a failed download (with instructions to do it by hand).
    """
    dataset = find_dataset(name)
    if dataset.make is not None:
        return None
    local = _local_file(dataset)
    return _download(dataset) if local is None else local


def load_dataset(name: str) -> Float[np.ndarray, "*S p"]:
    """Load the map of a dataset, float64, NESTED, at its own nside.

    A polarized dataset has one row for each of the Stokes parameters that `find_dataset` tells.
    Raises DatasetError (a ValueError) as `dataset_path` does.
    """
    path = dataset_path(name)
    if path is None:
        make = find_dataset(name).make
        assert make is not None
        return make().copy()
    return np.load(path, allow_pickle=False).astype(np.float64)


def _cache_folder() -> Path | None:
    """Return the folder of downloads, None for a user who has no home folder."""
    import pooch

    try:
        folder = Path(pooch.os_cache("jaxscat"))
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None  # some versions leave a "~" in place


def _places(dataset: Dataset) -> list[Path]:
    folders = [os.environ.get(DATA_VARIABLE), _cache_folder()]
    return [Path(folder) / dataset.file for folder in folders if folder]


def _is_readable(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except OSError:  # in a folder that cannot be searched
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _local_file(dataset: Dataset) -> Path | None:
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        return None
    if not os.path.isdir(folder) or not os.access(folder, os.X_OK):
        raise DatasetError(
            f"{DATA_VARIABLE}: got {folder!r}, expected a folder with map files that can be read"
        )
    path = Path(folder) / dataset.file
    if not path.is_file():
        return None
    if not os.access(path, os.R_OK):
        raise DatasetError(f"{DATA_VARIABLE}: {path} cannot be read, expected a file that can")
    found = _sha256(path)
    if found != dataset.sha256:
        raise DatasetError(
            f"{DATA_VARIABLE}: {path} has sha256 {found}, expected {dataset.sha256} for dataset "
            f"{dataset.name!r}; replace the file or unset {DATA_VARIABLE}"
        )
    return path


def _download(dataset: Dataset) -> Path:
    import pooch
    import requests

    from jaxscat.datasets.download_bar import DownloadBar

    folder = _cache_folder()
    if folder is None:
        raise DatasetError(
            f"dataset {dataset.name!r}: there is no home folder to keep a download in; expected "
            f"HOME, or {DATA_VARIABLE} with the folder that {dataset.file} is in"
        )
    try:
        with DownloadBar(dataset.file) as bar:
            path = pooch.retrieve(
                dataset.url,
                known_hash=f"sha256:{dataset.sha256}",
                fname=dataset.file,
                path=folder,
                downloader=pooch.HTTPDownloader(progressbar=bar),  # pyright: ignore
            )
    except (requests.RequestException, OSError, ValueError) as error:
        # pooch raises ValueError for a wrong checksum, requests for the network, OSError for disks.
        raise DatasetError(
            f"dataset {dataset.name!r}: the download failed ({_reason(error)}). "
            f"To do it by hand: get {dataset.url} on a machine with network, put it into a folder "
            f"as {dataset.file}, check that its sha256 is {dataset.sha256}, and set "
            f"{DATA_VARIABLE} to that folder"
        ) from error
    return Path(path)


def _reason(error: Exception) -> str:
    """Summarize why a download failed."""
    import requests

    request = getattr(error, "request", None)
    host = urlsplit(str(getattr(request, "url", ""))).netloc or "the server"
    if isinstance(error, requests.Timeout):
        return f"no answer from {host}"
    if isinstance(error, requests.ConnectionError):
        return f"no connection to {host}"
    return " ".join(str(error).split()) or type(error).__name__
