import pytest

from jaxscat.validation.verdict import classify_distances, copy_verdict


def part(low, high, copied, mean=0.1234, aligned=False):
    of_mean = {"l_min": low, "l_max": high, "mean": mean, "by_chance": 0.05, "copied": copied}
    return of_mean | {"rms": 0.784, "chance": 0.449, "aligned": aligned}


COPIED = [part(1, 1, True, 0.456), part(2, 3, True, -0.321)]
FREE = [part(4, 7, False), part(8, 15, False)]
UNCLEAR = [part(16, 31, None), part(32, 32, None, mean=None)]

COPY = "The new maps copy the original at l = 1 (+0.46), l = 2 to 3 (-0.32)."
NO_COPY = (
    "Where it can be told, the maps are no copies: correlations with the original are within three "
    "times what chance gives, or below 0.1."
)
OPEN = "At l = 16 to 31, l = 32 there are too few modes or too few seeds to tell."

ALIGNED = (
    "Up to their sign, the new maps are like the original at l = 1 to 3 (in good part: root mean "
    "square correlation 0.78, by chance 0.45)."
)


@pytest.mark.parametrize(
    ("ranges", "text"),
    [
        ([], ""),
        (FREE, NO_COPY),
        (COPIED, COPY),
        (UNCLEAR, OPEN),
        ([*COPIED, *FREE], COPY),
        ([*FREE, *UNCLEAR], f"{NO_COPY} {OPEN}"),
        ([*COPIED, *UNCLEAR], f"{COPY} {OPEN}"),
        ([*UNCLEAR, *FREE, *COPIED], f"{COPY} {OPEN}"),
        ([part(1, 1, True, 0.456, True), part(2, 3, True, -0.321), *FREE], COPY),
        ([*FREE, part(1, 3, False, aligned=True)], f"{NO_COPY} {ALIGNED}"),
        ([part(1, 3, None, aligned=None), *UNCLEAR[1:]], OPEN.replace("16 to 31", "1 to 3")),
    ],
)
def test_copies_are_named_and_what_cannot_be_told(ranges, text):
    assert copy_verdict(ranges) == text


@pytest.mark.parametrize(
    ("separation", "expected"),
    [
        ({"gaussian": 3.1, "filtered": 9.0}, "nearer"),
        ({"gaussian": 3.0, "filtered": 9.0}, "alike"),
        ({"gaussian": 9.0, "filtered": -3.0}, "alike"),
        ({"gaussian": 0.0, "filtered": 0.0}, "alike"),
        ({"gaussian": 9.0, "filtered": -3.1}, "farther"),
        ({"gaussian": -3.1, "filtered": -9.0}, "farther"),
        ({"filtered": 3.1}, "nearer"),
        ({"gaussian": -3.1}, "farther"),
        ({"gaussian": 1.0}, "alike"),
        ({"gaussian": None, "filtered": 9.0}, None),
        ({"gaussian": 9.0, "filtered": None}, None),
        ({"gaussian": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_distances_are_sorted_by_the_nearest_controls(separation, expected):
    entry = {"name": "V0", "separation": separation}
    found = {"nearer": [], "farther": [], "alike": []}
    if expected is not None:
        found[expected] = [entry]
    assert classify_distances([entry]) == found


def test_distances_keep_their_order_and_may_lack_a_separation():
    values = (4.0, -4.0, 0.0, 5.0, -5.0, 1.0)
    entries = [{"name": str(value), "separation": {"gaussian": value}} for value in values]
    names = {
        key: [entry["name"] for entry in found]
        for key, found in classify_distances([*entries, {"name": "mean"}]).items()
    }
    assert names == {"nearer": ["4.0", "5.0"], "farther": ["-4.0", "-5.0"], "alike": ["0.0", "1.0"]}
    assert classify_distances([]) == {"nearer": [], "farther": [], "alike": []}
