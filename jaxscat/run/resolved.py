"""The config of a run with every value that was in force, also of what was left unset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from jaxscat.datasets.registry import dataset_names
from jaxscat.objectives.target import COARSEST_NSIDE
from jaxscat.operators.spec import PyramidSpec
from jaxscat.reconstruction.defaults import GAP_RENEWALS, default_start
from jaxscat.reconstruction.inpaint import GAP_START
from jaxscat.reconstruction.options import Renewals
from jaxscat.run.config import Config, config_from_tree
from jaxscat.run.map_sources import NO_PLACE, MapPlace
from jaxscat.run.task_checks import foreign_sections as unused

# Entries that are paths of files; some may be datasets instead.
_PATHS = {
    "data": ("path",),
    "target": ("mask", "second"),
    "channels": ("paths",),
    "noise": ("deviation_map", "spectrum", "first", "second", "paths"),
    "contaminant": ("deviation_map", "spectrum", "first", "second", "paths"),
    "gaps": ("path",),
    "truth": ("path",),
    "reconstruction": ("template",),
}
_DATASETS = (("target", "second"), ("reconstruction", "template"))
_HEAD = """\
# All settings of a run with the values that were in force: jaxscat run repeats it from this file.
"""


def resolve(
    config: Config,
    spec: PyramidSpec,
    *,
    place: MapPlace = NO_PLACE,
    unit: str | None = None,
    covariance_scales: int | None = None,
    lmax: int | None = None,
    pairs: tuple[str, ...] | None = None,
    realizations: int | None = None,
) -> Config:
    """Return a config in which what was unset has the value that was in force.

    A run of it makes the same maps, to the bit. What stays unset is none at all (such as a limit),
    follows the memory of the device (`batch_size`), or is the file's own where other files may
    have another (order, column and table, beside a second map or in other tasks).

    Args:
        config: the settings as they were given.
        spec: of the pyramid at the nside of the maps.
        place: where in its file the map was found.
        unit: of the map, if its file states it.
        covariance_scales: number of scales at which S3 and S4 counted; None for the default.
        lmax: last multipole of E and B, if the maps are these.
        pairs: names of the pairs of fields that counted, if there are several fields.
        realizations: of the noise of which a target was measured, if there is noise.
    """
    alone = config.task.kind == "synthesis" and config.target.second is None
    found: dict[str, dict[str, Any]] = {section: {} for section in Config.model_fields}
    found["data"]["nside"] = spec.nside
    # The order of the map would hold for other files that state none.
    orderly = alone and (config.target.mask is None or config.target.mask_order is not None)
    if orderly or str(config.data.path).lower().endswith(".npy"):
        found["data"]["order"] = place.order
    if alone:
        found["data"] |= {"field": place.field, "hdu": place.hdu, "unit": unit}
    if config.target.hidden != "patch" or config.synthesis.first_nside is None:
        found["pyramid"]["scales"] = spec.scales
    if config.target.hidden != "interior":
        found["target"]["coarsest_nside"] = min(COARSEST_NSIDE, spec.finest_nside)
    elif covariance_scales is not None and config.synthesis.first_nside is None:
        found["target"]["coarsest_nside"] = spec.finest_nside >> (covariance_scales - 1)
    found["polarization"]["lmax"] = lmax
    found["polarization"]["pairs"] = pairs
    found["reconstruction"] = {
        "renewals": default_renewals(config.task.kind),
        "start": _default_start(config),
        "realizations": realizations,
    }
    sections = {name: getattr(config, name) for name in found if name not in unused(config)}
    return config.model_copy(
        update={name: _fill(name, section, found[name]) for name, section in sections.items()}
    )


def default_renewals(kind: str) -> int:
    """Return how often a task measures targets anew, where nothing says it."""
    return GAP_RENEWALS.number if kind == "inpaint" else Renewals().number


def _default_start(config: Config) -> str:
    settings = config.reconstruction
    if config.task.kind == "inpaint":
        return GAP_START
    return default_start(settings.seeds is not None, settings.terms)


def describe_given(config: Config, resolved: Config) -> dict[str, Any]:
    """Return what was given where the resolved config says something else, by "section.key"."""
    given, now = config.model_dump(mode="json"), resolved.model_dump(mode="json")
    return {
        f"{section}.{name}": value
        for section, entries in given.items()
        for name, value in entries.items()
        if value != now[section][name]
    }


def as_given(resolved: Config, given: Mapping[str, Any]) -> Config:
    """Return a config as it was given, from the resolved one and what `describe_given` says."""
    tree = resolved.model_dump(mode="json", exclude_none=True, exclude=unused(resolved))
    for location, value in given.items():
        section, _, name = location.partition(".")
        entries = tree.setdefault(section, {})
        entries.pop(name, None)
        if value is not None:
            entries[name] = value
    return config_from_tree(tree)


def write_resolved(resolved: Config, *, unit: str | None = None, frame: str | None = None) -> str:
    """Write a resolved config as TOML, with what the map's file says in comments."""
    said = [f"unit {unit}"] if unit else []
    said += [f"frame {frame}"] if frame else []
    stated = f"# The map, as its file says: {', '.join(said)}.\n" if said else ""
    return f"{_HEAD}{stated}\n{resolved.to_toml()}"


def _fill(section: str, entries: BaseModel, found: Mapping[str, Any]) -> BaseModel:
    """Return entries with absolute paths, and with what was found where they are unset."""
    update = {name: value for name, value in found.items() if getattr(entries, name) is None}
    for name in _PATHS.get(section, ()):
        value = getattr(entries, name)
        if value is not None and not ((section, name) in _DATASETS and value in dataset_names()):
            update[name] = _absolute(value)
    return entries.model_copy(update=update)


def _absolute(paths: str | tuple[str, ...]) -> Any:
    return tuple(map(_absolute, paths)) if isinstance(paths, tuple) else str(Path(paths).absolute())
