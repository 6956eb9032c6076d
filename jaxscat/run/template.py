"""A config to fill in: every setting with its meaning, its default, and what a map's file says."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from jaxscat.run.config import Config
from jaxscat.run.first_look import LARGEST_NSIDE
from jaxscat.run.inputs import find_sources
from jaxscat.run.map_sources import find_place, read_source
from jaxscat.run.settings import Setting, describe_sections, list_settings
from jaxscat.run.task_checks import sections_of

_WIDTH = 96
_HEAD = """\
Settings of a run: jaxscat run FILE.toml, where FILE.toml is this file. Every setting is here with
its meaning and its default; those that begin with # are unset, or belong to other tasks. What you
do not need can be taken out.
"""


def describe_map(config: Config) -> tuple[dict[str, Any], list[str]]:
    """Find what the settings of a map are: where it is in its file, its nside and its unit.

    Args:
        config: the config of the map alone, in which its order is settled.

    Returns:
        values of settings by "section.key", and sentences about the map.

    Raises:
        ValueError: the map cannot be read.
    """
    sources, data = find_sources(config), config.data
    allowed = config.data.model_copy(update={"unseen": "mask"})
    sky, _ = read_source(
        sources.map, find_sources(config.model_copy(update={"data": allowed})), None
    )
    place = find_place(sources.map, sky)
    nside = min(sky.nside, LARGEST_NSIDE)
    found = {
        "data.dataset": data.dataset,
        "data.path": None if data.path is None else str(Path(data.path).absolute()),
        "data.nside": nside,
        "data.order": place.order,
        "data.field": place.field,
        "data.hdu": place.hdu,
        "data.unit": sky.unit,
        "run.name": config.run.name,
    }
    said = [f"{sources.map} has nside {sky.nside}; unit: {sky.unit or 'none stated'}"]
    if nside < sky.nside:
        said.append(f"data.nside is {nside} for a first look; {sky.nside} is that of the map")
    if sky.bad_pixels:
        found["data.unseen"] = "mask"
        said.append(f"{sky.describe_bad_pixels()}: data.unseen is 'mask', which leaves them out")
    return {name: value for name, value in found.items() if value is not None}, said


def write_template(values: Mapping[str, Any] | None = None) -> str:
    """Write a config as TOML with every setting, its meaning and its default.

    Settings without a value, and those of sections that a synthesis does not use, are commented
    out.

    Args:
        values: values of settings by "section.key", in place of defaults.

    Returns:
        the text of a file that `load_config` reads, if `values` name a map.
    """
    values = values or {}
    lines = _comment(_HEAD)
    about, used = describe_sections(), sections_of("synthesis")
    section = ""
    for setting in list_settings():
        if setting.section != section:
            section = setting.section
            active = section in used
            lines += ["", "", *_comment(about[section])]
            lines += [f"[{section}]" if active else f"# [{section}]"]
        lines += ["", *_comment(f"{setting.meaning} {_describe_kind(setting)}")]
        lines.append(_write_entry(setting, values, active=section in used))
    return "\n".join(lines) + "\n"


def format_value(value: Any) -> str:
    """Return a value as it is written in TOML."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(format_value, value))}]"
    if isinstance(value, Mapping):  # a table, in one line
        entries = [f"{_format_key(key)} = {format_value(entry)}" for key, entry in value.items()]
        return f"{{ {', '.join(entries)} }}" if entries else "{}"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").strip()


def _format_key(key: str) -> str:
    return tomli_w.dumps({key: 0}).removesuffix(" = 0\n")


def _write_entry(setting: Setting, values: Mapping[str, Any], *, active: bool) -> str:
    value = values.get(setting.name, setting.default)
    if setting.name == "run.name" and setting.name not in values:
        return "# name ="
    if value is None:
        return f"# {setting.key} ="
    return f"{'' if active else '# '}{setting.key} = {format_value(value)}"


def _describe_kind(setting: Setting) -> str:
    """Say in brackets what a setting may be."""
    if not setting.choices:
        return f"({setting.kind})"
    listed = ", ".join(map(format_value, setting.choices))
    return f"({'' if setting.kind == 'choice' else 'list of '}{listed})"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), _WIDTH)]
