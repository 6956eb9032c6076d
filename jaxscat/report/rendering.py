"""Templates of pages, and the form of numbers and figures in them."""

from __future__ import annotations

import base64
import math
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

NONE = "–"  # an undefined value

# A relative scatter below this is due to rounding.
_ROUNDING = 1e-6


def render_template(name: str, **content: Any) -> str:
    """Render a template of this package to a page that needs no other file.

    Args:
        name: of the template's file.
        content: what the template needs; numbers and texts are escaped.
    """

    def read(name: str) -> str:
        return resources.files("jaxscat.report").joinpath(name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["code"] = mark_code
    return environment.get_template(name).render(**content)


def mark_code(text: str) -> Markup:
    """Escape a text, and mark what stands between backticks as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 and at < len(parts) - 1 else part
        for at, part in enumerate(parts)
    )


def number(value: Any, digits: int = 4) -> str:
    """Format a JSON value: floats with four significant digits, `NONE` if undefined."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{digits}g}".replace("-", "−").replace("e+", "e")
    return str(value)


def with_scatter(mean: float | None, scatter: float | None, digits: int = 4) -> str:
    """Format a mean with the scatter around it, if that is known and more than rounding."""
    # Quantities that are the same for all maps scatter by rounding only.
    if mean is None or scatter is None or scatter <= _ROUNDING * abs(mean):
        return number(mean, digits)
    return f"{number(mean, digits)} ± {number(scatter, 2)}"


def embed_figure(name: str, content: bytes, caption: str, *, wide: bool = True) -> dict[str, Any]:
    """Return a PNG file as templates embed it.

    Args:
        name: identifies the figure in the page.
        content: bytes of the file.
        caption: text below it, and instead of it.
        wide: whether it is as wide as the page, and not half as wide.
    """
    return {
        "name": name,
        "wide": wide,
        "caption": caption,
        "source": "data:image/png;base64," + base64.b64encode(content).decode("ascii"),
    }
