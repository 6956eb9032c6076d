"""After the build: every link within the site leads somewhere, and no page loads from elsewhere."""

from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

# What a browser loads by itself, as against what a reader follows.
LOADED = {"img", "script", "link", "iframe", "source", "audio", "video", "embed"}


class Page(HTMLParser):
    """The anchors of a page, and its references as (element, address)."""

    def __init__(self, path: Path):
        super().__init__()
        self.anchors: set[str] = set()
        self.references: list[tuple[str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the element is called and what it refers to."""
        named = dict(attrs)
        if tag == "link" and named.get("rel") in ("canonical", "search", "index", "next", "prev"):
            return
        self.anchors |= {named[key] for key in ("id", "name") if named.get(key)}  # pyright: ignore
        for key in ("href", "src"):
            if address := named.get(key):
                self.references.append((tag, address))


def check_site(folder: Path) -> tuple[list[str], dict[str, list[str]], int]:
    """Check all pages of a built site, without a network.

    Args:
        folder: with the pages as `.html`.

    Returns:
        what is wrong, one sentence each; the addresses elsewhere with the pages that link them;
        and the number of references within the site.
    """
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    wrong, elsewhere, within = [], defaultdict(list), 0
    for path, page in pages.items():
        place = path.relative_to(folder.resolve()).as_posix()
        for tag, address in page.references:
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                if tag in LOADED:
                    wrong.append(f"{place}: <{tag}> is loaded from elsewhere: {address}")
                elsewhere[address].append(place)
                continue
            within += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                wrong.append(f"{place}: no such file: {address}")
                continue
            anchor = unquote(parts.fragment)
            if anchor and target in pages and anchor not in pages[target].anchors:
                wrong.append(f"{place}: no such anchor: {address}")
    return wrong, dict(elsewhere), within


def after_build(app: Sphinx, failure: Exception | None) -> None:
    """Fail the build for a dead link; list those that lead elsewhere, which are not fetched."""
    if failure is not None or app.builder.format != "html":
        return
    wrong, elsewhere, within = check_site(Path(app.outdir))
    lines = [
        f"{address}\t{', '.join(sorted(set(on)))}" for address, on in sorted(elsewhere.items())
    ]
    listing = Path(app.outdir).parent / "external_links.txt"
    listing.write_text("\n".join([*lines, ""]), encoding="utf-8")
    if wrong:
        raise ExtensionError("\n".join(["links:", *sorted(set(wrong))]))
    logging.getLogger(__name__).info(
        "links: %d within the site lead somewhere; %d addresses elsewhere, not fetched, are in %s",
        within,
        len(elsewhere),
        listing,
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Check after the build."""
    app.connect("build-finished", after_build)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
