"""Pyramids kept in a folder from one program to the next."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jaxscat.maps import check_kind
from jaxscat.operators.pyramid import Plan, Pyramid, build_planned, plan_pyramid
from jaxscat.operators.spec import Geometry, Layout, PyramidSpec
from jaxscat.operators.storage import FORMAT, load_pyramid, save_pyramid


def cached_pyramid(
    folder: str | os.PathLike[str],
    nside: int,
    *,
    orientations: int = 4,
    kernel_size: int = 3,
    scales: int | None = None,
    dtype: DTypeLike = jnp.float32,
    geometry: Geometry = "exact",
    cell_ids: ArrayLike | None = None,
    layout: Layout | Literal["auto"] = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Pyramid:
    """Load a pyramid from a folder, or build it and keep it there.

    Every pyramid has a file of its own (see `pyramid_file`), which is written whole or not at all:
    several programs can use a folder at once. One that cannot be used is replaced. Where nothing
    can be kept, the pyramid is built all the same.

    Args:
        folder: folder of the files; it is made where it is missing.
        nside, orientations, kernel_size, scales, dtype, geometry, cell_ids, layout: as for
            `build_pyramid`.
        progress: called as by `build_pyramid`; not called for a pyramid that is loaded.

    Returns:
        the pyramid that `build_pyramid` returns, to the bit.

    Raises:
        ValueError: no folder, or as `build_pyramid`.

    Warns:
        UserWarning: a file is damaged or cannot be read, or none can be written.

    Examples:
        >>> import jaxscat, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pyramid = jaxscat.cached_pyramid(folder, 8)  # builds it
        ...     again = jaxscat.cached_pyramid(folder, 8)  # loads it
        >>> again.spec == pyramid.spec
        True
    """
    check_kind(folder, str | os.PathLike, "folder", "the path of a folder")
    plan = plan_pyramid(
        nside,
        orientations=orientations,
        kernel_size=kernel_size,
        scales=scales,
        dtype=dtype,
        geometry=geometry,
        cell_ids=cell_ids,
        layout=layout,
        progress=progress,
    )
    path = pyramid_file(folder, plan.spec)
    pyramid = _load(path, plan)
    if pyramid is None:
        pyramid = build_planned(plan, progress)
        _save(path, pyramid)
    return pyramid


def pyramid_file(folder: str | os.PathLike[str], spec: PyramidSpec) -> Path:
    """Return the file of `cached_pyramid` for pyramids of a specification.

    Its name begins with what people look for; the rest is a checksum of the whole specification,
    of the format of the file and of the versions of jaxscat and healpy, which make the tables.
    """
    known = {
        "spec": dataclasses.asdict(spec),
        "format": FORMAT,
        **{name: _version(name) for name in ("jaxscat", "healpy")},
    }
    checksum = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]
    part = "" if spec.cell_count is None else f"-{spec.cell_count}pixels"
    return Path(folder) / f"pyramid-nside{spec.nside}{part}-{checksum}.npz"


def _version(package: str) -> str | None:
    """Return the version of a package; None where it is not installed but only on the path."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _load(path: Path, plan: Plan) -> Pyramid | None:
    """Load the pyramid of a plan, or None where there is none that can be used."""
    try:
        found = load_pyramid(path)
        if not _is_planned(found, plan):
            raise ValueError(f"path: got {path}, which holds another pyramid")
    except FileNotFoundError:
        return None
    except (ValueError, OSError, MemoryError) as error:  # a damaged size may be any number
        warnings.warn(
            "a pyramid is built anew, as the one that was kept cannot be used: "
            + str(error).removeprefix("path: got "),
            stacklevel=3,
        )
        return None
    return plan.put_in_order(found.levels)


def _is_planned(found: Pyramid, plan: Plan) -> bool:
    """Tell whether a pyramid without an order of its own is the one that a plan is of."""
    if found.spec != plan.spec or found.order is not None:
        return False
    return plan.cells is None or np.array_equal(found.pixels(plan.spec.own_scale), plan.cells)


def _save(path: Path, pyramid: Pyramid) -> None:
    """Keep a pyramid, whose pixels are in ascending order in the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_pyramid(path, Pyramid(pyramid.levels, None, pyramid.spec))
    except (ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        warnings.warn(f"a pyramid is not kept in {str(path)!r}: {reason}", stacklevel=3)
