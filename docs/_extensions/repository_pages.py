"""Pages made of the repository itself: its configs, and what the command line says of itself."""

import re
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.main import get_command
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
WIDTH = 80


class Configs(SphinxDirective):
    """Every file of configs/ under a heading of its name."""

    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Expand to sections."""
        sections = []
        for path in sorted((ROOT / "configs").glob("*.toml")):
            self.env.note_dependency(str(path))
            sections.append(_section(path.name, path.read_text(encoding="utf-8"), "toml"))
        return sections


class CommandLine(SphinxDirective):
    """The help of every command, as the terminal shows it."""

    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Ask the commands."""
        from jaxscat.cli import main

        self.env.note_dependency(main.__file__)
        runner = CliRunner(
            env={"COLUMNS": str(WIDTH), "TERMINAL_WIDTH": str(WIDTH), "TERM": "dumb"}
        )
        sections = []
        for name in ["", *get_command(main.app).commands]:  # pyright: ignore[reportAttributeAccessIssue]
            shown = runner.invoke(main.app, [*name.split(), "--help"], prog_name="jaxscat")
            text = re.sub(r"\x1b\[[0-9;]*m", "", shown.stdout).strip("\n")
            sections.append(_section(f"jaxscat {name}".strip(), text, "none"))
        return sections


def _section(title: str, text: str, language: str) -> nodes.section:
    section = nodes.section(ids=[re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")])
    section += nodes.title("", title)
    section += nodes.literal_block(text, text, language=language)
    return section


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("configs", Configs)
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
