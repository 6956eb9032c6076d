"""The provenance of a result: versions, device, git commit, checksums of inputs, wall times."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("jaxscat", "jax", "jaxlib", "numpy", "healpy", "optax", "equinox")


def versions() -> dict[str, str | None]:
    """List the versions of Python and of the packages of the numbers; None if not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def creator() -> dict[str, str | int]:
    """Return the keyword that says which version of the package has made a file of maps."""
    return {"CREATOR": f"jaxscat {versions()['jaxscat'] or ''}".strip()}


def describe_devices() -> dict[str, Any]:
    """Describe the platform and the devices that JAX computes on."""
    import jax

    devices = jax.devices()
    return {
        "platform": devices[0].platform,
        "devices": [device.device_kind for device in devices],
        "machine": f"{platform.system()} {platform.machine()}",
    }


def git_commit(path: Path) -> str | None:
    """Find the commit of the repository that tracks a file, "-dirty" if its tree has changes.

    None when git is missing or does not track the file, so that an installed copy inside an
    unrelated repository is not mistaken for that repository.
    """
    git = shutil.which("git")
    if git is None or not path.exists():
        return None

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [git, "-C", str(path.resolve().parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    if ask("ls-files", "--error-unmatch", path.name).returncode:
        return None
    commit = ask("rev-parse", "HEAD")
    if commit.returncode:
        return None
    changed = ask("status", "--porcelain", "--untracked-files=no").stdout.strip()
    return commit.stdout.strip() + ("-dirty" if changed else "")


def file_sha256(path: Path) -> str:
    """Compute SHA-256 of a file's bytes, of a folder's (zarr) file by file with their names."""
    if path.is_dir():
        whole = hashlib.sha256()
        for file in sorted(part for part in path.rglob("*") if part.is_file()):
            whole.update(f"{file.relative_to(path)} {file_sha256(file)} ".encode())
        return whole.hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def array_sha256(array: np.ndarray) -> str:
    """Compute SHA-256 of an array's values in C order, without dtype and shape."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


class Clock:
    """The wall time of a run and of its parts, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._begin = time.perf_counter()

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Record the seconds of the block under a name."""
        begin = time.perf_counter()
        yield
        self.seconds[part] = time.perf_counter() - begin

    def total(self) -> float:
        """Return the seconds since the clock was made."""
        return time.perf_counter() - self._begin
