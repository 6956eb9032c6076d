"""The config of a run that is given a map in place of a config."""

from __future__ import annotations

from pathlib import Path

from jaxscat.datasets.registry import dataset_names
from jaxscat.io.formats import map_suffixes
from jaxscat.run.config import Config
from jaxscat.run.inputs import find_sources
from jaxscat.run.map_sources import read_source

# A first look at a map takes a minute at this nside, and four times as long at each doubling.
LARGEST_NSIDE = 32


def is_map(word: str) -> bool:
    """Say whether a word of the command line is a map: a dataset, or a file by its suffix.

    Raises:
        ValueError: it is neither a map nor a config.
    """
    name = Path(word).name.lower()
    if word in dataset_names() or name.endswith(map_suffixes()):
        return True
    if name.endswith(".toml"):
        return False
    if word.startswith("-"):
        raise ValueError(
            f"got {word!r} first, expected a config or a map first and options after it, as in "
            "jaxscat run CONFIG.toml --section.key value, or jaxscat run MAP --nside 32"
        )
    raise ValueError(
        f"got {word!r}, expected a config, as in jaxscat run CONFIG.toml, or a map, as in "
        f"jaxscat run MAP, which is a file that ends in {', '.join(map_suffixes())} or a dataset "
        f"({', '.join(dataset_names())})"
    )


def limit_nside(config: Config) -> tuple[Config, str | None]:
    """Choose the working nside of a map where nothing says it: its own, up to 32.

    Args:
        config: the settings, in which the map's order is settled.

    Returns:
        the config with the nside, and a sentence if it is lower than the map's.

    Raises:
        ValueError: the map cannot be read, or lacks pixels that have to be masked.
    """
    if config.data.nside is not None:
        return config, None
    sources = find_sources(config)
    sky, _ = read_source(sources.map, sources, None)
    nside = min(sky.nside, LARGEST_NSIDE)
    limited = config.model_copy(
        update={"data": config.data.model_copy(update={"nside": nside})},
    )
    if nside == sky.nside:
        return limited, None
    return limited, (
        f"{sources.map} has nside {sky.nside}; for a first look it is averaged to nside {nside} "
        f"(--nside {sky.nside} keeps it)"
    )
