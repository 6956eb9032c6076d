"""The project says the same of itself everywhere, and its source distribution is whole."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
URLS = PROJECT["project"]["urls"]
HOMES = re.compile(r"https://(?:[\w.-]*github\.com/[\w.-]+/jaxscat|[\w-]+\.github\.io/jaxscat)\b")
TEXTS = [
    path
    for pattern in (
        "*.md",
        "*.cff",
        "*.yml",
        "docs/**/*.md",
        "experiments/**/*.ipynb",
        ".github/**/*.yml",
    )
    for path in sorted(ROOT.glob(pattern))
]
# A badge: an image with a link.
BADGE = re.compile(r"\[!\[[^]]*\]\(([^)]*)\)\]\(([^)]*)\)")
ALWAYS_INCLUDED = {"pyproject.toml", "README.md", "LICENSE", ".gitignore"}


def test_the_version_is_the_same_everywhere():
    version = PROJECT["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (\S+)$", citation, re.M) == [version]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (\S+)", changelog, re.M)
    assert headings[0] in ("Unreleased", version)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_addresses_are_those_of_pyproject(path):
    found = set(HOMES.findall(path.read_text(encoding="utf-8")))
    stated = {found for url in URLS.values() for found in HOMES.findall(url)}
    assert found <= stated, f"{path.name} has addresses that [project.urls] does not state"


def test_badges_lead_to_the_project_or_to_a_notebook_of_it():
    badges = BADGE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    known = (*URLS.values(), "https://colab.research.google.com/")
    assert badges
    for image, target in badges:
        assert target.startswith(known) or (ROOT / target).exists(), (image, target)


def test_the_citation_says_where_the_project_is():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for key, name in (("repository-code", "Repository"), ("url", "Documentation")):
        assert re.findall(rf'^{key}: "(.*)"$', citation, re.M) == [URLS[name]]


def test_the_source_distribution_holds_all_that_is_tracked():
    """Tests run from it; `.ci/run` builds it, and compares the files one by one."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not in a git repository, as where tests run from the source distribution")
    tracked = {name.split("/")[0] for name in listed.stdout.split("\0") if name}
    assert ".ci" in tracked
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert tracked == {name.strip("/") for name in included} | ALWAYS_INCLUDED


def test_a_public_forge_runs_what_is_run_here():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert "- run: .ci/run\n" in workflow
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert f'"{lowest}"' in workflow
