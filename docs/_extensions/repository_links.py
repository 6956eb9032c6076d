"""Links of pages to files of the repository that are no pages: where they lead on the site."""

import re
from pathlib import Path

from sphinx.application import Sphinx

LINK = re.compile(r"\]\(((?:\.\./)+)([\w./-]+)\)")


def rewrite(app: Sphinx, page: str, source: list[str]) -> None:
    """Let links to configs lead to the page that shows them, and README's to the front page."""
    up = "../" * page.count("/")

    def target(link: re.Match) -> str:
        path = Path(link[2])
        if link[1] != up + "../":
            return link[0]
        if path.parts[0] == "configs":
            return f"]({up}configs.md{'#' + path.name.replace('.', '') if path.suffix else ''})"
        if path.name == "README.md":
            return f"]({up}index.md)"
        return link[0]

    source[0] = LINK.sub(target, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Rewrite the text of a page before it is read."""
    app.connect("source-read", rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
