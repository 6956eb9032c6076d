"""The reference: every public name stands under the topic of the room that its module is in."""

import importlib
import importlib.util
import inspect
from types import ModuleType
from typing import ClassVar

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

import jaxscat

# The longest beginning of a module's name decides.
TOPICS = {
    "jaxscat.datasets": "maps",
    "jaxscat.io": "maps",
    "jaxscat.maps": "maps",
    "jaxscat.operators": "wavelets",
    "jaxscat.statistics": "statistics",
    "jaxscat.statistics.fields": "polarization",
    "jaxscat.fields": "starts",
    "jaxscat.fields.field_noise": "polarization",
    "jaxscat.fields.field_starts": "polarization",
    "jaxscat.fields.polarization_noise": "polarization",
    "jaxscat.harmonics": "starts",
    "jaxscat.harmonics.polarization": "polarization",
    "jaxscat.synthesis": "synthesis",
    "jaxscat.synthesis.fields": "polarization",
    "jaxscat.validation": "synthesis",
    "jaxscat.objectives": "losses",
    "jaxscat.objectives.target": "synthesis",
    "jaxscat.objectives.make_target": "synthesis",
    "jaxscat.objectives.field_": "polarization",
    "jaxscat.objectives.make_field_target": "polarization",
    "jaxscat.parametrizations": "losses",
    "jaxscat.parametrizations.harmonic_fields": "polarization",
    "jaxscat.minimization": "losses",
    "jaxscat.minimization.result": "synthesis",
    "jaxscat.minimization.checkpoints": "synthesis",
    "jaxscat.reconstruction": "reconstruction",
    "jaxscat.reconstruction.denoise_fields": "polarization",
    "jaxscat.reconstruction.field_result": "polarization",
    "jaxscat.reconstruction.template_filter": "polarization",
    "jaxscat.inference": "inference",
    "jaxscat.plotting": "figures",
}


def packages() -> list[ModuleType]:
    """Return the packages whose names are public, those that this version has."""
    names = ["jaxscat", "jaxscat.inference", "jaxscat.plotting"]
    return [importlib.import_module(name) for name in names if importlib.util.find_spec(name)]


def public_names() -> dict[str, list[str]]:
    """Return the full names of all public functions and classes, sorted, by topic.

    Raises:
        ExtensionError: a public name is defined in a room without a topic.
    """
    names: dict[str, list[str]] = {topic: [] for topic in TOPICS.values()}
    for package in packages():
        for name, thing in vars(package).items():
            if name.startswith("_") or inspect.ismodule(thing) or not callable(thing):
                continue
            module = str(getattr(thing, "__module__", package.__name__))
            if not module.startswith("jaxscat"):
                continue
            beginnings = [start for start in TOPICS if module.startswith(start)]
            if not beginnings:
                raise ExtensionError(
                    f"{package.__name__}.{name}: its module {module} is under no topic of the "
                    "reference; add one to TOPICS in docs/_extensions/reference.py"
                )
            names[TOPICS[max(beginnings, key=len)]].append(f"{package.__name__}.{name}")
    return {topic: sorted(set(found), key=_order) for topic, found in names.items()}


def _order(name: str) -> tuple[bool, str]:
    """Functions before classes."""
    last = name.rpartition(".")[2]
    return last[0].isupper(), last.lower()


class Reference(SphinxDirective):
    """Docstrings of all public names of a topic: `{reference} statistics`."""

    required_arguments = 1
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Expand to the directives of autodoc."""
        names = public_names()[self.arguments[0]]
        self.env.note_dependency(str(jaxscat.__file__))
        lines = ["```{eval-rst}"]
        for name in names:
            package, _, last = name.rpartition(".")
            thing = getattr(importlib.import_module(package), last)
            lines += ["", f".. auto{_kind(thing)}:: {name}"]
            if inspect.isclass(thing):
                lines.append("   :members:")
        return self.parse_text_to_nodes("\n".join([*lines, "```"]))


def _kind(thing: object) -> str:
    if inspect.isclass(thing):
        return "class"
    return "function"


def link_code(app: Sphinx, doctree: nodes.document) -> None:
    """Let `measure` and `jaxscat.measure`, written as code on a page, lead to the reference."""
    for literal in list(doctree.findall(nodes.literal)):
        code = literal.astext()
        name = code.removeprefix("jaxscat.").partition("(")[0]
        if isinstance(literal.parent, nodes.reference | addnodes.pending_xref):
            continue
        if not (code.startswith("jaxscat.") or "(" in code) or "." in name:
            continue
        if name.isidentifier() and not inspect.ismodule(getattr(jaxscat, name, inspect)):
            link = addnodes.pending_xref(
                "", refdomain="py", reftype="obj", reftarget=f"jaxscat.{name}", refwarn=True
            )
            link["refdoc"] = app.env.docname
            literal.replace_self(link)
            link += literal


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("reference", Reference)
    app.connect("doctree-read", link_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
