"""The page of settings, from the classes that read a config."""

import json
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from jaxscat.run import config, settings


class Settings(SphinxDirective):
    """Every section of a config under a heading, with its settings."""

    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Expand to sections of definition lists."""
        for module in (config, settings):
            self.env.note_dependency(module.__file__)
        about, found = settings.describe_sections(), settings.list_settings()
        sections = []
        for name, words in about.items():
            section = nodes.section(ids=[name], names=[name])
            section += nodes.title("", "", nodes.literal("", f"[{name}]"))
            section += self.parse_text_to_nodes(words)
            entries = nodes.definition_list()
            entries += [self._entry(each) for each in found if each.section == name]
            section += entries
            sections.append(section)
        return sections

    def _entry(self, setting: settings.Setting) -> nodes.definition_list_item:
        """Return key, default, kind and meaning of one setting."""
        item = nodes.definition_list_item(ids=[setting.name.replace(".", "-").replace("_", "-")])
        item += nodes.term("", "", nodes.literal("", f"{setting.key} = {toml(setting.default)}"))
        kind = setting.kind
        if setting.choices:
            choices = ", ".join(f"`{toml(choice)}`" for choice in setting.choices)
            kind = f"one of {choices}" if kind == "choice" else f"{kind}: {choices}"
        item += nodes.definition(
            "", *self.parse_text_to_nodes(f"{setting.meaning}\n\nKind: {kind}.")
        )
        return item


def toml(value: Any) -> str:
    """Return a value as a config has it; None, which TOML lacks, as what the command line takes."""
    if value is None:
        return "none"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("settings", Settings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
