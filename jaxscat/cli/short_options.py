"""Short options of `jaxscat run`: the settings of most runs, by the names that `measure` has.

They mean the same as the settings, but for `--seeds 4`, which are four seeds as in a config, where
`--synthesis.seeds 4` is the seed 4. Of a reconstruction, `--seeds` are those of
`[reconstruction]`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from jaxscat.fields.seeds import MAX_SEEDS
from jaxscat.run.overrides import ConfigError
from jaxscat.run.task_checks import sections_of

SHORT = {
    "nside": "data.nside",
    "order": "data.order",
    "field": "data.field",
    "hdu": "data.hdu",
    "unit": "data.unit",
    "unseen": "data.unseen",
    "bad-data": "data.bad_data",
    "zero-hits": "data.zero_hits",
    "transform": "data.transform",
    "mask": "target.mask",
    "mask-order": "target.mask_order",
    "mask-field": "target.mask_field",
    "mask-hdu": "target.mask_hdu",
    "mask-threshold": "target.mask_threshold",
    "hidden": "target.hidden",
    "second": "target.second",
    "second-order": "target.second_order",
    "second-field": "target.second_field",
    "second-hdu": "target.second_hdu",
    "orientations": "pyramid.orientations",
    "kernel-size": "pyramid.kernel_size",
    "scales": "pyramid.scales",
    "geometry": "pyramid.geometry",
    "seeds": "synthesis.seeds",
    "max-steps": "synthesis.max_steps",
    "precision": "run.precision",
    "name": "run.name",
}
# In tasks that synthesize nothing: another setting of the same meaning, or a hint at others.
_RECONSTRUCTION = {"seeds": "reconstruction.seeds"}
_HINTS = {
    "max-steps": "expected --reconstruction.steps (between two renewals) or "
    "--reconstruction.renewals (their number)"
}


def expand_short(
    overrides: Mapping[str, list[str]], kind: str = "synthesis"
) -> dict[str, list[str]]:
    """Return overrides with every short option by the name of its setting.

    Args:
        overrides: words by short or full names.
        kind: the task, `task.kind`; that of the overrides counts more.

    Raises `ConfigError` for a setting that is given under both names, for a name without a section
    that is none of the short ones, and for one that the task has no use for.
    """
    kind = overrides.get("task.kind", [kind])[-1]
    reconstructs = "reconstruction" in sections_of(kind)
    found: dict[str, list[str]] = {}
    for location, words in overrides.items():
        name = location.replace("_", "-")
        full = location if "." in location else SHORT.get(name)
        if reconstructs and name in _HINTS:
            raise ConfigError(f"--{location}: got it with task.kind = {kind!r}, {_HINTS[name]}")
        if reconstructs and "." not in location:
            full = _RECONSTRUCTION.get(name, full)
        if full is None:
            close = difflib.get_close_matches(name, SHORT, n=1)
            hint = f"did you mean --{close[0]}?" if close else "jaxscat settings lists them"
            raise ConfigError(f"--{location} is not a setting; {hint} (or --section.key value)")
        if full in found:
            raise ConfigError(f"--{location}: got {full} twice, expected it once")
        if full.endswith("order"):
            words = [word.upper() for word in words]
        elif name == "seeds":
            words = _count_seeds(words)
        found[full] = words
    return found


def _count_seeds(words: list[str]) -> list[str]:
    """Return the seeds of `--seeds 4`, which are 0 to 3 as in a config; a list stays as it is."""
    if len(words) > 1 or not words[0].isdecimal():
        return words
    if not 1 <= int(words[0]) <= MAX_SEEDS:
        raise ConfigError(f"--seeds {words[0]}: expected a number of new maps, or several seeds")
    return [str(seed) for seed in range(int(words[0]))]
