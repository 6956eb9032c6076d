"""Several fields of one sky: every pair is what `measure` gives for its maps alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.fields.pairs import check_pairs, order_fields, pair_name
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.fields import fields_standard_error, measure_fields
from jaxscat.statistics.scattering import measure

ALL = ("TT", "EE", "BB", "TE", "TB", "EB")


def make_fields(nside: int, names: str = "TEB") -> dict[str, np.ndarray]:
    """Skewed maps that are correlated, of different units."""
    generator = np.random.default_rng(nside)
    drawn = generator.gamma(2.0, size=(len(names), 12 * nside**2))
    mixed = drawn + 0.5 * drawn[0] - [[2.0]]
    return {name: 10.0**n * map for n, (name, map) in enumerate(zip(names, mixed, strict=True))}


def make_mask(nside: int, kind: str) -> np.ndarray | None:
    fractions = np.random.default_rng(100 + nside).random((2, 12 * nside**2))
    fractions[:, ::5] = 0
    return {"none": None, "one": fractions[1], "two": fractions}[kind]


@pytest.fixture(scope="module")
def fields():
    return make_fields(4)


@pytest.fixture(scope="module")
def measured(fields, pyramid):
    return measure_fields(fields, pyramid)


def assert_close(found, expected, bound=1e-12):
    assert (found.kind, found.both_triangles) == (expected.kind, expected.both_triangles)
    assert list(found.groups()) == list(expected.groups())
    for name, group in expected.groups().items():
        value, other = np.asarray(found.groups()[name]), np.asarray(group)
        assert value.shape == other.shape and value.dtype == other.dtype
        assert np.linalg.norm(value - other) <= bound * np.linalg.norm(other), name


def alone(function, maps, pyramid, pair, both_triangles=False, **options):
    """The coefficients of a pair by themselves."""
    first, second = pair
    if first == second:
        return function(maps[first], pyramid, **options)
    second = maps[second]
    return function(maps[first], pyramid, second=second, both_triangles=both_triangles, **options)


CASES = {
    "plain": (4, {}, "none", {}),
    "mask": (4, {}, "one", {}),
    "masks": (4, {}, "two", {"both_triangles": True, "mask_threshold": 0.1}),
    "included": (4, {}, "two", {"hidden": "include"}),
    "interior": (16, {"scales": 2}, "one", {"hidden": "interior"}),
    "three orientations": (4, {"orientations": 3}, "one", {"both_triangles": True}),
    "large kernel": (4, {"kernel_size": 5, "orientations": 2}, "none", {}),
    "faces": (4, {"layout": "faces"}, "one", {}),
    "patch": (8, {"cell_ids": tuple(range(140, 300)), "scales": 2}, "none", {}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:mask. S")
def test_every_pair_is_what_measure_gives(pyramids, case):
    nside, shape, kind, options = CASES[case]
    maps, mask = make_fields(nside), make_mask(nside, kind)
    if case == "interior":
        mask = np.ones(12 * nside**2)
        mask[:70] = 0
    if "cell_ids" in shape:
        maps = {name: map[list(shape["cell_ids"])] for name, map in maps.items()}
    operators = pyramids(nside, **shape)
    pairs = ("BB", "ET", "TB")  # out of order, and one that is turned round
    found = measure_fields(maps, operators, pairs=pairs, mask=mask, **options)
    assert found.keys() == pairs
    for name, statistics in found.items():
        expected = alone(measure, maps, operators, name, mask=mask, **options)
        # Sums over many fields are in another order.
        assert_close(statistics, expected, 1e-12)


def test_all_pairs_are_measured_by_default(fields, pyramid, measured):
    assert measured.keys() == ALL == tuple(measured) and len(measured) == 6
    for name in ALL:
        assert_close(measured[name], alone(measure, fields, pyramid, name))
    with pytest.raises(KeyError):
        measured["ET"]


@pytest.mark.parametrize("formula", ["pixels", "foscat"])
def test_errors_are_the_standard_errors_of_every_pair(fields, pyramid, formula):
    options = {"mask": make_mask(4, "one"), "both_triangles": True, "formula": formula}
    found = fields_standard_error(fields, pyramid, pairs=["EE", "BT"], **options)
    for name, errors in found.items():
        expected = alone(standard_error, fields, pyramid, name, **options)
        assert_close(errors, expected, 1e-12)


def test_order_of_the_dictionary_changes_nothing(fields, pyramid, measured):
    turned = measure_fields(dict(reversed(fields.items())), pyramid)
    assert turned.pairs == measured.pairs
    # JAX sorts the keys of dictionaries.
    compiled = jax.jit(measure_fields)(fields, pyramid)
    for found in (turned, compiled):
        assert jax.tree.structure(found) == jax.tree.structure(measured)
    for one, other in zip(turned.statistics, measured.statistics, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)
    for one, other in zip(compiled.statistics, measured.statistics, strict=True):
        assert_close(one, other)


def test_many_skies_at_once(fields, pyramid, measured):
    skies = {name: np.stack([map, 2 * map]) for name, map in fields.items()}
    found = jax.vmap(lambda maps: measure_fields(maps, pyramid, pairs=["TE"]))(skies)
    assert_close(jax.tree.map(lambda group: group[0], found)["TE"], measured["TE"])


def test_names_of_fields_may_be_words(pyramid, fields):
    maps = {"dust": fields["T"], "cmb": fields["E"], "T": fields["B"]}
    found = measure_fields(maps, pyramid, pairs=[("dust", "cmb"), "T x dust", "TT"])
    assert found.keys() == ("dust x cmb", "T x dust", "TT")
    assert found.pairs == (("dust", "cmb"), ("T", "dust"), ("T", "T"))
    expected = measure(fields["T"], pyramid, second=fields["E"])
    assert_close(found["dust x cmb"], expected)


def test_float32_maps_on_a_large_mean(fields):
    """The mean is taken off before rounding, as `measure` does; it counts in S0."""
    from jaxscat.operators.pyramid import build_pyramid

    single = build_pyramid(4, dtype="float32", orientations=2, scales=2)
    maps = {"T": fields["T"] + 1e6, "E": fields["E"] - 3e5, "B": fields["B"]}
    found = measure_fields(maps, single)
    errors = fields_standard_error(maps, single, pairs=["TT", "EB"])
    for name in ("BB", "TT", "EB"):
        assert_close(found[name], alone(measure, maps, single, name), 2e-6)
    for name, its_errors in errors.items():
        expected = alone(standard_error, maps, single, name)
        jax.tree.map(np.testing.assert_array_equal, its_errors, expected)
    assert found["TT"].s0[0] == pytest.approx(maps["T"].mean(), rel=1e-7)


# Traces, convolutions and derivatives.


def test_measured_once_per_structure(fields, pyramid):
    traces = []

    def traced(maps, pyramid, mask):
        traces.append(1)
        return measure_fields(maps, pyramid, mask=mask, pairs=["TT", "TE"])

    function = jax.jit(traced)
    for seed in (0, 1):
        maps = {name: np.random.default_rng(seed).normal(size=192) for name in fields}
        function(maps, pyramid, np.random.default_rng(seed).random(192))
    assert len(traces) == 1
    function(maps, pyramid, np.ones((2, 192)))
    assert len(traces) == 2


def test_every_field_is_convolved_once(fields, pyramid, monkeypatch):
    from jaxscat.statistics import scales

    counts = []

    def count(field, stencil):
        counts.append(field.shape[0])
        return plain(field, stencil)

    plain = scales.convolve
    monkeypatch.setattr(scales, "convolve", count)

    def channels(pairs):
        counts.clear()
        jax.clear_caches()
        jax.make_jaxpr(lambda maps: measure_fields(maps, pyramid, pairs=pairs))(fields)
        return sum(counts)

    autos = channels(["TT", "EE", "BB"])
    assert autos > 0
    assert channels(ALL) == autos
    assert channels(["TT"]) * 3 == autos
    # A field that is in no pair is not convolved at all.
    assert channels(["TT", "TE"]) * 3 == autos * 2


def test_derivatives_agree_with_differences(fields, pyramid):
    mask, generator = make_mask(4, "one"), np.random.default_rng(3)
    pairs = ["TT", "ET", "TB"]
    found = measure_fields(fields, pyramid, pairs=pairs, mask=mask)
    weights = jax.tree.map(
        lambda group: generator.normal(size=group.shape) / np.abs(group).max(), found
    )

    @jax.jit
    def value(maps):
        statistics = measure_fields(maps, pyramid, pairs=pairs, mask=mask)
        parts = jax.tree.map(lambda w, group: jnp.sum(w * jnp.real(group)), weights, statistics)
        return sum(jax.tree.leaves(parts))

    gradient = jax.jit(jax.grad(value))(fields)
    assert all((np.asarray(gradient[name])[mask == 0] == 0).all() for name in fields)
    for name, map in fields.items():
        direction = generator.normal(size=192) * map.std()
        above, below = (value(fields | {name: map + sign * 1e-6 * direction}) for sign in (1, -1))
        expected = float(above - below) / 2e-6
        size = np.linalg.norm(gradient[name]) * np.linalg.norm(direction)
        assert abs(gradient[name] @ direction - expected) <= 1e-7 * size


# Containers.


def test_a_pytree_that_does_not_mix_pairs(fields, pyramid, measured):
    twice = jax.tree.map(lambda group: 2 * group, measured)
    assert isinstance(twice, FieldCovariances) and twice.pairs == measured.pairs
    np.testing.assert_array_equal(twice["TE"].s3p, 2 * measured["TE"].s3p)
    other = measure_fields(fields, pyramid, pairs=["TT", "EE", "BB", "ET", "TB", "EB"])
    with pytest.raises(ValueError):
        jax.tree.map(lambda one, two: one - two, measured, other)


@pytest.mark.parametrize("masks", [False, True])
def test_tables_and_names(fields, pyramid, measured, masks):
    if masks:
        measured = measure_fields(fields, pyramid, mask=make_mask(4, "two"))
    table, names = measured.table(), measured.names()
    vector = np.asarray(measured.ravel())
    count = 2 if masks else 1
    assert vector.shape == ((2, len(names)) if masks else (len(names),))
    assert {column.shape for column in table.values()} == {(count * len(names),)}
    assert next(iter(table)) == "pair" and list(table)[-1] == "value"
    assert ("mask" in table) == masks
    for pair, one in measured.items():
        rows = table["pair"] == pair
        np.testing.assert_array_equal(table["value"][rows], np.asarray(one.ravel()).reshape(-1))
    at = (table["name"] == "S3P j2=0 j3=1 l2=2 l3=3") & (table["pair"] == "TB")
    assert at.sum() == count and set(table["parity"][at]) == {"odd"}
    index = names.index("TB S3P j2=0 j3=1 l2=2 l3=3")
    np.testing.assert_array_equal(table["value"][at], np.atleast_2d(vector)[:, index])
    odd = {
        (pair, group)
        for pair, group, parity in zip(table["pair"], table["group"], table["parity"], strict=True)
        if parity == "odd"
    }
    assert odd == {
        *(("BB", group) for group in ("S0", "S3")),
        *((pair, group) for pair in ("TB", "EB") for group in ("S0", "S1", "S2", "S3P")),
    }


def test_tables_of_reduced_coefficients(measured):
    for reduction in (IsotropicMean(), FourierHarmonics(1)):
        found = measured.reduced(reduction)
        assert found.pairs == measured.pairs
        expected = reduction.mean(measured["TE"])
        jax.tree.map(np.testing.assert_array_equal, found["TE"], expected)
        table = found.table()
        assert len(table["value"]) == len(found.names())
    with pytest.raises(ValueError, match="statistics: got ReducedCovariance, expected"):
        found.reduced(IsotropicMean())
    with pytest.raises(ValueError, match="^reduction: got 'mean', expected a Reduction"):
        measured.reduced("mean")


# Names and orders.


def test_order_of_fields():
    assert order_fields("BTE") == ("T", "E", "B")
    assert order_fields(["dust", "U", "cmb", "Q", "I"]) == ("I", "Q", "U", "cmb", "dust")
    assert check_pairs(None, ("Q", "U")) == (("Q", "Q"), ("U", "U"), ("Q", "U"))
    assert pair_name(("T", "cmb")) == "T x cmb"


# What is refused.

MAP = np.arange(192.0)
BAD_MAPS = {
    "no dictionary": (MAP, r"^maps: got an array of float64 of shape \(192,\), expected a dict"),
    "empty": ({}, r"^maps: got {}, expected a dict"),
    "a number": ({1: MAP}, "^maps: got the field 1, expected a name"),
    "a blank": ({"T E": MAP}, "^maps: got the field 'T E', expected a name"),
    "no name": ({"": MAP}, "^maps: got the field '', expected a name"),
    "nside": ({"T": MAP, "E": MAP[:48]}, r"^maps\['E'\]: got 48 pixels \(nside 2\), expected 192"),
    "NaN": ({"T": MAP, "E": MAP * np.nan}, r"^maps\['E'\]: got 192 of 192 pixels NaN"),
    "complex": ({"T": MAP * 1j}, r"^maps\['T'\]: got complex values"),
    "axes": ({"T": MAP[None]}, r"^maps\['T'\]: got an array of shape"),
    "masked": (
        {"T": np.ma.masked_less(MAP, 3)},
        r"^maps\['T'\]: got a masked array with 3 of 192 entries masked",
    ),
}


@pytest.mark.parametrize("function", [measure_fields, fields_standard_error])
@pytest.mark.parametrize("case", BAD_MAPS)
def test_bad_maps_are_refused(pyramid, function, case):
    maps, message = BAD_MAPS[case]
    with pytest.raises(ValueError, match=message):
        function(maps, pyramid)


BAD = {
    "text": ({"pairs": "TE"}, "^pairs: got 'TE', expected names such as TT, EE, TE in a list"),
    "none": ({"pairs": []}, r"^pairs: got \[\], expected names"),
    "a number": ({"pairs": 3}, "^pairs: got 3, expected names"),
    "unknown": ({"pairs": ["TB"]}, "^pairs: got 'TB', expected names .* of the fields T, E$"),
    "unknown tuple": ({"pairs": [("T", "B")]}, r"^pairs: got \('T', 'B'\), expected"),
    "three": ({"pairs": [("T", "E", "E")]}, r"^pairs: got \('T', 'E', 'E'\), expected"),
    "lists": ({"pairs": [[["T"], ["E"]]]}, r"^pairs: got \[\['T'\], \['E'\]\], expected"),
    "twice": ({"pairs": ["TE", "TE"]}, "^pairs: got TE twice"),
    "both orders": ({"pairs": ["TE", ("E", "T")]}, "^pairs: got ET twice"),
    "triangles": ({"both_triangles": 1}, "^both_triangles: got 1, expected True or False"),
    "triangles text": ({"both_triangles": "no"}, "^both_triangles: got 'no', expected True"),
    "mask": ({"mask": np.ones(48)}, "^mask: got 48 pixels"),
    "threshold": ({"mask_threshold": 0.1}, "^mask_threshold: got a threshold without a mask"),
    "hidden": ({"hidden": "some"}, "^hidden: got 'some'"),
    "pyramid": ({"pyramid": None}, "^pyramid: got None"),
}


@pytest.mark.parametrize("function", [measure_fields, fields_standard_error])
@pytest.mark.parametrize("case", BAD)
def test_bad_settings_are_refused(pyramid, function, case):
    changes, message = BAD[case]
    arguments = {"maps": {"T": MAP, "E": MAP}, "pyramid": pyramid, **changes}
    with pytest.raises(ValueError, match=message):
        function(**arguments)


def test_an_unknown_formula_is_refused(pyramid):
    with pytest.raises(ValueError, match="^formula: got 'own', expected one of"):
        fields_standard_error({"T": MAP}, pyramid, formula="own")
