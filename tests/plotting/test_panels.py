import numpy as np
import pytest

from jaxscat.plotting.panels import build_panels
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.indices import scale_pairs, scale_triples


def marked(scales, orientations, name, where, both=False):
    """Coefficients that are zero but where `where` says so of the names of the axes."""
    lengths = [(2,), (scales, orientations), (scales, orientations)]
    lengths += [(len(scale_pairs(scales)),) + (orientations,) * 2] * 2
    lengths += [(len(scale_triples(scales, both)),) + (orientations,) * 3]
    groups = ("s0", "s1", "s2", "s3", "s3p", "s4")
    arrays = dict(zip(groups, map(np.zeros, lengths), strict=True))
    if not both:
        arrays.pop("s3p")
    made = ScatteringCovariance(**arrays, both_triangles=both)
    table = made.table()
    rows = zip(*table.values(), strict=True)
    chosen = np.array([where(dict(zip(table, row, strict=True))) for row in rows])
    start = {key: np.flatnonzero(table["group"] == key.upper())[0] for key in arrays}
    arrays[name].reshape(-1)[:] = chosen[start[name] :][: arrays[name].size]
    return ScatteringCovariance(**arrays, both_triangles=both)


def by_title(statistics):
    return {(panel.title, panel.xlabel): panel for row in build_panels(statistics) for panel in row}


@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize(
    ("name", "title", "xlabel", "where"),
    [
        ("s3", "S3 at", "angle from $l_2$ to $l_3$", ("l2", "l3")),
        ("s4", "S4 at", "angle from $l_1$ to $l_2$", ("l1", "l2")),
        ("s4", "S4 at", "angle from $l_1$ to $l_3$", ("l1", "l3")),
    ],
)
def test_turns_are_differences_of_the_orientations_that_the_label_names(
    turn, name, title, xlabel, where
):
    first, second = where
    made = marked(3, 3, name, lambda entry: (entry[second] - entry[first]) % 3 == turn)
    (panel,) = [
        panel
        for (heading, label), panel in by_title(made).items()
        if heading.startswith(title) and label == xlabel
    ]
    expected = [float(k % 3 == turn) for k in range(4)]  # half a turn is no turn
    values = panel.values(made)
    assert values.shape == (4, 3 if name == "s3" else 9)
    assert np.array_equal(values, np.repeat(expected, values.shape[1]).reshape(values.shape))
    assert list(panel.axis.places) == [0, 60, 120, 180]


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_turns_are_of_the_scales_that_the_title_names(scales):
    triple = {1: (0, 0, 0), 2: (0, 1, 1), 3: (0, 1, 2)}[scales]
    pair = (0, 0) if scales == 1 else (0, 1)
    of_s4 = marked(
        scales, 2, "s4", lambda entry: tuple(entry[j] for j in ("j1", "j2", "j3")) == triple
    )
    of_s3 = marked(scales, 2, "s3", lambda entry: (entry["j2"], entry["j3"]) == pair)
    *_, turns = build_panels(of_s4)
    assert str(pair) in turns[0].title and turns[0].values(of_s3).all()
    for panel in turns[1:]:
        assert str(triple) in panel.title and panel.values(of_s4).all()


def test_entries_stand_under_the_names_of_their_scales():
    made = marked(3, 1, "s4", lambda entry: entry["j2"] == 1)
    (panel,) = [
        panel for row in build_panels(made) for panel in row if panel.title.startswith("S4")
    ]
    shown = panel.values(made)[:, 0]
    for place, value in zip(panel.axis.places, shown, strict=True):
        assert panel.axis.ticks[place].endswith("1") == (value == 1)
    inside = [
        sum(first <= place <= last for place in panel.axis.places)
        for first, last in panel.axis.blocks
    ]
    assert inside == [1, 3, 6]  # triples with j3 = 0, 1, 2
    assert (np.diff(panel.axis.places) > 0).all()


def test_many_entries_are_named_by_one_of_their_scales():
    made = marked(8, 1, "s4", lambda entry: entry["j2"] == 5)
    (panel,) = [
        panel for row in build_panels(made) for panel in row if panel.title.startswith("S4")
    ]
    assert len(panel.axis.places) == 120 and len(panel.axis.ticks) == 36
    ends = [*panel.axis.starts[1:], 120]
    for (middle, name), first, end in zip(
        panel.axis.ticks.items(), panel.axis.starts, ends, strict=True
    ):
        assert panel.axis.places[first] <= middle <= panel.axis.places[end - 1]
        assert (panel.values(made)[first:end, 0] == (name == "5")).all()


def test_two_maps_have_a_panel_for_the_exchange():
    made = marked(2, 2, "s3p", lambda entry: entry["group"] == "S3P", both=True)
    panels = by_title(made)
    (panel,) = [panel for (title, _), panel in panels.items() if "exchanged" in title]
    assert panel.values(made).all()
    (turns,) = [panel for (title, _), panel in panels.items() if title.startswith("S3P at")]
    assert turns.values(made).all()


def test_one_orientation_has_no_turns_and_no_covariances_no_panels():
    one = marked(2, 1, "s1", lambda entry: False)
    assert not any("angle" in label for _, label in by_title(one))
    none = ScatteringCovariance(one.s0, one.s1, one.s2, np.zeros((0, 1, 1)), np.zeros((0, 1, 1, 1)))
    assert [title[:2] for title, _ in by_title(none)] == ["S1", "S2"]
