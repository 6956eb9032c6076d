"""Formulas as MathML, made when the pages are built: readers need no script and no network."""

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.writers.html5 import HTML5Translator

CONVERTER = LatexToMathML()


def visit_math(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(_mathml(node, display=False))
    raise nodes.SkipNode


def visit_math_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula of its own, which scrolls by itself where the page is too narrow."""
    formula = _mathml(node, display=True)
    translator.body.append(f'<div class="formula" tabindex="0">{formula}</div>\n')
    raise nodes.SkipNode


def _mathml(node: nodes.Element, *, display: bool) -> str:
    try:
        return CONVERTER.convert_with_local_state(node.astext().strip(), displaystyle=display)
    except LatexError as error:
        raise ExtensionError(f"{node.source}:{node.line}: {node.astext()!r}: {error}") from error


def setup(app: Sphinx) -> dict[str, bool]:
    """Name the renderer."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
