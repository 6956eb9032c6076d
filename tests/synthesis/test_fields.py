"""Several fields together: their loss falls, and seeds, batches and checkpoints are as for maps."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.fields.field_starts import gaussian_fields, white_fields
from jaxscat.harmonics.spectra import angular_power_spectrum
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.objectives.field_scattering import fields_loss
from jaxscat.objectives.make_field_target import make_field_target
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.parametrizations.harmonic import harmonic_form
from jaxscat.parametrizations.parametrization import Parametrization
from jaxscat.parametrizations.pixels import Pixels
from jaxscat.statistics.angular import IsotropicMean
from jaxscat.synthesis.fields import synthesize_fields

OPTIONS = {"max_steps": 8, "memory": 3, "chunk_steps": 3}


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(8, dtype="float64", scales=2, orientations=3)


@pytest.fixture(scope="module")
def originals():
    t, e, b = np.random.default_rng(0).gamma(2.0, size=(3, 768))
    return {"T": 100 * t + 30, "E": e + 0.5 * t, "B": b - 2}


@pytest.fixture(scope="module")
def target(originals, pyramid):
    return make_field_target(originals, pyramid, pairs=["BB", "TE"], parity="even")


@pytest.fixture(scope="module")
def start(originals):
    return partial(gaussian_fields, originals)


@pytest.fixture(scope="module")
def made(target, pyramid, start):
    return synthesize_fields(target, pyramid, 3, start=start, **OPTIONS)


def assert_same(found, expected):
    assert (found.seeds, found.status) == (expected.seeds, expected.status)
    for name in ("loss", "losses", "evaluations", "steps"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert list(found.maps) == list(expected.maps)
    jax.tree.map(np.testing.assert_array_equal, found.maps, expected.maps)


def test_the_loss_falls(made, target, pyramid, start):
    assert made.seeds == (0, 1, 2) and made.steps.tolist() == [8] * 3
    assert set(made.maps) == {"T", "E", "B"}
    assert {map.shape for map in made.maps.values()} == {(3, 768)}
    assert (made.loss < 0.3 * made.losses[:, 0]).all()
    for seed in range(3):
        first = float(fields_loss(start(seed), pyramid, target))
        assert made.losses[seed, 0] == pytest.approx(first, rel=1e-10)
        last = float(fields_loss(made.of_seed(seed).maps, pyramid, target))
        assert made.loss[seed] == pytest.approx(last, rel=1e-9)


def test_maps_of_a_seed_depend_on_the_seed_only(made, target, pyramid, start):
    found = synthesize_fields(target, pyramid, [2, 0], start=start, batch_size=1, **OPTIONS)
    for seed in (0, 2):
        for name, map in made.of_seed(seed).maps.items():
            atol = 1e-7 * map.std()
            np.testing.assert_allclose(found.of_seed(seed).maps[name], map, rtol=0, atol=atol)


def test_starts_may_be_given_as_maps(made, target, pyramid, start):
    drawn = [start(seed) for seed in range(3)]
    given = {name: np.stack([maps[name] for maps in drawn]) for name in "BET"}
    found = synthesize_fields(target, pyramid, 3, start=given, **OPTIONS)
    assert_same(found, made)


def test_the_default_start_is_white(target, pyramid, originals):
    options = OPTIONS | {"max_steps": 1}
    found = synthesize_fields(target, pyramid, [5], **options)
    white = synthesize_fields(
        target, pyramid, [5], start=partial(white_fields, originals), **options
    )
    np.testing.assert_allclose(found.losses[:, 0], white.losses[:, 0], rtol=1e-4)


def test_resumed_is_the_uninterrupted_one_bit_for_bit(target, pyramid, start, tmp_path):
    """Two lanes for three seeds."""
    options = OPTIONS | {"batch_size": 2}
    whole = synthesize_fields(target, pyramid, 3, start=start, **options)
    seen = []

    def stop(progress):
        seen.append(progress)
        if len(seen) == 2:
            raise RuntimeError("killed")

    kept = {"every_steps": 1, "every_minutes": None}
    with pytest.raises(RuntimeError, match="killed"):
        synthesize_fields(
            target,
            pyramid,
            3,
            start=start,
            **options,
            checkpoints=Checkpoints(tmp_path, **kept),
            callback=stop,
        )
    again = Checkpoints(tmp_path, **kept)
    assert again.steps()
    heard = []
    found = synthesize_fields(
        target, pyramid, 3, start=start, **options, checkpoints=again, callback=heard.append
    )
    assert_same(found, whole)
    assert heard[0].step > 0


def test_checkpoints_of_others_are_refused(originals, target, pyramid, start, tmp_path):
    options = OPTIONS | {"max_steps": 2}
    kept = Checkpoints(tmp_path, every_steps=1, every_minutes=None)
    synthesize_fields(target, pyramid, 2, start=start, checkpoints=kept, **options)
    given = {name: np.stack([map, map]) for name, map in start(0).items()}
    with pytest.raises(ValueError, match="starts of seeds"):
        synthesize_fields(target, pyramid, 2, start=given, checkpoints=kept, **options)
    fewer = {name: originals[name] for name in "TB"}
    other = make_field_target(fewer, pyramid, pairs=["BB"])
    with pytest.raises(ValueError, match="fields"):
        synthesize_fields(other, pyramid, 2, start=start, checkpoints=kept, **options)


class Scaled(Parametrization):
    factors: jax.Array

    @property
    def size(self):
        return self.factors.size

    def maps(self, parameters):
        return self.factors * parameters

    def parameters(self, maps):
        return maps / np.asarray(self.factors)


def test_forms(made, target, pyramid, start, originals):
    forms = {
        "T": harmonic_form(originals["T"], dtype="float64"),
        "E": Scaled(jnp.linspace(0.5, 2.0, 768)),
        "B": Pixels(768, np.float64(1)),
    }
    found = synthesize_fields(target, pyramid, 2, start=start, form=forms, **OPTIONS)
    # Of T, the form holds the spectrum, as well as harmonics are sampled.
    spectrum = angular_power_spectrum(originals["T"])[2:9]
    for map in found.maps["T"]:
        np.testing.assert_allclose(angular_power_spectrum(map)[2:9], spectrum, rtol=0.03)
    assert (found.loss < 0.5 * found.losses[:, 0]).all()
    assert np.abs(found.maps["E"] - made.maps["E"][:2]).max() > 1e-3


def test_reduced_targets_and_masks(originals, pyramid, start):
    """What hidden pixels hold stays as it is."""
    mask = (np.arange(768) >= 100).astype(float)
    target = make_field_target(originals, pyramid, pairs=["TB"], mask=mask, parity="even")
    reduced = target.reduced(IsotropicMean())
    found = synthesize_fields(reduced, pyramid, [3], start=start, **OPTIONS)
    assert found.loss[0] < 0.5 * found.losses[0, 0]
    begun = start(3)
    np.testing.assert_array_equal(found.maps["T"][0, :100], begun["T"][:100])
    assert found.maps.keys() == {"T", "B"}  # E is in no pair


def test_callback_hears_of_all_seeds(made, target, pyramid, start):
    seen = []
    found = synthesize_fields(target, pyramid, 3, start=start, callback=seen.append, **OPTIONS)
    assert_same(found, made)
    assert seen[-1].finished == seen[-1].maps == 3


STARTS = np.ones((2, 768))
BAD = {
    "target": ({"target": None}, "^target: got None, expected a FieldTarget"),
    "seeds": ({"seeds": []}, "^seeds: got none"),
    "twice": ({"seeds": [1, 1]}, "^seeds: got"),
    "an array": (
        {"start": STARTS},
        r"^start: got an array .*, expected maps of the fields T, E, B",
    ),
    "a field": (
        {"start": {"T": STARTS, "E": STARTS}},
        "^start: got T, E, expected maps of the fie",
    ),
    "number": ({"start": dict.fromkeys("TEB", STARTS[:1])}, r"^start\['T'\]: got shape \(1, 768\)"),
    "one map": ({"start": dict.fromkeys("TEB", STARTS[0])}, r"^start\['T'\]: got shape \(768,\)"),
    "nside": (
        {"start": dict.fromkeys("TEB", STARTS[:, :192])},
        r"^start of seed 0\['T'\]: got 192 pixels",
    ),
    "NaN": (
        {"start": dict.fromkeys("TEB", np.nan * STARTS)},
        r"^start of seed 0\['T'\]: got 768 of 768 pixels NaN",
    ),
    "drawn": ({"start": lambda seed: STARTS[0]}, "^start of seed 0: got an array"),
    "drawn field": ({"start": lambda seed: {"T": STARTS[0]}}, "^start of seed 0: got T, expected"),
    "of two": ({"start": gaussian_fields}, "^start: got gaussian_fields, which cannot be called"),
    "forms": ({"form": {"T": Pixels(768)}}, "^form: got T, expected a parametrization for each"),
    "no forms": ({"form": Pixels(768)}, r"^form: got maps of shapes \(768,\), expected"),
    "other forms": ({"form": dict.fromkeys("TEB", Pixels(192))}, "^form"),
    "checkpoints": ({"checkpoints": "folder"}, "^checkpoints: got 'folder', expected Checkpoints"),
    "evaluations": ({"max_evaluations": 0}, "^max_evaluations: got 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_before_anything_is_compiled(monkeypatch, target, pyramid, case):
    monkeypatch.setattr("jaxscat.minimization.lanes.advance", None)
    changes, message = BAD[case]
    arguments = {"target": target, "pyramid": pyramid, "seeds": 2, **changes}
    with pytest.raises(ValueError, match=message):
        synthesize_fields(**arguments)


def test_unknown_options_are_refused(target, pyramid):
    with pytest.raises(TypeError, match="max_step"):
        synthesize_fields(target, pyramid, 1, max_step=3)  # pyright: ignore
