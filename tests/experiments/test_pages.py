"""The pages: what is checked of a built site, and the numbers and pictures of the gallery."""

import importlib
import sys
from pathlib import Path

import healpy
import numpy as np
import pytest

from experiments.studies import browser, gallery, toy_maps

ROOT = Path(__file__).parents[2]


@pytest.fixture
def link_check(monkeypatch):
    pytest.importorskip("sphinx", reason="sphinx is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_extensions"))
    yield importlib.import_module("link_check")
    sys.modules.pop("link_check", None)


def test_dead_links_anchors_and_pictures_are_found(link_check, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "other.html").write_text('<p id="here">x</p>')
    (tmp_path / "page.html").write_text(
        '<a href="in/other.html#here">a</a><a href="in/other.html#there">b</a>'
        '<a href="gone.html">c</a><img src="gone.png"><a href="#top">d</a><p id="top"></p>'
        '<a href="https://elsewhere.org/x">e</a><script src="https://elsewhere.org/y.js"></script>'
    )
    wrong, elsewhere, within = link_check.check_site(tmp_path)
    assert sorted(wrong) == [
        "page.html: <script> is loaded from elsewhere: https://elsewhere.org/y.js",
        "page.html: no such anchor: in/other.html#there",
        "page.html: no such file: gone.html",
        "page.html: no such file: gone.png",
    ]
    assert sorted(elsewhere) == ["https://elsewhere.org/x", "https://elsewhere.org/y.js"]
    assert within == 5


def test_prompts_and_what_is_printed_are_not_copied():
    assert browser.expected_copy("$ jaxscat info\njax 1\n$ ls\n") == "jaxscat info\nls"
    assert browser.expected_copy(">>> for x in y:\n...     x\n1\n") == "for x in y:\n    x"
    assert browser.expected_copy("a = 1\nb = 2\n") == "a = 1\nb = 2\n"


def test_a_folder_without_pages_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a folder with pages"):
        browser.check_pages(tmp_path)


def test_toy_maps_share_their_spectrum_and_differ():
    maps = toy_maps.toy_maps(16)
    shared = toy_maps.shared_spectrum(16)
    skewness = {}
    for name, map in maps.items():
        cl = healpy.anafast(healpy.reorder(map, n2r=True), iter=3)
        np.testing.assert_allclose(cl[4:30], shared[4:30], rtol=0.02)
        skewness[name] = np.mean((map - map.mean()) ** 3) / map.std() ** 3
    assert skewness["spots"] > 0.7 > 0.4 > abs(skewness["bright and dark spots"])


def test_numbers_are_put_between_the_marks_of_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{gallery.MARKS[0]}\nold\n{gallery.MARKS[1]}\nafter\n")
    gallery.replace_numbers(page, "| new |")
    assert page.read_text().split("\n\n") == [
        f"before\n{gallery.MARKS[0]}",
        "| new |",
        f"{gallery.MARKS[1]}\nafter\n",
    ]
    page.write_text("no marks")
    with pytest.raises(ValueError, match="has no"):
        gallery.replace_numbers(page, "x")
    text = (ROOT / "docs" / "what-s0-to-s4-see.md").read_text()
    assert all(text.count(mark) == 1 for mark in gallery.MARKS)
