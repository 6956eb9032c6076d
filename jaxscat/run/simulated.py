"""What a run adds to the map of `[data]`, or cuts out of it, to have a truth to compare with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jaxscat.run.config import Config
from jaxscat.run.task_config import NoiseConfig

_SECTIONS = ("noise", "contaminant")
_CUTS = ("discs", "band")
_KINDS = {
    "white": "white noise",
    "spectrum": "noise of a given power spectrum",
    "halves": "noise as the half-mission maps have it",
    "maps": "one of the given realizations",
}


def describe_simulation(config: Config) -> list[str]:
    """Say what is added to the map of `[data]` or cut out of it, so that it counts as the truth.

    Returns no sentence where data are taken as they are.
    """
    added = [name for name in _SECTIONS if getattr(config, name).add_to_data]
    cut = [f"gaps.{name} = {of}" for name in _CUTS if (of := getattr(config.gaps, name))]
    source = config.data.dataset or config.data.path
    if source is None or not (added or cut):
        return []
    map = source if config.data.transform == "none" else f"{source} (transformed)"
    if cut:
        return [
            f"The map of [data], {map}, counts as the truth: gaps were cut into it "
            f"({' and '.join(cut)}), and what was there is only compared with the fill."
        ]
    what = " and ".join(_describe_added(name, getattr(config, name)) for name in added)
    verb = "were" if len(added) > 1 else "was"
    channels = " in every channel" if config.task.kind == "separate" else ""
    return [
        f"The map of [data], {map}, counts as the truth: {what} {verb} added to "
        f"it{channels} to make the data."
    ]


def warn_of_example(config: Config, given: Iterable[str]) -> list[str]:
    """Warn of a config that is meant for a map without noise or gaps and is given another map.

    Args:
        config: the settings, from a config and from the command line.
        given: settings of the command line as "section.key".

    Returns:
        a sentence for the noise or the contaminant that would be added to this map, or that is
        taken for its own, for gaps that would be cut, and for a transform: each if nothing of the
        command line asks for it.
    """
    given = set(given)
    if config.task.kind == "synthesis" or not given & {"data.path", "data.dataset"}:
        return []
    option = "data.path" if "data.path" in given else "data.dataset"
    source = config.data.path or config.data.dataset
    return [f"--{option} {source}: {one}" for one in _unasked(config, given)]


def _unasked(config: Config, given: set[str]) -> Iterator[str]:
    for name in _SECTIONS:
        settings = getattr(config, name)
        own = {one for one in given if one.startswith(f"{name}.")} - {f"{name}.add_to_data"}
        if settings.kind is not None and not settings.add_to_data and not own:
            value = settings.standard_deviation
            of = f"kind = {settings.kind!r}" if value is None else f"standard_deviation = {value:g}"
            yield (
                f"{name}.{of} stands in the config and is taken for that of this map, in its unit"
            )
        if settings.add_to_data and f"{name}.add_to_data" not in given:
            yield (
                f"{name}.add_to_data = true stands in the config, so more {name} is added to this "
                f"map, and the map itself counts as the truth; if it has {name} already, give "
                f"--{name}.add_to_data false"
            )
    for name in _CUTS:
        value = getattr(config.gaps, name)
        if value is not None and f"gaps.{name}" not in given:
            yield (
                f"gaps.{name} = {value} stands in the config, so gaps are cut into this map, and "
                "the map itself counts as the truth; if it has gaps of its own, give "
                f"--gaps.{name} none and --data.unseen mask (or --gaps.path FILE)"
            )
    if config.data.transform != "none" and "data.transform" not in given:
        yield (
            f"data.transform = {config.data.transform!r} stands in the config, so the values of "
            "this map are changed first; --data.transform none leaves them as they are"
        )


def _describe_added(name: str, settings: NoiseConfig) -> str:
    kind = _KINDS[settings.kind or "white"]
    if name == "contaminant":
        kind = f"a contaminant ({kind})"
    if settings.standard_deviation is not None:
        kind += f" of standard deviation {settings.standard_deviation:g}"
    return f"{kind} ({name}.add_to_data = true)"
