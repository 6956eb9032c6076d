import re
from html.parser import HTMLParser

import pytest

from jaxscat.report.polarization_page import CAPTIONS, build_polarization_page
from jaxscat.report.rendering import NONE

EMPTY_ELEMENTS = {"meta", "img", "link", "br", "hr", "input"}
BINS = [{"l_min": 2, "l_max": 8}, {"l_min": 9, "l_max": 16}, {"l_min": 17, "l_max": 23}]


def values(mean, std=0.01, **more):
    return {"start": 2.5, "gaussian": 0.5, "gaussian_std": 0.1, "mean": mean, "std": std, **more}


def coherence(pair, imposed=True):
    odd = {"TB": ("S1", "S2", "S3P"), "BB": ("S3",)}.get(pair, ())
    groups = ("S1", "S2", "S3", *(("S3P",) if pair[0] != pair[1] else ()), "S4")
    return [
        values(
            0.02,
            name=name,
            parity="odd" if name in odd else "even",
            imposed=imposed,
            compared="even parts",
            separation=4.8 if name == "S3" else None,
            texture=12.0,
        )
        for name in groups
    ]


def field(pair, mean, copied):
    return {
        "copies": [
            {
                "l_min": 1,
                "l_max": 16,
                "mean": mean,
                "by_chance": 0.05,
                "copied": copied,
                "aligned": None,
            },
            {
                "l_min": 17,
                "l_max": 23,
                "mean": mean,
                "by_chance": 0.01,
                "copied": True,
                "aligned": True,
            },
        ],
        "power": [bin | values(0.97) for bin in BINS],
        "coherence": coherence(pair),
    }


VALIDATION = {
    "seeds": [3, 5],
    "controls": 8,
    "lmax": 16,
    "parity": "even",
    "imposed": ["TT", "BB", "TB"],
    "fields": {"T": field("TT", 0.31, True), "B": field("BB", 0.02, None)},
    "pairs": {
        "TB": {
            "correlation": [bin | values(-0.25, chance=0.1, original=-0.3) for bin in BINS[:2]],
            "coherence": coherence("TB"),
        }
    },
}


def content(**changed):
    given = {
        "title": "a <b>bold</b> title",
        "lines": ["No field is a copy: <worst> 0.02.", "Textures & more."],
        "results": {
            "data": "maps/<data>.fits",
            "nside": 8,
            "seeds": [{"seed": 3, "status": "converged", "nsteps": 7, "run_seconds": 1.5}],
        },
        "validation": VALIDATION,
        "figures": {"summary": b"\x89PNG", "validation_T": b"\x89PNG", "of my own": b"\x89PNG"},
        "provenance": {"versions": {"python": "3.12"}},
        "config_text": "[run]\nname = '<script>'\n",
        "notes": ["The <mask> hides half."],
    }
    return given | changed


class Page(HTMLParser):
    """The rows of all tables by heading, and the text; wrong nesting is an error."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.texts, self.tables, self.marked = [], [], [], {}, []
        self.heading = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "h2":
            self.heading = ""
        if tag == "tr":
            self.tables.setdefault(self.heading, []).append([])
        if tag in ("td", "th"):
            self.tables[self.heading][-1].append("")
            if dict(attrs).get("class") == "best":
                rows = self.tables[self.heading]
                self.marked.append((self.heading, len(rows) - 1, len(rows[-1]) - 1))
        if tag not in EMPTY_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] in ("style", "script"):
            return
        self.texts.append(data)
        if self.open[-1] == "h2":
            self.heading += data
        if "td" in self.open or "th" in self.open:
            self.tables[self.heading][-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def rows(self, heading):
        return [[" ".join(cell.split()) for cell in row] for row in self.tables[heading]]


@pytest.fixture(scope="module")
def page():
    return Page(build_polarization_page(**content()))


def test_the_page_needs_nothing_else_and_escapes_texts(page):
    names = {tag for tag, _ in page.tags}
    assert not {"script", "link", "iframe", "object", "base", "b", "mask"} & names
    for _, attributes in page.tags:
        assert attributes.get("src", "data:").startswith("data:")
    source = build_polarization_page(**content())
    assert source.startswith("<!DOCTYPE html>") and "://" not in source
    assert "maps/<data>.fits" in page.text and "name = '<script>'" in page.text


def test_wide_parts_scroll_so_that_the_page_fits_a_telephone(page):
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in (
        page.tags
    )
    source = build_polarization_page(**content())
    wrapped = re.findall(r'<div class="scroll"[^>]*>\s*<table class="numbers">', source)
    assert len(wrapped) == source.count('<table class="numbers">') == 5


def test_what_was_found_stands_on_top(page):
    start = page.text.index("No field is a copy: <worst> 0.02. Textures & more. Mind. The <mask>")
    assert start < page.text.index("Figures") < page.text.index("Copies")
    assert CAPTIONS["summary"] in page.text and "of my own" in page.text
    assert "T as a map alone" in page.text
    assert "TT, BB, TB (without what a mirror changes)" in page.text and "2: 3, 5" in page.text


def test_copies_are_by_field_and_range_up_to_the_last_multipole(page):
    assert page.rows("Copies") == [
        ["multipoles", "T", "B"],
        ["l = 1 to 16", "0.31 (chance 0.05) !", "0.02 (chance 0.05) ?"],
    ]
    assert ("Copies", 1, 1) in page.marked and ("Copies", 1, 2) not in page.marked


def test_power_is_by_field_and_bin(page):
    assert page.rows("Power spectra") == [
        ["multipoles", "TT", "BB"],
        ["l = 2 to 8", "0.97 ± 0.01", "0.97 ± 0.01"],
        ["l = 9 to 16", "0.97 ± 0.01", "0.97 ± 0.01"],
    ]


def test_correlations_are_by_pair_and_bin(page):
    heads, group, *rows = page.rows("Correlations of fields")
    assert heads == [
        "multipoles", "original", "new maps", "start", "Gaussian controls", "by chance"
    ]  # fmt: skip
    assert group == ["TB Parity-odd, not imposed."]
    assert rows[0] == ["l = 2 to 8", "−0.3", "−0.25 ± 0.01", "2.5", "0.5 ± 0.1", "0.1"]
    assert len(rows) == 2


def test_errors_are_by_pair_and_group_with_those_of_controls(page):
    rows = page.rows("Scattering coefficients")
    assert rows[0] == [
        "group", "new maps", "start", "Gaussian controls", "controls farther by",
        "texture of the original",
    ]  # fmt: skip
    assert [row[0] for row in rows if len(row) == 1] == ["T alone", "B alone", "TB"]
    assert rows[4] == ["S3", "0.02 ± 0.01", "2.5", "0.5 ± 0.1", "4.8 ✓", "12"]
    names = [row[0] for row in rows[rows.index(["TB"]) + 1 :]]
    assert names == [
        "S1",
        "S2",
        "S3",
        "S3 (fields exchanged)",
        "S4",
    ]
    assert "of even parts over" in page.text
    assert rows[2][4] == NONE


def test_what_there_is_not_is_left_out():
    def bare(entry):
        return {k: v for k, v in entry.items() if k not in ("start", "gaussian", "gaussian_std")}

    alone = {"T": VALIDATION["fields"]["T"]}
    alone["T"] = alone["T"] | {"coherence": [bare(row) for row in alone["T"]["coherence"]]}
    given = VALIDATION | {"fields": alone, "pairs": {}, "controls": 0, "parity": "all"}
    empty = {"results": {}, "figures": {}, "provenance": {}, "config_text": "", "notes": []}
    shown = Page(build_polarization_page(**content(validation=given, **empty)))
    assert set(shown.tables) == {"Copies", "Power spectra", "Scattering coefficients"}
    assert "start" not in shown.rows("Scattering coefficients")[0]
    for word in ("Provenance", "Mind", "mirror", "None"):
        assert word not in shown.text
