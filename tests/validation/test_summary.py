import healpy
import numpy as np
import pytest

from jaxscat.operators.pyramid import build_pyramid
from jaxscat.validation.comparison import compare_with
from jaxscat.validation.ending import Ending, synthesis_line
from jaxscat.validation.gaussian import gaussian_control
from jaxscat.validation.histogram_words import values_line
from jaxscat.validation.novelty import novelty_line
from jaxscat.validation.summary import VerdictContext, verdict_lines
from jaxscat.validation.texture_words import listed_sides, texture_line

NSIDE = 16
NPIX = 12 * NSIDE**2


def gaussian(seed):
    generator = np.random.default_rng(seed)
    alm = generator.standard_normal((healpy.Alm.getsize(3 * NSIDE - 1), 2)) @ [1.0, 1.0j]
    ring = healpy.alm2map(healpy.almxfl(alm, 1 / (5.0 + np.arange(3 * NSIDE))), NSIDE)
    return healpy.reorder(ring / ring.std(), r2n=True)


def positive(seed):
    """A lognormal map with a mean of one and a variance that is the same for all."""
    return np.exp(0.6 * gaussian(seed) - 0.18)


@pytest.fixture(scope="module")
def comparison():
    pyramid = build_pyramid(NSIDE, scales=1, orientations=1, dtype=np.float64)
    return compare_with(positive(0), pyramid, controls=3)


@pytest.fixture(scope="module")
def of_gaussian():
    pyramid = build_pyramid(NSIDE, scales=1, orientations=1, dtype=np.float64)
    return compare_with(gaussian(0), pyramid, controls=3)


def lines(comparison, *maps, **known):
    reports = [comparison.report(comparison.describe(map)) for map in maps]
    return {line.name: line for line in verdict_lines(reports, VerdictContext(**known))}


def with_power(map, low, high, factor):
    """The map with other power at some multipoles."""
    alm = healpy.map2alm(healpy.reorder(map, n2r=True), lmax=3 * NSIDE - 1, iter=3)
    window = np.zeros(3 * NSIDE)
    window[low : high + 1] = np.sqrt(factor) - 1
    more = healpy.alm2map(healpy.almxfl(alm, window), NSIDE, lmax=3 * NSIDE - 1)
    return map + healpy.reorder(more, r2n=True)


def test_original_itself_is_a_copy_with_everything_right(comparison):
    found = lines(comparison, positive(0))
    assert list(found) == ["New or copy", "Texture", "Histogram and spectrum"]
    assert found["New or copy"] == ("New or copy", "bad", "The original itself.")
    assert found["Texture"].mark == "good" and "contours (V1)" in found["Texture"].text
    expected = (
        "Histogram within the tolerance; the brightest 0.1 % rise 1.00 times as far. "
        "Power spectrum within the tolerance."
    )
    assert found["Histogram and spectrum"][1:] == ("good", expected)


def test_other_maps_of_the_kind_are_new_and_right(comparison):
    found = lines(comparison, *(positive(seed) for seed in range(1, 5)))
    assert [line.mark for line in found.values()] == ["good"] * 3, found
    assert found["New or copy"].text.startswith("New: no copy at")
    assert found["Texture"].text.startswith("Shared: within the tolerance in")


def test_reversed_sign_is_a_copy_of_another_texture(comparison):
    found = lines(comparison, 2 - positive(0))
    assert found["New or copy"].text == "The original itself with the sign reversed."
    assert found["Texture"].mark == found["Histogram and spectrum"].mark == "bad"
    assert "negative values, where the original has none" in found["Histogram and spectrum"].text


def test_gaussian_map_is_named_as_wrong_for_a_map_that_is_none(comparison):
    control = gaussian_control(positive(0), seed=50)
    found = lines(comparison, control, transform="none")
    assert found["New or copy"].mark == "good"
    assert found["Texture"].mark == "bad"
    assert "islands and holes (V2)" in found["Texture"].text and "S3" in found["Texture"].text
    text = found["Histogram and spectrum"].text
    fraction = 100 * np.mean(control < positive(0).min())
    assert f"{fraction:.2g} % of the pixels are below its minimum" in text
    assert f"down to {control.min():.3g}" in text
    assert 'try `synthesis.gaussianize = true` or `data.transform = "log"`' in text
    imposed = lines(comparison, control, gaussianized=True)["Histogram and spectrum"].text
    assert "try" not in imposed
    other = lines(comparison, control, transform="exp")["Histogram and spectrum"].text
    assert "gaussianize" in other and "log" not in other


def test_original_that_is_gaussian_has_nothing_to_show(of_gaussian):
    line = lines(of_gaussian, gaussian(1))["Texture"]
    said = "Nothing to show: a Gaussian map with this spectrum matches just as well."
    assert line[1:] == ("uncertain", said)


def test_clipped_tail_is_named_with_its_ratios(comparison):
    original, clipped = positive(0), np.minimum(positive(1), 2.5)
    found = lines(comparison, clipped)["Histogram and spectrum"]
    brightest = np.sort(original)[-10:].mean()
    ratio = (2.5 - original.mean()) / (brightest - original.mean())
    single = (2.5 - original.mean()) / (original.max() - original.mean())
    assert found.mark == "bad" and "the tail is short" in found.text
    assert f"{ratio:.2f} times as far above the mean" in found.text
    assert f"the brightest pixel {single:.2f} times" in found.text


@pytest.mark.parametrize(("factor", "way"), [(0.5, "50 % low"), (1.6, "60 % high")])
def test_power_that_is_off_is_named_where_it_is(comparison, factor, way):
    found = lines(comparison, with_power(positive(0), 24, 33, factor))["Histogram and spectrum"]
    assert found.mark == "bad" and f"{way} at l = 24 to 33" in found.text
    assert found.text.count("at l =") == 1


def test_mean_and_width_are_named(comparison):
    text = lines(comparison, 1.2 * positive(1) + 0.3)["Histogram and spectrum"].text
    assert "standard deviations too high" in text and "standard deviation is" in text


def part(low, high, copied, mean, **more):
    return {
        "l_min": low, "l_max": high, "copied": copied, "mean": mean, "aligned": None, "rms": 0.0
    } | more  # fmt: skip


def test_copies_are_named_by_scale_sign_and_strength():
    copied = [part(1, 3, True, 0.9), part(4, 7, False, 0.1)]
    line = novelty_line(copied, 8)
    assert line.mark == "bad" and line.text.startswith("a copy at l = 1 to 3 (+0.90)")
    reverse = novelty_line([part(1, 3, True, -0.9)], 8)
    assert reverse.text.startswith("a copy with the sign reversed at l = 1 to 3 (-0.90)")
    weak = novelty_line([part(1, 3, None, 0.0, aligned=True, rms=0.2)], 8)
    assert weak.mark == "bad" and "l = 1 to 3 (a little, 0.20)" in weak.text
    unclear = [part(1, 3, None, 0.5), part(4, 7, None, 0.2), part(8, 15, False, 0.0)]
    assert novelty_line(unclear, 1).mark == "good"
    held = novelty_line(unclear, 1, crowded="there are more numbers than pixels")
    assert held.mark == "uncertain" and "scales: there are more numbers than pixels." in held.text
    assert "one map cannot tell at l = 1 to 7 (correlation +0.50 and +0.20)" in held.text
    assert novelty_line(unclear[:1], 1).mark == "uncertain"
    large = novelty_line([part(1, 3, None, 0.55, by_chance=0.2), *unclear[1:]], 4)
    assert large.mark == "uncertain" and large.text.startswith("new as far as it can be told: no")
    assert "+0.20), more than 2.5 times what chance gives there" in large.text
    small = novelty_line([part(1, 3, None, 0.45, by_chance=0.2), *unclear[1:]], 4)
    assert small.mark == "good"


@pytest.mark.parametrize(
    ("status", "losses", "mark", "said"),
    [
        ("step limit", [10.0, 8.0, 5.0, 4.0], "bad", "not converged after 3 steps (loss 4, the"),
        ("step limit", [10.0, 4.0], "bad", "not converged after 1 step (loss 4"),
        ("step limit", np.geomspace(10, 1e-3, 101), "good", "fell by 84 % in the last 20 steps"),
        ("step limit", np.geomspace(10, 1, 101), "bad", "not converged after 100 steps"),
        ("step limit", [10.0] + [1.2] * 100, "uncertain", "more steps would gain little"),
        ("evaluation limit", [10.0, 4.0], "bad", "raise synthesis.max_evaluations"),
        ("interrupted", [10.0, 5.0], "bad", "go on by --resume"),
        ("interrupted", np.geomspace(10, 1e-3, 101), "uncertain", "interrupted after 100 steps"),
        ("stagnated", [10.0] + [1.2] * 100, "uncertain", "stopped because steps gained too little"),
        ("converged", [10.0, 1e-9], "good", "finished: coefficients match"),
        ("not finite: power", [10.0], "bad", "failed (not finite: power)"),
        ("step limit", [4.0], "bad", "not converged after 0 steps"),
    ],
)
def test_ending_says_what_more_steps_would_gain(status, losses, mark, said):
    line = synthesis_line([Ending("converged", [1.0, 1e-9]), Ending(status, losses)])
    assert line.mark == mark and said in line.text


def test_values_of_nside_are_listed_as_a_range():
    assert listed_sides([32, 16, 8]) == "32 to 8"
    assert listed_sides([32, 8]) == "32 and 8"
    assert listed_sides([4]) == "4"


def test_a_constant_original_has_nothing_to_compare():
    pyramid = build_pyramid(4, scales=1, orientations=1, dtype=np.float64)
    comparison = compare_with(np.full(192, 2.0), pyramid, controls=0)
    noise = np.random.default_rng(0).normal(size=192)
    found = lines(comparison, noise)["Histogram and spectrum"]
    assert found.mark == "uncertain" and "the original has one value only" in found.text


def test_default_scales_of_fine_maps_do_not_make_copies_likely(comparison):
    report = comparison.report(comparison.describe(positive(1)))
    # The default of nside 256 down to nside 8, and FOSCAT's of nside 32 down to nside 4.
    for nside, held, likely in ((8, 1440, False), (4, 704, True)):
        scale = {
            "nside": nside,
            "coefficients": held,
            **{name: {} for name in ("S1", "S2", "S3", "S4")},
        }
        crowded = report | {"scattering_scales": [scale]}
        novelty, *_ = verdict_lines([crowded], VerdictContext(imposed=1))
        assert novelty.text.startswith("Likely a copy of large scales") is likely


def test_the_histogram_and_the_spectrum_have_remedies(comparison):
    reports = [comparison.report(comparison.describe(with_power(positive(1), 20, 30, 2.0)))]
    off = values_line(reports, form="pixels")
    assert off.mark == "bad" and 'try `synthesis.form = "harmonic"`' in off.text
    assert "try" not in values_line(reports, form="harmonic").text.partition("Power")[2]


def test_lines_on_an_unfinished_map_are_not_good(comparison):
    reports = [comparison.report(comparison.describe(positive(1)))]
    ended = VerdictContext(endings=(Ending("step limit", [10.0, 8.0]),))
    marks = [line.mark for line in verdict_lines(reports, ended)]
    assert marks[-1] == "bad" and "good" not in marks


def test_coefficients_that_cannot_be_computed_are_no_success(comparison):
    report = comparison.report(comparison.describe(positive(1)))
    for scale in report["scattering_scales"]:
        scale["S4"] = dict.fromkeys(scale["S4"])
    line = texture_line([report])
    assert line.mark == "uncertain" and "S4 cannot be computed" in line.text


def test_counts_that_are_off_at_a_low_threshold_are_named(comparison):
    """Some percent of all peaks are many, though the tolerance of the few highest is wide."""
    report = comparison.report(comparison.describe(positive(1)))
    report["distances"]["peaks"] |= {"worst_threshold": 3.0, "worst_difference": 0.1}
    line = texture_line([report])
    assert line.mark == "uncertain" and "a little beyond: peaks (10 % too many)" in line.text
