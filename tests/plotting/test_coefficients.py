import dataclasses
import warnings

import jax
import numpy as np
import pytest

from jaxscat.plotting import plot_coefficients
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.indices import scale_pairs, scale_triples


def coefficients(scales, orientations, *, cross=False, both=False, seed=0, masks=()):
    rng = np.random.default_rng(seed)
    pairs, triples = len(scale_pairs(scales)), len(scale_triples(scales, both))

    def draw(*shape):
        return rng.standard_normal(masks + shape)

    def draw_complex(*shape):
        return draw(*shape) + 1j * draw(*shape)

    size = (scales, orientations)
    return ScatteringCovariance(
        draw(2),
        draw(*size) if cross else np.abs(draw(*size)),
        draw(*size) if cross else np.abs(draw(*size)),
        draw_complex(pairs, orientations, orientations),
        draw_complex(triples, *[orientations] * 3),
        draw_complex(pairs, orientations, orientations) if cross else None,
        both,
    )


def axes_of(figure):
    return [axis for part in figure.subfigs for axis in part.axes]


def panel(figure, title):
    return next(axis for axis in axes_of(figure) if axis.get_title().startswith(title))


def below(figure, title):
    upper = panel(figure, title)
    return next(
        axis
        for axis in axes_of(figure)
        if axis is not upper and axis.get_shared_x_axes().joined(axis, upper)
    )


def curve(axis, name):
    (line,) = [line for line in axis.lines if line.get_label() == name]
    heights = np.asarray(line.get_ydata())
    return heights[~np.isnan(heights)]


@pytest.mark.parametrize(
    ("scales", "orientations", "cross", "both", "number"),
    [
        (1, 1, False, False, 1),
        (1, 2, True, True, 2),
        (3, 3, False, False, 2),
        (8, 8, True, True, 1),
    ],
)
def test_it_is_drawn_without_a_warning(tmp_path, scales, orientations, cross, both, number):
    maps = {
        f"map {seed}": coefficients(scales, orientations, cross=cross, both=both, seed=seed)
        for seed in range(number)
    }
    errors = jax.tree.map(np.abs, maps["map 0"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot_coefficients(maps, errors=errors, title="a title", unit="mK")
        figure.savefig(tmp_path / "figure.png", dpi=50)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    (legend,) = [legend for part in figure.subfigs for legend in part.legends]
    assert [text.get_text() for text in legend.get_texts()] == list(maps)
    assert figure.get_suptitle() == "a title"
    titles = {axis.get_title()[:2] for axis in axes_of(figure)} - {""}
    assert titles == {"S1", "S2", "S3", "S4"}
    labels = " ".join(axis.get_xlabel() + axis.get_ylabel() for axis in axes_of(figure))
    for word in ("scale", "[mK]", "[mK$^2$]", *(["angle"] if orientations > 1 else [])):
        assert word in labels
    assert (r"\sigma" in labels) == (number > 1)


def test_curves_are_means_over_orientations():
    made = coefficients(3, 4)
    figure = plot_coefficients({"one": made})
    assert np.allclose(curve(panel(figure, "S1"), "one"), made.s1.mean(axis=-1))
    assert np.allclose(curve(panel(figure, "S2"), "one"), made.s2.mean(axis=-1))
    assert np.allclose(curve(panel(figure, "S3,"), "one"), np.abs(made.s3).mean(axis=(1, 2)))
    assert np.allclose(curve(panel(figure, "S4,"), "one"), np.abs(made.s4).mean(axis=(1, 2, 3)))
    parallel = made.s3[1][np.arange(4), np.arange(4)].real.mean()  # pair (0, 1), l2 = l3
    assert np.allclose(curve(panel(figure, "S3 at"), "one")[[0, -1]], parallel)


def test_differences_are_in_errors_of_the_first_and_complex():
    first = coefficients(2, 3)
    errors = jax.tree.map(lambda group: np.full(group.shape, 0.5), first)
    moved = dataclasses.replace(first, s1=first.s1 + 2.0, s3=first.s3 + 1.0j, s4=first.s4.copy())
    moved.s4[0, 1, 2, 0] += 3.0
    figure = plot_coefficients({"first": first, "moved": moved}, errors=errors)
    assert np.allclose(curve(below(figure, "S1"), "moved"), 4.0)
    assert np.allclose(curve(below(figure, "S2"), "moved"), 0.0)
    assert np.allclose(curve(below(figure, "S3,"), "moved"), 2.0)
    assert np.allclose(curve(below(figure, "S3 at"), "moved"), 2.0)
    assert np.allclose(curve(below(figure, "S4,"), "moved"), [6.0 / np.sqrt(27), 0, 0, 0])


def test_errors_that_are_zero_are_left_out():
    first = coefficients(2, 2)
    errors = jax.tree.map(lambda group: np.ones(group.shape), first)
    errors.s1[0, 0] = 0.0
    errors.s2[0] = 0.0
    moved = jax.tree.map(lambda group: group + 3.0, first)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot_coefficients({"first": first, "moved": moved}, errors=errors)
    assert np.allclose(curve(below(figure, "S1"), "moved"), 3.0)
    assert np.allclose(curve(below(figure, "S2"), "moved"), [3.0])  # a gap


def test_maps_look_different_and_roles_of_a_run_keep_their_colours():
    names = ["a", "original", "b", "synthesized", "c"]
    made = {name: coefficients(1, 1, seed=seed) for seed, name in enumerate(names)}
    lines = panel(plot_coefficients(made), "S1").lines
    colours = {line.get_label(): line.get_color() for line in lines}
    assert len({colours[name] for name in names}) == 5
    assert (colours["original"], colours["synthesized"]) == ("#000000", "#D55E00")


def test_numbers_of_both_signs_are_not_lost():
    figure = plot_coefficients({"one": coefficients(3, 1, cross=True)})
    axis = panel(figure, "S1")
    low, high = axis.get_ylim()
    assert low < curve(axis, "one").min() < 0 < curve(axis, "one").max() < high


def test_coefficients_that_are_zero_are_drawn():
    zero = jax.tree.map(lambda group: np.zeros(group.shape), coefficients(2, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_coefficients({"zero": zero, "other": zero}, errors=zero).draw_without_rendering()


GOOD = coefficients(2, 2)
REFUSED = {
    "no maps": ({}, None, "statistics: got 0 maps, expected 1 to 7"),
    "too many": ({str(i): GOOD for i in range(8)}, None, "statistics: got 8 maps, expected 1 to 7"),
    "arrays": ({"a": GOOD.s1}, None, r"statistics\['a'\]: got ndarray, expected a Scatt"),
    "masks": (
        {"a": coefficients(2, 2, masks=(3,))},
        None,
        r"statistics\['a'\]: got coefficients of 3 masks, .* jax.tree.map\(lambda group: group\[0",
    ),
    "kinds": (
        {"a": GOOD, "b": coefficients(2, 2, cross=True)},
        None,
        r"statistics\['b'\]: got cross coefficients .*, expected auto .* as statistics\['a'\]",
    ),
    "scales": ({"a": GOOD, "b": coefficients(3, 2)}, None, r"S1 \(3, 2\), .*expected.* S1 \(2, 2"),
    "triangles": (
        {
            "a": coefficients(2, 2, cross=True),
            "b": coefficients(2, 2, cross=True, both=True),
        },
        None,
        r"statistics\['b'\]: got .*both triangles, expected",
    ),
    "complex errors": ({"a": GOOD}, GOOD, "errors: got complex numbers, expected real"),
    "errors": (
        {"a": GOOD},
        jax.tree.map(np.abs, coefficients(2, 3)),
        r"errors: got auto coefficients .*S1 \(2, 3\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_compared_is_refused(case):
    statistics, errors, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        plot_coefficients(statistics, errors=errors)


def test_one_of_several_masks_is_drawn_as_the_message_says():
    several = coefficients(2, 2, masks=(3,))
    one = jax.tree.map(lambda group: group[1], several)
    figure = plot_coefficients({"a": one})
    assert np.allclose(curve(panel(figure, "S1"), "a"), several.s1[1].mean(axis=-1))


def test_scales_that_are_not_imposed_are_hatched():
    figure = plot_coefficients({"original": coefficients(3, 2)}, imposed=2)
    hatched = [
        axis.get_title().split(",")[0]
        for axis in axes_of(figure)
        for patch in axis.patches
        if patch.get_hatch()
    ]
    assert hatched == ["S3", "S4"]  # the coarsest block of each, and no angles
    whole = plot_coefficients({"original": coefficients(3, 2)})
    assert not [patch for axis in axes_of(whole) for patch in axis.patches if patch.get_hatch()]
