"""Documentation and code name the same things: sections, functions, arguments and files."""

import ast
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import jaxscat
import jaxscat.inference

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
SOURCES = sorted((ROOT / "jaxscat").rglob("*.py"))
# Pages whose sections docstrings cite.
CITED = ["conventions", "polarization", "reconstruction", "inference"]


def citations_of(page, source):
    """What follows the name of a page, up to the end of the sentence."""
    return re.findall(rf"`docs/{page}\.md`([^.]*)\.", source)


def prose(page):
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def headings(page, level):
    return re.findall(rf"^#{level} (.+)$", prose(page), flags=re.MULTILINE)


def cited_sections(page, source):
    return [name for rest in citations_of(page, source) for name in re.findall(r'"([^"]+)"', rest)]


def test_citations_are_read_over_line_ends_and_no_further_than_their_sentence():
    source = 'Source: a paper; `docs/conventions.md`, "One" to\n    "Two words".\n    A "third".'
    assert cited_sections("conventions", source) == ["One", "Two words"]
    assert cited_sections("reconstruction", source) == []


@pytest.mark.parametrize(
    ("page", "path"),
    [
        pytest.param(page, path, id=f"{page}-{path.relative_to(ROOT / 'jaxscat').as_posix()}")
        for page in CITED
        for path in SOURCES
        if f"docs/{page}.md" in path.read_text(encoding="utf-8")
    ],
)
def test_every_section_that_a_docstring_cites_is_a_heading(page, path):
    source = path.read_text(encoding="utf-8")
    citations = citations_of(page, source)
    assert len(citations) == source.count(f"docs/{page}.md")
    assert all('"' in citation for citation in citations), "no section is named"
    known = headings(ROOT / "docs" / f"{page}.md", "{2}")
    assert set(cited_sections(page, source)) - set(known) == set()


@pytest.mark.parametrize("page", CITED)
def test_sections_have_different_names(page):
    names = headings(ROOT / "docs" / f"{page}.md", "{2}")
    assert names
    assert sorted(set(names)) == sorted(names)


def python_in(page):
    """Every inline piece of code that reads as one Python expression."""
    for text in re.findall(r"`([^`\n]+)`", prose(page)):
        try:
            yield ast.parse(text, mode="eval").body
        except SyntaxError:
            continue


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_function_that_a_page_names_exists_and_takes_the_arguments(page):
    for expression in python_in(page):
        call = expression if isinstance(expression, ast.Call) else None
        name = ast.unparse(expression if call is None else call.func)
        if name.startswith(("jaxscat.", "healpy.")):
            found = pkgutil.resolve_name(name)
        elif call is not None and "." not in name:
            found = pkgutil.resolve_name(f"jaxscat.{name}")
        else:
            continue
        if call is not None:
            options = {str(keyword.arg): keyword.value for keyword in call.keywords}
            inspect.signature(found).bind_partial(*call.args, **options)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_to_one_of_its_headings(page):
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", prose(page)):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if anchor:
            names = [re.sub(r"[^\w -]", "", name.lower()) for name in headings(target, "+")]
            assert anchor in [name.replace(" ", "-") for name in names], link


def described(kind):
    """The docstring of a public function or class, and of the methods that a class adds."""
    yield kind.__name__, inspect.getdoc(kind)
    if inspect.isclass(kind):
        for name, method in inspect.getmembers(kind):
            own = (getattr(method, "__module__", None) or "").startswith("jaxscat")
            if own and inspect.isroutine(method) and not name.startswith("_"):
                yield f"{kind.__name__}.{name}", inspect.getdoc(method)


@pytest.mark.parametrize(
    "kind",
    [
        jaxscat.ScatteringCovariance,
        jaxscat.ReducedCovariance,
        jaxscat.FieldCovariances,
        *(found for found in vars(jaxscat.inference).values() if callable(found)),
    ],
    ids=lambda kind: kind.__name__,
)
def test_coefficients_and_inference_say_where_they_are_explained(kind):
    assert [name for name, text in described(kind) if "Source:" not in (text or "")] == []
