"""Docstrings as Sphinx reads them: backticks are code, public names are links, the rest is text."""

import re
from typing import Any

from sphinx.application import Sphinx

import jaxscat

# `docs/page.md`, "Section" and "Section"
CITATION = re.compile(r'`docs/([\w-]+)\.md`((?:,?\s+(?:and\s+|to\s+)?"[^"]+")*)')
CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
DOCTEST = re.compile(r"^ *>>> .*?(?=^ *$|\Z)", flags=re.MULTILINE | re.DOTALL)


def rewrite(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Turn a docstring of ours into reStructuredText, in place."""
    text = "\n".join(lines)
    pieces, end = [], 0
    for example in DOCTEST.finditer(text):
        pieces += [_prose(text[end : example.start()]), example[0]]
        end = example.end()
    pieces.append(_prose(text[end:]))
    lines[:] = "".join(pieces).split("\n")


def _prose(text: str) -> str:
    pieces, end = [], 0
    for found in re.finditer(f"(?P<citation>{CITATION.pattern})|{CODE.pattern}", text):
        pieces.append(_escape(text[end : found.start()]))
        pieces.append(_cite(found) if found["citation"] else _code(found[4]))
        end = found.end()
        if not re.match(r"[\s.,;:!?)\]}'\"/-]|\Z", text[end:]):
            pieces.append("\\ ")
    pieces.append(_escape(text[end:]))
    return "".join(pieces)


def _escape(text: str) -> str:
    return re.sub(r"([*|\\]|_\b)", r"\\\1", text)


def _code(code: str) -> str:
    code = re.sub(r"\s+", " ", code)
    name = code.removeprefix("jaxscat.")
    if name.isidentifier() and hasattr(jaxscat, name):
        return f":py:obj:`{code} <jaxscat.{name}>`"
    return f"``{code}``"


def _cite(found: re.Match) -> str:
    page, sections = found[2], found[3]

    def link(section: re.Match) -> str:
        title = re.sub(r"\s+", " ", section[1])
        if "`" in title:  # a label can not hold it
            return '"' + title.replace("`", "``") + '"'
        return f":ref:`{title} <{page}:{title}>`"

    return f":doc:`/{page}`" + re.sub(r'"([^"]+)"', link, sections)


def shorten(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str, returned: str
) -> tuple[str | None, str | None]:
    """Name arrays in a signature as code does."""

    def short(text: str | None) -> str | None:
        return text and re.sub(
            r"\b(?:jaxlib\._jax|jax|numpy|collections\.abc)\.(?=[A-Z]|nd)", "", text
        )

    return short(signature), short(returned)


def setup(app: Sphinx) -> dict[str, bool]:
    """Rewrite before napoleon reads the sections."""
    app.connect("autodoc-process-docstring", rewrite, priority=100)
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
