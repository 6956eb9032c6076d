import warnings

import numpy as np
import pytest

from jaxscat.plotting import mollweide_image, plot_ensemble

NPIX = 12 * 8**2


def drawn(count, footprint=None, common=0.0):
    rng = np.random.default_rng(0)
    original, shared = rng.standard_normal((2, NPIX))
    maps = {10 + 3 * n: rng.standard_normal(NPIX) + common * shared for n in range(count)}
    correlations = np.corrcoef([original, *maps.values()])
    figure = plot_ensemble(
        original, maps, correlations, footprint=footprint, title="a title", unit="mK"
    )
    return original, maps, correlations, figure


def axes_of(figure):
    return [axis for part in figure.subfigs for axis in part.axes]


@pytest.mark.parametrize("count", [2, 3, 16, 70])
def test_figure_is_drawn_without_a_warning_at_any_number_of_seeds(tmp_path, count):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        original, maps, _, figure = drawn(count)
        figure.savefig(tmp_path / "ensemble.png")
    assert (tmp_path / "ensemble.png").read_bytes().startswith(b"\x89PNG")
    shown = {axis.get_title(): axis.images[0] for axis in axes_of(figure) if axis.get_title()}
    first = list(maps)[:8]
    titles = list(shown)
    assert titles == ["original", *(f"seed {seed}" for seed in first)]
    np.testing.assert_array_equal(shown["original"].get_array(), mollweide_image(original))
    empty = [axis for axis in axes_of(figure) if not axis.axison and not axis.images]
    assert len(empty) == 0
    last = first[-1]
    np.testing.assert_array_equal(shown[f"seed {last}"].get_array(), mollweide_image(maps[last]))
    assert len({shown[title].get_clim() for title in titles}) == 1


def test_matrix_has_the_original_first_and_a_scale_for_what_is_off_the_diagonal():
    _, maps, correlations, figure = drawn(5, common=0.3)
    axis = axes_of(figure)[0]
    image = axis.images[0].get_array()
    off = ~np.eye(6, dtype=bool)
    np.testing.assert_array_equal(image[off], correlations[off])
    assert np.ma.getmaskarray(image)[~off].all()
    largest = np.abs(correlations[off]).max()
    assert axis.images[0].get_clim() == (-largest, largest) and largest < 0.5
    names = [text.get_text() for text in axis.get_yticklabels()]
    assert names == ["original", *map(str, maps)]
    numbers = {text.get_position(): text.get_text() for text in axis.texts}
    assert len(numbers) == 30 and numbers[(2, 0)] == f"{correlations[0, 2]:+.3f}"


def test_title_has_the_largest_correlation_of_two_seeds_and_with_the_original():
    _, maps, correlations, figure = drawn(4, common=-1.0)
    title = figure.subfigs[0].get_suptitle()
    upper = np.triu(correlations[1:, 1:], 1)
    first, second = np.unravel_index(np.abs(upper).argmax(), upper.shape)
    seeds = list(maps)
    assert f"{upper[first, second]:+.3f} ({seeds[first]} and {seeds[second]})" in title
    nearest = np.abs(correlations[0, 1:]).argmax()
    assert f"{correlations[0, 1 + nearest]:+.3f} (seed {seeds[nearest]})" in title


def test_pixels_outside_the_footprint_are_blank():
    footprint = (np.arange(NPIX) < NPIX // 2).astype(float)
    original, _, _, figure = drawn(2, footprint)
    (axis,) = [axis for axis in axes_of(figure) if axis.get_title() == "original"]
    image = axis.images[0].get_array()
    expected = mollweide_image(np.where(footprint > 0, original, np.nan))
    np.testing.assert_array_equal(np.ma.getmaskarray(image), np.isnan(expected))


def test_maps_without_variance_are_drawn_too(tmp_path):
    maps = {1: np.ones(NPIX), 2: np.ones(NPIX)}
    original = np.arange(float(NPIX))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_ensemble(original, maps, np.full((3, 3), np.nan)).savefig(tmp_path / "e.png")


def test_what_is_no_ensemble_is_refused():
    for count, size in ((1, 2), (2, 2)):
        maps = {seed: np.zeros(NPIX) for seed in range(count)}
        with pytest.raises(ValueError, match=rf"^correlations: got shape \({size}, {size}\) for"):
            plot_ensemble(np.zeros(NPIX), maps, np.eye(size))
