import base64
from html.parser import HTMLParser

import pytest

from jaxscat.report.page import CAPTIONS, NONE, number, render_report

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
EMPTY_ELEMENTS = {"meta", "img", "link", "br", "hr", "input"}
TITLE = 'a <b>bold</b> & "quoted" title'


def quantity(name, group="distances", separation=None, **values):
    numbers = {"original": None, "gaussian": 0.5, "gaussian_std": 0.1}
    numbers |= {"filtered": 0.6, "filtered_std": 0.2, "mean": 0.123456789, "std": 0.01234}
    said = {"group": group, "name": name, "sees": f"What {name} sees.", "seeds": 2}
    return said | numbers | {"separation": separation or {}} | values


def content(**changed):
    validation = {
        "seeds": [3, 5],
        "controls": {"gaussian": 8, "filtered": 8},
        "quantities": [
            quantity("skewness & <tails>", "distribution", original=-0.00012345678, tolerance=0.09),
            quantity("alike", "correlation_ranges", chance=0.1234),
            quantity("near", separation={"gaussian": 9.4, "filtered": 6.44}),
            quantity("half", separation={"gaussian": 9.4, "filtered": 1.2}),
            quantity("far", separation={"gaussian": -4.0, "filtered": -3.5}),
            quantity("unknown", separation={"gaussian": None, "filtered": 9.0}, mean=None),
        ],
        "copies": [
            {
                "l_min": 1,
                "l_max": 3,
                "mean": 0.1,
                "by_chance": 0.2,
                "copied": None,
                "aligned": None,
            },
            {
                "l_min": 4,
                "l_max": 7,
                "mean": 0.1,
                "by_chance": 0.05,
                "copied": False,
                "aligned": False,
            },
        ],
    }
    results = {
        "data": "maps/<original>.fits",
        "nside": 16,
        "seeds": [
            {"seed": 3, "status": "converged", "nsteps": 41, "final_loss": 0.00123456},
            {"seed": 5, "status": "not finite", "nsteps": 7, "final_loss": None},
        ],
    }
    given = {
        "title": TITLE,
        "results": results,
        "validation": validation,
        "figures": {"maps": PNG, "copies": PNG, "of my own": PNG},
        "provenance": {
            "versions": {"python": "3.12", "healpy": None},
            "seconds": {"total": 12.3456789},
            "inputs": [{"sha256": "ab" * 32}, {"sha256": "cd" * 32}],
            "none": {},
            "devices": ["cpu", "cpu"],
        },
        "config_text": '[run]\nname = "<script>alert(1)</script>"\n',
    }
    return given | changed


class Page(HTMLParser):
    """The elements, the attributes and the text of a page; it is an error if nesting is not."""

    def __init__(self, source):
        super().__init__()
        self.open, self.elements, self.texts, self.rows = [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and "table" in self.open:
            self.rows[-1].append("")
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

    def row(self, name):
        (row,) = [row for row in self.rows if row and row[0].startswith(name)]
        return [cell.strip() for cell in row]


def page(**changed):
    return Page(render_report(**content(**changed)))


def test_the_page_is_well_formed_and_needs_nothing_else():
    shown = page()
    names = [tag for tag, _ in shown.elements]
    assert not {"script", "link", "iframe", "object", "base"} & set(names)
    for _, attributes in shown.elements:
        assert not {"href", "srcset", "background", "onload"} & set(attributes)
        assert attributes.get("src", "data:").startswith("data:")
    source = render_report(**content())
    assert source.startswith("<!DOCTYPE html>")
    assert "http://" not in source and "https://" not in source
    assert "url(" not in source and "@import" not in source


def test_figures_are_pictures_in_the_page_with_a_text_instead():
    shown = page()
    pictures = [attributes for tag, attributes in shown.elements if tag == "img"]
    prefix = "data:image/png;base64,"
    for picture in pictures:
        assert base64.b64decode(picture["src"].removeprefix(prefix)) == PNG
    captions = [CAPTIONS["maps"], CAPTIONS["copies"], "of my own"]
    assert [picture["alt"] for picture in pictures] == captions
    for caption in captions:
        assert caption in shown.text


def test_texts_are_escaped():
    shown = page()
    assert shown.texts.count(TITLE) == 2  # in the head and as the heading
    assert "maps/<original>.fits" in shown.text and "<script>alert(1)" in shown.text
    assert not {"b", "script", "original", "tails"} & {tag for tag, _ in shown.elements}


def test_every_quantity_has_a_row():
    shown = page()
    row = shown.row("skewness & <tails>")
    assert row[1:] == ["0.1235 ± 0.012", "−0.0001235", "0.09", "0.5 ± 0.1", "0.6 ± 0.2", NONE]
    assert row[0].endswith("What skewness & <tails> sees.")
    assert shown.row("alike")[0].startswith("alike (chance 0.12)")
    assert shown.text.count("(chance 0.12)") == 1
    assert shown.row("near")[-1] == "9.4; 6.44"
    assert shown.row("unknown")[1:] == [NONE] * 3 + ["0.5 ± 0.1", "0.6 ± 0.2", f"{NONE}; 9"]
    for name in ("near", "half", "far", "unknown"):
        assert f"What {name} sees." in shown.text


def test_what_all_rows_of_a_group_see_stands_once():
    rows = [quantity(f"bin {number}", "power_spectrum_bins", sees="Power.") for number in range(3)]
    shown = page(validation=content()["validation"] | {"quantities": rows})
    assert shown.text.count("Power.") == 1
    assert shown.row("Power in bins") and shown.row("bin 2")[0] == "bin 2"


def test_the_verdict_names_what_is_beyond_three_standard_deviations():
    text = page().text
    assert (
        "Copies. Where it can be told, the maps are no copies: correlations with the original are"
        in text
    )
    assert "At l = 1 to 3 there are too few modes or too few seeds to tell. Mean corr" in text
    listed = "0.1 (chance 0.2) at l = 1 to 3, 0.1 (chance 0.05) at l = 4 to 7."
    assert f"Mean correlation with the original: {listed}" in text
    assert "In 1 of 3 distances the new maps are clearly nearer to the original than" in text
    assert "brackets: Gaussian control, filtered-noise control): near (+9.4 and +6.4)." in text
    told = "Farther than controls. Farther than some control by as much: far (−4.0 and −3.5)."
    assert told in text
    assert "Not told apart. half (+9.4 and +1.2)." in text


def test_the_verdict_names_copies():
    copies = [
        {"l_min": 1, "l_max": 1, "mean": 0.91, "by_chance": 0.2, "copied": True, "aligned": True},
        {"l_min": 2, "l_max": 3, "mean": None, "by_chance": None, "copied": None, "aligned": None},
        {"l_min": 4, "l_max": 7, "mean": 0.1, "by_chance": 0.08, "copied": False, "aligned": False},
    ]
    text = page(validation=content()["validation"] | {"copies": copies}).text
    assert "Copies. The new maps copy the original at l = 1 (+0.91). At l = 2 to 3 there" in text
    listed = f"0.91 (chance 0.2) at l = 1, {NONE} (chance {NONE}) at l = 2 to 3, 0.1 (chance 0.08)"
    assert f"too few seeds to tell. Mean correlation with the original: {listed} at" in text
    assert "No copy" not in text


def test_maps_without_a_copy_test_have_no_verdict_on_copies():
    text = page(validation=content()["validation"] | {"copies": []}).text
    assert "Copies. There is no copy test of these maps." in text


def test_notes_stand_below_the_verdict():
    text = page(notes=["The <histogram> is imposed.", "And so is the power."]).text
    assert "half (+9.4 and +1.2). Mind. The <histogram> is imposed. Mind. And so is the" in text
    assert "Mind." not in page().text


def test_seeds_and_provenance_are_tables():
    shown = page()
    assert shown.row("seed") == ["seed", "status", "steps", "loss at the end"]
    assert shown.row("3") == ["3", "converged", "41", "0.001235"]
    assert shown.row("5") == ["5", "not finite", "7", NONE]
    assert shown.row("python") == ["python", "3.12"] and shown.row("healpy") == ["healpy", NONE]
    assert shown.row("total") == ["total", "12.35"]
    assert shown.row("devices") == ["devices", "cpu, cpu"]
    assert "ab" * 32 in shown.text and "cd" * 32 in shown.text


def test_a_validation_without_the_results_of_a_run_has_a_page():
    bare = {"seeds": [0], "controls": {"gaussian": 0, "filtered": 0}, "quantities": []}
    for validation in ({}, bare, content()["validation"] | {"controls": {}}):
        empty = {"results": {}, "figures": {}, "provenance": {}, "config_text": ""}
        text = page(validation=validation, **empty).text
        assert "No distances can be compared with controls." in text
        assert "Provenance" not in text and "Configuration" not in text


def test_one_kind_of_controls_has_one_column():
    validation = content()["validation"] | {"controls": {"gaussian": 4}}
    for entry in validation["quantities"]:
        entry["separation"].pop("filtered", None)
    shown = page(validation=validation)
    assert shown.row("quantity")[4:] == ["Gaussian control", "separation"]
    assert shown.row("half")[4:] == ["0.5 ± 0.1", "9.4"]
    assert "In 2 of 3 distances" in shown.text
    assert (
        "(how many times, in brackets: Gaussian control): near (+9.4); half (+9.4)." in shown.text
    )


def test_many_seeds_are_not_all_named():
    validation = content()["validation"] | {"seeds": list(range(200))}
    assert "200: 0, 1, 2, …, 199" in page(validation=validation).text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, NONE),
        (float("nan"), NONE),
        (True, "yes"),
        (12345678, "12345678"),
        (12345678.0, "1.235e07"),
        (-0.000123456, "−0.0001235"),
        (1.5e-9, "1.5e−09"),
        ("text", "text"),
    ],
)
def test_numbers_have_four_digits(value, shown):
    assert number(value) == shown
