import re
from html.parser import HTMLParser

import numpy as np
import pytest

from jaxscat.report.reconstruction_page import CAPTIONS, build_reconstruction_page
from jaxscat.report.rendering import NONE

EMPTY_ELEMENTS = {"meta", "img", "link", "br", "hr", "input"}
BINS = [{"l_min": 2, "l_max": 3}, {"l_min": 4, "l_max": 23}]


def estimate(error, ratio, correlation, skewness, **more):
    errors = dict.fromkeys(("S1", "S2", "S3", "S4"), error)
    return {
        **errors,
        "power_ratio": [ratio, ratio],
        "correlation": [correlation, correlation],
        "residual": 2 * error,
        "skewness": skewness,
        "wasserstein": error / 2,
        "std": 1.0,
        **more,
    }


def recovery(**changed):
    content = {
        "bins": BINS,
        "names": ["data", "wiener", "of <mine>", "reconstruction"],
        "rows": {
            "data": estimate(0.9, 2.0, 0.7, 2.5),
            "wiener": estimate(0.4, 0.5, 0.7, 2.2),
            "of <mine>": estimate(0.05001, 0.4, 0.5, 2.4),
            "reconstruction": estimate(0.05, 1.1, 0.8, 6.3, scatter=estimate(0.004, 0, 0.02, 0.2)),
        },
        "truth": {"skewness": 7.0, "std": 1.0, "spectrum": [1.0]},
        "chance": [0.3, 0.02],
    }
    return content | changed


def content(**changed):
    given = {
        "title": "a <b>bold</b> title",
        "task": "inpaint",
        "lines": ["Converged: it has all.", "Nearer in S2 (0.05 against 0.4) & more."],
        "results": {
            "data": "maps/<data>.fits",
            "nside": 8,
            "seeds": [
                {"seed": 3, "status": "converged", "evaluations": 40, "renewals": 1},
                {"seed": 5, "status": "renewal limit", "evaluations": 90, "renewals": 2},
            ],
        },
        "recovery": recovery(),
        "figures": {"summary": b"\x89PNG", "of my own": b"\x89PNG"},
        "provenance": {"versions": {"python": "3.12"}},
        "config_text": "[run]\nname = '<script>'\n",
        "chi2": {"scattering": np.array([[80.0, 1.5, np.nan], [90.0, 2.0, 0.9]])},
        "agreement": {
            "solutions": 2,
            "bins": [
                {**BINS[0], "pairs": 0.2, "chance": 0.3, "single": 0.1, "mean": None},
                {**BINS[1], "pairs": 0.9, "chance": 0.02, "single": 0.91, "mean": 0.95},
            ],
            "spread": 0.5,
            "std": 1.0,
            "residual_single": 0.7,
            "residual_mean": 0.6,
        },
    }
    return given | changed


class Page(HTMLParser):
    """The rows of all tables, the marked cells and the text; it is an error if nesting is not."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.texts, self.rows, self.best = [], [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and "table" in self.open:
            self.rows[-1].append("")
            if dict(attrs).get("class") == "best":
                self.best.append((len(self.rows) - 1, len(self.rows[-1]) - 1))
        if tag not in EMPTY_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)
            if "td" in self.open or "th" in self.open:
                self.rows[-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def row(self, name, number=0):
        found = [row for row in self.rows if row and row[0].strip() == name]
        return [cell.strip() for cell in found[number]]

    def marked(self, name, number=0):
        places = [at for at, row in enumerate(self.rows) if row and row[0].strip() == name]
        return [column for at, column in self.best if at == places[number]]


@pytest.fixture(scope="module")
def page():
    return Page(build_reconstruction_page(**content()))


def test_the_page_needs_nothing_else_and_escapes_texts(page):
    names = {tag for tag, _ in page.tags}
    assert not {"script", "link", "iframe", "object", "base", "b", "mine"} & names
    for _, attributes in page.tags:
        assert attributes.get("src", "data:").startswith("data:")
    source = build_reconstruction_page(**content())
    assert source.startswith("<!DOCTYPE html>") and "://" not in source
    assert "maps/<data>.fits" in page.text and "filling of gaps" in page.text
    assert "name = '<script>'" in page.text and page.row("python") == ["python", "3.12"]


def test_what_was_won_stands_on_top(page):
    start = page.text.index("Converged: it has all.")
    assert "Nearer in S2 (0.05 against 0.4) & more. The 2 solutions agree" in page.text
    assert start < page.text.index("Figures") < page.text.index("Comparison")
    assert CAPTIONS["summary"] in page.text and "of my own" in page.text
    noted = Page(build_reconstruction_page(**content(notes=["The <mask> hides half."])))
    assert "Mind. The <mask> hides half." in noted.text


def test_the_estimates_are_columns_with_the_best_of_each_row_marked(page):
    heads = page.row("quantity")
    assert heads == ["quantity", "truth", "data", "Wiener filter", "of <mine>", "reconstruction"]
    row = page.row("S1")
    assert [cell.split()[0] for cell in row[1:]] == [NONE, "0.9", "0.4", "0.05", "0.05"]
    assert row[-1].startswith("0.05 ± 0.004")
    assert page.marked("S1") == [4, 5]  # the same to the digits that are shown
    assert page.row("skewness")[1] == "7" and page.marked("skewness") == [5]
    # a half is as far from one as two
    assert page.marked("l = 2 to 3") == [5] and page.row("l = 2 to 3")[4] == "0.4"
    assert page.marked("l = 4 to 23 (chance 0.02)") == [5]


def test_of_equally_wrong_powers_both_are_best():
    rows = {"data": estimate(1, 2.0, 0.5, 0), "reconstruction": estimate(1, 0.5, 0.6, 0)}
    names = list(rows)
    shown = Page(build_reconstruction_page(**content(recovery=recovery(rows=rows, names=names))))
    assert shown.marked("l = 2 to 3") == [2]  # the first of the smallest
    assert shown.marked("skewness") == [2, 3]


def test_renewals_agreement_and_seeds_are_tables(page):
    assert page.row("scattering, seed 3") == ["scattering, seed 3", "80", "1.5", ""]
    assert page.row("scattering, seed 5") == ["scattering, seed 5", "90", "2", "0.9"]
    assert page.row("term") == ["term", "0", "1", "2"]
    assert page.row("l = 4 to 23") and page.row("multipoles")[1] == "two solutions"
    assert page.row("l = 4 to 23", -1) == ["l = 4 to 23", "0.9", "0.02", "0.91", "0.95"]
    assert page.row("l = 2 to 3", -1)[-1] == NONE
    assert page.row("seed") == ["seed", "status", "evaluations", "renewals"]
    assert page.row("5") == ["5", "renewal limit", "90", "2"]


@pytest.mark.parametrize(
    ("task", "against"),
    [("inpaint", "that of the observed part"), ("denoise", "that of the data less the noise")],
)
def test_without_a_truth_the_page_says_what_power_is_compared_with(task, against):
    source = build_reconstruction_page(**content(task=task, recovery=recovery(truth=None)))
    assert f"Over {against}; one is right." in Page(source).text


def test_without_a_truth_only_what_is_known_is_shown():
    bare = {
        key: None
        for key in ("S1", "S2", "S3", "S4", "correlation", "residual", "wasserstein", "power_ratio")
    }
    rows = {name: {**bare, "skewness": 2.0, "std": 1.0} for name in ("data", "reconstruction")}
    given = recovery(rows=rows, names=list(rows), truth=None, chance=None)
    empty = {"results": {}, "figures": {}, "provenance": {}, "config_text": "", "chi2": None}
    source = build_reconstruction_page(**content(recovery=given, agreement=None, **empty))
    shown = Page(source)
    assert shown.row("quantity") == ["quantity", "data", "reconstruction"]
    assert shown.row("skewness") == ["skewness", "2", "2"] and shown.best == []
    for word in ("Scattering coefficients", "Correlation with", "Provenance", "renewal", "Seeds"):
        assert word not in shown.text
    assert not re.search(r"<p class=\"note\">\s*None", source)
