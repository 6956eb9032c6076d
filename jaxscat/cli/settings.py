"""The commands `settings` and `init`: what can be set, on the terminal and in a new config."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from jaxscat.cli.console import errors_in_one_line, print_table, say, show_line
from jaxscat.cli.order_question import orders_to_choose
from jaxscat.cli.run import download
from jaxscat.cli.short_options import SHORT
from jaxscat.io.archive import check_replaceable, write_text
from jaxscat.run.config import config_of_map
from jaxscat.run.first_look import is_map
from jaxscat.run.overrides import ConfigError
from jaxscat.run.pixel_orders import settle_config
from jaxscat.run.settings import Setting, describe_sections, list_settings
from jaxscat.run.template import describe_map, format_value, write_template


def settings(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[SECTION|SECTION.KEY|all]", help="Those to explain."),
    ] = None,
) -> None:
    """List the settings of a run, or explain some: kind, default and meaning."""
    with errors_in_one_line():
        if name is None:
            _list()
            return
        found = _select(name)
        if len(found) == 1:
            for line in _describe_one(found[0]):
                say(line)
            return
        about = describe_sections()
        for section in dict.fromkeys(setting.section for setting in found):
            within = [setting for setting in found if setting.section == section]
            print_table(_tabulate(section, about[section], within))


def init(
    map: Annotated[
        str | None, typer.Argument(metavar="[MAP]", help="A .npy or FITS file, or a dataset.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the config (.toml).")
    ] = Path("my.toml"),
    order: Annotated[str | None, typer.Option(help="RING or NESTED.")] = None,
    field: Annotated[str | None, typer.Option(help="Column of a file, number or name.")] = None,
    hdu: Annotated[str | None, typer.Option(help="Table of a FITS file, number or name.")] = None,
) -> None:
    """Write a config with every setting, its default and its meaning, to fill in for a run."""
    with errors_in_one_line(), orders_to_choose():
        if output.suffix.lower() != ".toml":
            raise ValueError(f"output: got {str(output)!r}, expected a name that ends in .toml")
        if check_replaceable(output, name="output").exists():
            raise ValueError(f"output: {str(output)!r} exists, expected a new file")
        values, said = {}, []
        if map is not None:
            if not is_map(map):
                raise ValueError(f"map: got {map!r}, which is a config, expected a map")
            given = {"data.order": order and order.upper(), "data.field": field, "data.hdu": hdu}
            words = {key: [word] for key, word in given.items() if word is not None}
            config, said = settle_config(config_of_map(map, words))
            if config.data.dataset is not None:
                download(map)
            values, seen = describe_map(config)
            said += seen
        for sentence in said:
            show_line(f"note: {sentence}")
        write_text(output, write_template(values))
        say(f"wrote {output}; jaxscat run {output} runs it")


def _list() -> None:
    """Print the names of all settings, by section, and how to have them explained."""
    known = list_settings()
    for section, about in describe_sections().items():
        say(f"[{section}]  {about}")
        say(f"  {', '.join(one.key for one in known if one.section == section)}")
    say("jaxscat settings SECTION, SECTION.KEY or all says what they mean.")


def _select(name: str) -> list[Setting]:
    """Return all settings, those of a section, or one; `ConfigError` for another name."""
    known = list_settings()
    if name == "all":
        return known
    full = SHORT.get(name.removeprefix("--").replace("_", "-"), name.removeprefix("--"))
    found = [one for one in known if full in (one.section, one.name)]
    found = found or [one for one in known if one.key == full]
    if found:
        return found
    names = [*dict.fromkeys(one.section for one in known), *(one.name for one in known)]
    close = difflib.get_close_matches(full, [*names, *(one.key for one in known)], n=1)
    sections = ", ".join(describe_sections())
    hint = f"did you mean {close[0]!r}?" if close else f"expected one of the sections {sections}"
    raise ConfigError(f"{name!r} is no section and no setting; {hint}")


def _tabulate(section: str, about: str, found: list[Setting]) -> Table:
    table = Table(title=f"[{section}]  {about}", title_justify="left", show_lines=True)
    table.add_column("setting", overflow="fold", no_wrap=True)
    table.add_column("kind", overflow="fold", min_width=12)
    table.add_column("default", overflow="fold", min_width=8)
    table.add_column("meaning", overflow="fold", ratio=1)
    for setting in found:
        table.add_row(setting.key, _kind(setting), _default(setting), setting.meaning)
    return table


def _describe_one(setting: Setting) -> list[str]:
    short = [name for name, full in SHORT.items() if full == setting.name]
    option = f"--{setting.name}" + "".join(f" or --{name}" for name in short)
    lines = [setting.name, f"  {setting.meaning}"]
    lines += [f"  kind:    {_kind(setting)}", f"  default: {_default(setting)}"]
    lines += [f"  option:  {option}"]
    return lines


def _kind(setting: Setting) -> str:
    if not setting.choices:
        return setting.kind
    listed = ", ".join(map(str, setting.choices))
    return f"one of {listed}" if setting.kind == "choice" else f"list of {listed}"


def _default(setting: Setting) -> str:
    if setting.name == "run.name":
        return "name of the file"
    return "unset" if setting.default is None else format_value(setting.default)
