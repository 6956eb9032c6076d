"""What holds for any map, mask, kernel, number of orientations and number of scales."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxscat.operators.apply import convolve_map, downsample_map, upsample_map
from jaxscat.operators.pyramid import Pyramid, build_pyramid
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.scattering import measure

# Every shape is compiled once; the examples of one shape differ in values only.
# nside, kernel size, orientations, scales, share of the sky that is a patch
SHAPES = [
    (1, 3, 1, None, None),
    (4, 3, 3, 2, None),
    (2, 5, 2, 2, None),
    (2, 7, 3, 1, None),
    (2, 3, 6, 1, None),
    (4, 3, 4, 2, 0.5),
]


@cache
def pyramid(shape: tuple) -> Pyramid:
    nside, kernel_size, orientations, scales, share = shape
    npix = 12 * nside**2
    cells = None
    if share is not None:
        cells = np.random.default_rng(npix).permutation(npix)[: int(share * npix)]
    return build_pyramid(
        nside,
        kernel_size=kernel_size,
        orientations=orientations,
        scales=scales,
        cell_ids=cells,
        dtype="float64",
    )


pyramids = st.sampled_from(SHAPES).map(pyramid)
few = settings(max_examples=20, deadline=None, derandomize=True)


@st.composite
def fields(draw, npix: int):
    """A map of some kind: noise, few pixels, steps, powers of noise, all of any unit and mean."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    noise = generator.standard_normal(npix)
    kinds = {
        "noise": noise,
        "heavy tail": np.sinh(3 * noise),
        "sparse": noise * (generator.random(npix) < 0.1),
        "steps": np.round(noise),
        "one pixel": np.eye(npix)[generator.integers(npix)],
        "zero": np.zeros(npix),
    }
    field = kinds[draw(st.sampled_from(sorted(kinds)))]
    unit = 10.0 ** draw(st.integers(-6, 6))
    return unit * (field + draw(st.sampled_from([0.0, 1.0, -30.0])))


@st.composite
def masks(draw, npix: int):
    """Zeros and ones, or fractions, never without weight."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = generator.random(npix)
    mask[generator.random(npix) < draw(st.sampled_from([0.0, 0.5, 0.95]))] = 0
    mask[generator.integers(npix)] = 1
    return np.ceil(mask) if draw(st.booleans()) else mask


@st.composite
def problems(draw, maps: int = 2):
    """A pyramid, maps of its pixels, and a mask."""
    operators = draw(pyramids)
    npix = operators.spec.npix
    return operators, *(draw(fields(npix)) for _ in range(maps)), draw(masks(npix))


@jax.jit
def auto(map, operators, mask):
    def total(map):
        statistics = measure(map, operators, mask=mask)
        return jnp.sum(jnp.abs(statistics.ravel()) ** 2), statistics

    gradient, statistics = jax.grad(total, has_aux=True)(map)
    return statistics, standard_error(map, operators, mask=mask), gradient


auto_of_many = jax.jit(jax.vmap(auto, in_axes=(0, None, None)))


@jax.jit
def cross(map, second, operators, mask):
    def total(map, second):
        statistics = measure(map, operators, second=second, mask=mask)
        return jnp.sum(jnp.abs(statistics.ravel()) ** 2), statistics

    return jax.grad(total, (0, 1), has_aux=True)(map, second)


def expected_shapes(spec) -> dict[str, tuple[int, ...]]:
    scales, orientations = spec.scales, spec.orientations
    pairs = scales * (scales + 1) // 2
    return {
        "S0": (2,),
        "S1": (scales, orientations),
        "S2": (scales, orientations),
        "S3": (pairs, orientations, orientations),
        "S3P": (pairs, orientations, orientations),
        "S4": (pairs * (scales + 2) // 3, orientations, orientations, orientations),
    }


@few
@given(problems(1))
def test_coefficients_of_one_map_are_finite_and_in_shape(problem):
    operators, map, mask = problem
    statistics, errors, gradient = auto(map, operators, mask)
    shapes = expected_shapes(operators.spec)
    for name, group in statistics.groups().items():
        assert group.shape == errors.groups()[name].shape == shapes[name]
        assert np.isfinite(group).all(), name
        assert np.isfinite(errors.groups()[name]).all(), name
        assert (np.asarray(errors.groups()[name]) >= 0).all(), name
    assert gradient.shape == map.shape and np.isfinite(gradient).all()
    assert (np.asarray(statistics.s1) >= 0).all() and (np.asarray(statistics.s2) >= 0).all()
    # Cauchy and Schwarz: the mean of a modulus is below the root of its mean square.
    slack = 1 + 1e-9
    unit = np.abs(map).max() * 1e-7
    assert (np.asarray(statistics.s1) <= slack * np.sqrt(statistics.s2) + unit).all()


@few
@given(problems(2))
def test_coefficients_of_two_maps_are_finite_and_in_shape(problem):
    operators, map, second, mask = problem
    gradients, statistics = cross(map, second, operators, mask)
    shapes = expected_shapes(operators.spec)
    assert list(statistics.groups()) == list(shapes)
    for name, group in statistics.groups().items():
        assert group.shape == shapes[name] and np.isfinite(group).all(), name
    assert all(np.isfinite(gradient).all() for gradient in gradients)


OPERATORS = {"convolve": convolve_map, "downsample": downsample_map, "upsample": upsample_map}


@st.composite
def steps(draw):
    """An operator at some scale, and the lengths of its maps."""
    operators = draw(pyramids)
    name = draw(st.sampled_from(sorted(OPERATORS)))
    last = operators.spec.scales - (name != "convolve")
    if last == 0:
        name, last = "convolve", operators.spec.scales
    scale = draw(st.integers(0, last - 1))
    pixels = operators.pixels(scale + (name == "upsample"))
    return lambda maps: OPERATORS[name](maps, operators, scale), pixels.size


@few
@given(steps(), st.integers(0, 2**32 - 1))
def test_operators_are_linear(step, seed):
    apply, npix = step
    generator = np.random.default_rng(seed)
    x, y = generator.standard_normal((2, npix))
    a, b = generator.uniform(-3, 3, 2)
    found, separate = np.asarray(apply(a * x + b * y)), a * apply(x) + b * apply(y)
    assert np.linalg.norm(found - separate) <= 1e-14 * np.linalg.norm(found) + 1e-13


@few
@given(steps(), st.integers(0, 2**32 - 1))
def test_transposed_derivatives_are_adjoint(step, seed):
    """`<W x, y> = <x, W* y>` with the transpose that gradients apply."""
    apply, npix = step
    generator = np.random.default_rng(seed)
    x = jnp.asarray(generator.standard_normal(npix))
    value, transpose = jax.vjp(apply, x)
    y = generator.standard_normal(value.shape)
    if jnp.iscomplexobj(value):
        y = y + 1j * generator.standard_normal(value.shape)
    y = jnp.asarray(y)
    (back,) = transpose(y)
    # JAX's transpose is without conjugate: the pairing is that of sums of products.
    left, right = float(jnp.sum(value * y).real), float(jnp.sum(x * back))
    size = float(jnp.linalg.norm(value) * jnp.linalg.norm(y))
    assert abs(left - right) <= 1e-12 * size


@settings(few, max_examples=12)
@given(st.data())
def test_many_maps_at_once_are_a_loop(data):
    operators = data.draw(pyramids)
    npix = operators.spec.npix
    maps = np.stack([data.draw(fields(npix)) for _ in range(3)])
    mask = data.draw(masks(npix))
    together, _, gradients = auto_of_many(maps, operators, mask)
    for position, map in enumerate(maps):
        alone, _, gradient = auto(map, operators, mask)
        unit = np.std(map)
        # Where a map is constant, coefficients are zero or a rounding error, whose modulus is the
        # floor of the modulus; which of them depends on the order of sums.
        floor = 2e-8 if np.unique(map).size < npix else 0.0
        for (name, group), power in zip(alone.groups().items(), (1, 1, 2, 2, 2), strict=True):
            difference = np.abs(together.groups()[name][position] - group).max()
            difference -= floor * unit**power
            bound = 1e-12 * (np.abs(group).max() + np.abs(map).max() ** power * 1e-3)
            assert difference <= bound + 1e-12 * unit**power, name
        difference = np.linalg.norm(gradients[position] - gradient)
        assert difference <= 1e-9 * np.linalg.norm(gradient) + 1e-12 * unit**3


@few
@given(pyramids, st.sampled_from([1.0, -0.1, 3e5, 1e-7, 1 / 3]), st.data())
def test_constant_maps_have_no_structure(operators, value, data):
    mask = data.draw(masks(operators.spec.npix))
    maps = np.full((3, operators.spec.npix), value)
    together = auto_of_many(maps, operators, mask)[0]
    for statistics in (together, auto(maps[0], operators, mask)[0]):
        for name, group in statistics.groups().items():
            if name == "S0":
                np.testing.assert_allclose(group[..., 0], value, rtol=1e-14)
            else:
                assert not np.any(group), name
