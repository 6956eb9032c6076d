"""Every public function names the argument that is of a wrong kind, in one sentence."""

import inspect

import jax
import numpy as np
import pytest

import jaxscat
from jaxscat import inference
from jaxscat.plotting import mollweide_image, plot_coefficients

MAP, OTHER = np.random.default_rng(0).gamma(2.0, size=(2, 48))
MASK = np.ones(48)
PYRAMID = jaxscat.build_pyramid(2, orientations=2, dtype="float64")
STATISTICS = jaxscat.measure(MAP, PYRAMID)
ERRORS = jaxscat.standard_error(MAP, PYRAMID)
TARGET = jaxscat.make_target(MAP, PYRAMID, coarsest_nside=1)
STORED = jaxscat.StoredStatistics(STATISTICS, ERRORS, PYRAMID.spec, None)
TERM = jaxscat.Scattering.of(TARGET, PYRAMID)
FORM = jaxscat.Pixels(48)
MASKED = jaxscat.make_target(MAP, PYRAMID, mask=MASK, coarsest_nside=1)
NOISE = jaxscat.GaussianNoise.white(1.0, 2, dtype="float64")
SKY = jaxscat.Sky({"Q": MAP, "U": OTHER}, MASK, {"Q": None, "U": None}, "noise")
FIELDS = {"T": MAP, "E": OTHER}
FIELD_TARGET = jaxscat.make_field_target(FIELDS, PYRAMID, pairs=["TE"], coarsest_nside=1)
FIELD_STATISTICS = jaxscat.measure_fields(FIELDS, PYRAMID, pairs=["TE"])
GAPS, RENEWALS = np.arange(48) < 5, jaxscat.Renewals(number=1)
RELATION = jaxscat.gaussianize(MAP)[1]
SUMMARY = inference.Summary(groups=("S1", "S2"))
VECTORS = np.random.default_rng(1).normal(size=(9, 4))
SIMULATIONS = inference.Simulations(VECTORS, tuple("abcd"), None, None, PYRAMID.spec)

MAPS = {"map", "maps", "original", "second", "synthesized", "known", "normal"}
MASKS = {"mask", "footprint", "weights"}


def calls():
    """Functions, and arguments with which they can be called."""
    how = {"second": OTHER, "mask": MASK, "mask_threshold": 0.1, "both_triangles": False}
    noise = {"original": MAP, "seed": 1, "footprint": MASK}
    many = {"callback": None, "checkpoints": None, "reduction": None, "form": FORM, "max_steps": 1}
    one = {"target": TARGET, "pyramid": PYRAMID}
    of_map = {"map": MAP, "pyramid": PYRAMID}
    of_fields = {"maps": FIELDS, "pyramid": PYRAMID, "pairs": ["TE"], "mask": MASK}
    of_fields |= {"mask_threshold": 0.1, "hidden": "include"}
    field_starts = {"originals": FIELDS, "seed": 1, "footprint": MASK}
    j = jaxscat
    return [
        (j.gaussianize, {"map": MAP}),
        (j.gaussianize, {"map": MAP, "weights": MASK}),
        (RELATION.forward, {"map": MAP}),
        (RELATION.inverse, {"normal": MAP}),
        (j.eb_from_qu, {"q": MAP, "u": OTHER, "lmax": 4, "iterations": 1}),
        (j.qu_from_eb, {"e": MAP, "b": OTHER, "lmax": 4, "iterations": 1}),
        (
            j.PolarizationTransform.of,
            {"nside": 2, "lmax": 4, "dtype": "float64", "iterations": 1},
        ),
        (j.gaussian_noise, noise),
        (j.reference_noise, noise),
        (j.white_noise, noise),
        (j.load_map, {"source": "map.npy", "nside": 2, "order": "RING"}),
        (j.load_map_and_mask, {"source": "map.npy", "nside": 2, "order": "RING"}),
        (j.from_healpy, {"map": MAP, "nest": True, "nside": 2, "unseen": "mean"}),
        (j.to_healpy, {"map": MAP, "nest": True}),
        (j.load_mask, {"source": "map.npy", "nside": 2, "order": "RING"}),
        (j.save_maps, {"path": "new.fits", "maps": {"a": MAP}, "units": "K", "header": {}}),
        (
            j.save_maps,
            {"path": "new.fits", "maps": {"Q": MAP, "U": OTHER}, "polarization": "COSMO"},
        ),
        (SKY.teb, {"lmax": 4}),
        (j.measure, of_map | how),
        (j.standard_error, of_map | how | {"formula": "pixels"}),
        (j.measure_fields, of_fields | {"both_triangles": False}),
        (j.fields_standard_error, of_fields | {"both_triangles": False, "formula": "pixels"}),
        (
            j.make_field_target,
            of_fields
            | {"parity": "even", "sigma": "pixels", "sigma_floor": 0.01, "coarsest_nside": 1}
            | {"normalization": "target"},
        ),
        (FIELD_STATISTICS.reduced, {"reduction": j.IsotropicMean()}),
        (FIELD_TARGET.reduced, {"reduction": j.IsotropicMean()}),
        (j.FieldScattering, {"pyramid": PYRAMID, "target": FIELD_TARGET}),
        (j.fields_loss, {"maps": FIELDS, "pyramid": PYRAMID, "target": FIELD_TARGET}),
        (j.gaussian_fields, field_starts),
        (j.white_fields, field_starts),
        (
            j.synthesize_fields,
            {"target": FIELD_TARGET, "pyramid": PYRAMID, "seeds": [1], "start": None}
            | {"form": {"T": FORM, "E": FORM}, "batch_size": 1, "callback": None}
            | {"checkpoints": None, "max_steps": 1},
        ),
        (j.wavelet_power, of_map | {"mask": MASK, "mask_threshold": 0.1}),
        (j.coefficient_maps, of_map | {"second": OTHER, "out_nside": 1}),
        (j.align_orientations, of_map | {"mask": MASK}),
        (j.normalize, {"statistics": STATISTICS, "power": STATISTICS.s2}),
        (j.isotropic_spread, {"statistics": STATISTICS, "compatibility": None}),
        (j.IsotropicMean().mean, {"statistics": STATISTICS}),
        (j.IsotropicMean().sigma, {"errors": ERRORS}),
        (j.IsotropicMean, {"compatibility": None}),
        (j.FourierHarmonics, {"harmonics": 1, "imaginary": True}),
        (j.compare_statistics, {"one": STORED, "other": STORED}),
        (j.save_statistics, {"path": "a.npz", "statistics": STATISTICS, "spec": PYRAMID.spec}),
        (j.load_statistics, {"path": "a.npz", "spec": PYRAMID.spec}),
        (
            j.target_from_statistics,
            {"statistics": STATISTICS, "errors": ERRORS, "pyramid": PYRAMID, "mask": MASK}
            | {"mask_threshold": 0.1, "alignment": None, "sigma_floor": 0.1, "coarsest_nside": 1}
            | {"weights": "plain", "normalization": "target"},
        ),
        (STATISTICS.table, {"errors": ERRORS}),
        (j.save_target, {"path": "a.npz", "target": TARGET, "spec": PYRAMID.spec}),
        (j.load_target, {"path": "a.npz", "spec": PYRAMID.spec}),
        (j.save_pyramid, {"path": "a.npz", "pyramid": PYRAMID}),
        (j.load_pyramid, {"path": "a.npz"}),
        (
            j.build_pyramid,
            {"nside": 2, "orientations": 2, "kernel_size": 3, "scales": 1, "dtype": "float64"}
            | {"geometry": "exact", "cell_ids": [1, 2], "progress": None},
        ),
        (
            j.cached_pyramid,
            {"folder": "kept", "nside": 2, "orientations": 2, "kernel_size": 3, "scales": 1}
            | {"dtype": "float64", "geometry": "exact", "cell_ids": [1, 2], "progress": None},
        ),
        (j.shard_pyramid, {"pyramid": PYRAMID, "devices": jax.local_devices()}),
        (PYRAMID.pixels, {"scale": 0}),
        (j.convolve_map, {"maps": MAP, "pyramid": PYRAMID, "scale": 0}),
        (j.downsample_map, {"maps": MAP, "pyramid": PYRAMID, "scale": 0}),
        (j.upsample_map, {"maps": MAP[:12], "pyramid": PYRAMID, "scale": 0}),
        (
            j.make_target,
            of_map
            | how
            | {"sigma": "pixels", "sigma_floor": 0.01, "coarsest_nside": 1}
            # Not "weights", which are names here.
            | {"normalization": "own", "reduction": None, "alignment": None},
        ),
        (j.chi_square, {"statistics": STATISTICS, "target": TARGET}),
        (j.map_loss, of_map | {"target": TARGET}),
        (j.mean_loss, {"maps": np.stack([MAP, MAP]), "pyramid": PYRAMID, "target": TARGET}),
        (j.Scattering, one),
        (j.MeanScattering, one),
        (j.Scattering.of, one),
        (j.Objective, {"terms": {"s": TERM}}),
        (j.Target, {"mean": STATISTICS, "sigma": ERRORS, "reduction": None, "alignment": None}),
        (TARGET.reduced, {"reduction": j.IsotropicMean()}),
        (j.grouped_vmap, {"function": j.measure}),
        (j.harmonic_form, {"original": MAP, "footprint": MASK, "hold_spectrum": True}),
        (j.Pixels, {"npix": 48, "unit": 1.0}),
        (j.FreePixels, {"known": MAP, "free": [1, 2], "unit": 1.0}),
        (j.Components, {"parts": {"a": FORM}}),
        (j.Stacked, {"part": FORM, "count": 2}),
        (j.LBFGS, {"gradient_tolerance": 1e-6, "stagnation": 0.1, "memory": 3}),
        (j.Batching, {"batch_size": 1, "chunk_steps": 3, "devices": jax.local_devices()}),
        (j.Checkpoints, {"folder": "a", "every_steps": 3, "every_minutes": 5.0, "identity": {}}),
        (
            j.minimize,
            {"objective": TERM, "start": MAP, "parametrization": FORM, "seeds": None}
            | {"minimizer": None, "max_steps": 1, "max_evaluations": 3, "batching": None}
            | {"checkpoints": None, "callback": None},
        ),
        (j.synthesize, one | {"start": MAP, "form": FORM, "callback": None, "reduction": None}),
        (
            j.synthesize_many,
            one | many | {"seeds": [1], "start": MAP[None], "coupled": False, "batch_size": 1},
        ),
        (
            j.synthesize_levels,
            {"targets": [TARGET], "pyramids": [PYRAMID], "seeds": [1], "start": MAP[None]} | many,
        ),
        (
            j.denoise,
            {"data": MAP, "pyramid": PYRAMID, "noise": NOISE, "seeds": [1], "mask": MASK}
            | {"target": MASKED, "terms": ["scattering"], "start": "data"}
            | {"renewals": RENEWALS, "batching": None, "checkpoints": None, "callback": None},
        ),
        (
            j.denoise_fields,
            {"data": {"E": MAP}, "pyramid": PYRAMID, "noise": {"E": NOISE}, "seeds": [1]}
            | {"templates": {"T": OTHER}, "pairs": ["EE", "TE"], "start": "data"}
            | {"renewals": RENEWALS, "batching": None, "checkpoints": None, "callback": None},
        ),
        (j.template_weights, {"field": MAP, "templates": OTHER[None]}),
        (
            j.template_wiener_filter,
            {"data": MAP, "signal": np.ones(6), "noise": NOISE, "templates": OTHER[None]},
        ),
        (j.PolarizationNoise.of, {"q": NOISE, "u": NOISE, "lmax": 4, "dtype": "float64"}),
        (
            j.inpaint,
            {"data": MAP, "pyramid": PYRAMID, "gaps": GAPS, "seeds": [1], "start": "diffusive"}
            | {"terms": ["scattering"], "reach": 60.0, "renewals": RENEWALS, "batching": None}
            | {"checkpoints": None, "callback": None},
        ),
        (
            j.separate,
            {"channels": np.stack([MAP, OTHER]), "pyramid": PYRAMID, "mixing": np.array([1.0, 2.0])}
            | {"contaminant": NOISE, "noise": NOISE, "seeds": [1], "terms": ["scattering"]}
            | {"start": "data", "renewals": RENEWALS, "batching": None, "checkpoints": None}
            | {"callback": None},
        ),
        (j.Renewals, {"number": 1, "steps": 1, "tolerance": 0.1, "memory": 3}),
        (j.TermOptions, {"weight": 1.0, "level": 1.0}),
        (
            j.validate,
            {"original": MAP, "synthesized": OTHER, "pyramid": PYRAMID, "start": MAP}
            | {"mask": MASK, "controls": 1, "seed": 0},
        ),
        (
            plot_coefficients,
            {"statistics": {"a": STATISTICS}, "errors": ERRORS, "title": "", "unit": "K"},
        ),
        (mollweide_image, {"map": MAP, "width": 20}),
        (
            inference.measure_many,
            {"maps": lambda seed: MAP, "pyramid": PYRAMID, "seeds": [1]}
            | {"parameters": None, "summary": SUMMARY, "path": None, "chunk_size": 2}
            | {"progress": None},
        ),
        (inference.load_simulations, {"path": "a.npz"}),
        (inference.save_simulations, {"path": "a.npz", "simulations": SIMULATIONS}),
        (
            inference.jacobian,
            {"simulator": lambda parameters, seed: MAP * parameters[0], "parameters": [1.0]}
            | {"pyramid": PYRAMID, "seeds": [1, 2], "method": "differences", "steps": 0.1}
            | {"summary": SUMMARY, "chunk_size": 2},
        ),
        (inference.covariance, {"vectors": VECTORS, "shrinkage": False}),
        (inference.fisher, {"jacobian": VECTORS, "covariance": np.eye(9)}),
        (inference.moped, {"jacobian": VECTORS, "covariance": np.eye(9)}),
        (inference.GaussianMaps.of, {"nside": 2, "lmax": 3, "dtype": "float64"}),
        (inference.Summary, {"groups": ("S1",), "reduction": None, "pair_scales": None}),
    ]


WRONG = {
    "None": None,
    "a number": 16.5,
    "text": "what",
    "a function of two": jaxscat.gaussian_noise,
    "an object": object(),
    "a pyramid": PYRAMID,
    "coefficients": STATISTICS,
}
# What arguments may be beside what `calls` gives, by their names.
ACCEPTED = {
    "None": {"source", "footprint", "parametrization", "start", "pyramid", "unit"}
    | {"every_steps", "every_minutes", "reach"},
    "a number": {"every_steps", "every_minutes", "unit", "mask_threshold", "reach"},
    "text": {"path", "folder", "source", "title", "unit", "units", "order", "geometry", "formula"},
    "a function of two": {"objective", "function", "devices", "progress", "summary"},
    "a pyramid": {"terms"},
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("map.npy", MAP)


def name_of(value):
    return getattr(value, "__qualname__", None)


@pytest.mark.parametrize(("function", "given"), calls(), ids=name_of)
def test_a_wrong_kind_is_named(here, function, given):
    parameters = inspect.signature(function).parameters
    for name, right in given.items():
        for what, wrong in WRONG.items():
            default = parameters[name].default if name in parameters else None
            alike = type(wrong) is type(right) or (wrong is None and default is None)
            if what == "a number" and name in ("map", "normal") and len(given) == 1:
                continue  # the relation of a Gaussianization takes any shape
            if alike or name in ACCEPTED.get(what, ()):
                continue
            with pytest.raises(ValueError) as caught:
                function(**given | {name: wrong})
            said = str(caught.value).split(":")[0]
            # Terms are named by their type, maps of forms by "map".
            assert said.startswith((name, name.rstrip("s"), "terms")), (name, what, caught.value)


class Exotic:
    """An array of another library that does not give its values away."""

    shape, ndim, size = (48,), 1, 48

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.\nUse detach().")


def arrays(which):
    found = []
    for function, given in calls():
        for name, value in given.items():
            of_maps = isinstance(value, np.ndarray) and name in which
            if of_maps or (name == "start" and isinstance(value, np.ndarray) and which == MAPS):
                found.append((function, given, name))
    return found


ALL = arrays(MAPS) + arrays(MASKS)


def masked(values, bad):
    hidden = np.zeros(values.shape, bool)
    hidden[..., :3] = bad
    return np.ma.masked_array(values, hidden)


@pytest.mark.parametrize(("function", "given", "name"), ALL, ids=name_of)
def test_masked_arrays_are_refused_where_an_entry_is_masked(here, function, given, name):
    with pytest.raises(ValueError, match=rf"^{name}.*masked array with .* entries masked"):
        function(**given | {name: masked(given[name], True)})


@pytest.mark.parametrize(("function", "given", "name"), ALL, ids=name_of)
def test_arrays_of_other_libraries_that_cannot_be_converted_are_refused(function, given, name):
    with pytest.raises(ValueError, match=rf"^{name}.*Exotic, which NumPy cannot convert.*grad"):
        function(**given | {name: Exotic()})


def test_masked_arrays_without_masked_entries_are_arrays():
    plain = jaxscat.measure(MAP, PYRAMID, mask=MASK, second=OTHER)
    found = jaxscat.measure(
        masked(MAP, False), PYRAMID, mask=masked(MASK, False), second=masked(OTHER, False)
    )
    np.testing.assert_array_equal(found.s4, plain.s4)
    np.testing.assert_array_equal(
        jaxscat.white_noise(masked(MAP, False), 1), jaxscat.white_noise(MAP, 1)
    )


def test_masked_arrays_in_lists_and_dictionaries_are_refused():
    hidden = masked(MAP, True)
    for call in (
        lambda: jaxscat.make_target([MAP, hidden], PYRAMID, coarsest_nside=1),
        lambda: jaxscat.measure(MAP, PYRAMID, mask=[MASK, masked(MASK, True)]),
        lambda: jaxscat.validate(MAP, [MAP, hidden], pyramid=PYRAMID),
        lambda: jaxscat.synthesize_many(TARGET, PYRAMID, 2, start=lambda seed: hidden),
        lambda: jaxscat.minimize(TERM, {"a": hidden}),
        lambda: FORM.parameters(hidden),
        lambda: jaxscat.FreePixels(MAP, [1]).parameters(hidden),
    ):
        with pytest.raises(ValueError, match="masked array with"):
            call()


def test_a_float64_pyramid_is_refused_in_32_bit_mode():
    """By every function that takes one; what would be computed is not what was asked for."""
    jax.config.update("jax_enable_x64", False)
    try:
        for function, given in calls():
            for name in ("pyramid", "pyramids"):
                if name not in given or function is jaxscat.save_pyramid:
                    continue
                with pytest.raises(ValueError, match=rf"^{name[:7]}: got one of float64 while"):
                    function(**given)
    finally:
        jax.config.update("jax_enable_x64", True)
