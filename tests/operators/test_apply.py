import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators.apply import convolve_map, downsample_map, upsample_map
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.pyramid import build_pyramid

FUNCTIONS = [convolve_map, downsample_map, upsample_map]


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(8, orientations=2, dtype="float64")


def pixels_read(function, scale=0):
    nside = 8 >> scale
    return 3 * nside**2 if function is upsample_map else 12 * nside**2


def random_maps(function, *batch, scale=0, seed=0):
    shape = (*batch, pixels_read(function, scale))
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("scale", range(3))
def test_shapes_at_every_scale(pyramid, scale):
    npix = 12 * (8 >> scale) ** 2
    maps = random_maps(convolve_map, scale=scale)
    assert convolve_map(maps, pyramid, scale).shape == (2, npix)
    assert downsample_map(maps, pyramid, scale).shape == (npix // 4,)
    assert upsample_map(maps[: npix // 4], pyramid, scale).shape == (npix,)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("batch", [(1,), (2, 3)])
def test_batches_are_loops(pyramid, function, batch):
    maps = random_maps(function, *batch)
    found = function(maps, pyramid)
    loop = np.stack([function(map, pyramid) for map in maps.reshape(-1, maps.shape[-1])])
    assert found.shape == (*batch, *loop.shape[1:])
    np.testing.assert_allclose(found.reshape(loop.shape), loop, rtol=0, atol=1e-14)
    np.testing.assert_allclose(
        jax.vmap(lambda some: function(some, pyramid))(maps), found, rtol=0, atol=1e-14
    )


PATCHES = {
    "ragged": np.random.default_rng(0).permutation(192)[:70],
    "all but one": np.random.default_rng(1).permutation(192)[1:],
    "scattered": np.array([190, 3, 60, 77, 100]),
    "one": np.array([42]),
    "full sky": None,
    "shuffled full sky": np.random.default_rng(2).permutation(192),
}


def pixels_of(nside, ids, own_nside):
    """Pixels in the order in which maps hold them: that of the ids at their own nside only."""
    if ids is None:
        return np.arange(12 * nside**2)
    if nside == own_nside:
        return ids
    if nside > own_nside:
        return np.sort((4 * ids[:, None] + np.arange(4)).ravel())
    return np.unique(ids // (own_nside // nside) ** 2)


# Kernels of 5 and 7 raise patches alike, to twice the nside: each is with half of the patches.
@pytest.mark.parametrize(
    ("patch", "kernel_size"),
    [
        *((patch, 3) for patch in PATCHES),
        *((patch, 5) for patch in ("ragged", "one", "shuffled full sky")),
        *((patch, 7) for patch in ("all but one", "scattered", "full sky")),
    ],
)
def test_maps_keep_the_order_of_their_pixels(reference, patch, kernel_size):
    ids = PATCHES[patch]
    operators = build_pyramid(
        4, orientations=2, kernel_size=kernel_size, scales=2, cell_ids=ids, dtype="float64"
    )
    finest = 4 if kernel_size == 3 else 8
    generator = np.random.default_rng(3)
    steps, maps, expected, bounds = [], [], [], []
    for scale in range(2):
        nside = finest >> scale
        pixels, coarse = pixels_of(nside, ids, 4), pixels_of(nside // 2, ids, 4)
        whole = pixels.size == 12 * nside**2
        cells = None if whole else tuple(sorted(pixels.tolist()))
        assert np.array_equal(operators.pixels(scale), pixels)
        sphere, out = (
            generator.standard_normal(12 * nside**2),
            np.zeros((2, 12 * nside**2), complex),
        )
        out[:, np.sort(pixels)] = (
            reference.wavelet_matrix(nside, 2, kernel_size, cells) @ sphere[np.sort(pixels)]
        )
        steps.append((convolve_map, scale))
        maps.append(sphere[pixels])
        expected.append(out[:, pixels])
        bounds.append(1e-12)
        if operators.levels[scale].downsampling is None:
            continue
        below = np.zeros(3 * nside**2)
        below[np.sort(coarse)] = (
            reference.downsampling_matrix(nside, cells) @ sphere[np.sort(pixels)]
        )
        above = np.zeros(12 * nside**2)
        above[np.sort(pixels)] = reference.upsampling_matrix(nside, cells) @ below[np.sort(coarse)]
        steps += [(downsample_map, scale), (upsample_map, scale)]
        maps += [sphere[pixels], below[coarse]]
        expected += [below[coarse], above[pixels]]
        bounds += [1e-14, 1e-14]

    @jax.jit
    def found(maps, operators):
        calls = zip(steps, maps, strict=True)
        return [function(map, operators, scale) for (function, scale), map in calls]

    for one, other, bound in zip(found(maps, operators), expected, bounds, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=bound)


def test_batches_on_a_patch_are_loops():
    ids = PATCHES["ragged"]
    operators = build_pyramid(4, orientations=3, kernel_size=5, cell_ids=ids, dtype="float64")
    shapes = [(convolve_map, 1, ids.size), (downsample_map, 0, 280), (upsample_map, 0, ids.size)]
    for function, scale, npix in shapes:
        maps = np.random.default_rng(4).standard_normal((2, 3, npix))
        found = function(maps, operators, scale)
        loop = np.stack([function(map, operators, scale) for map in maps.reshape(6, npix)])
        assert found.shape == (2, 3, *loop.shape[1:])
        np.testing.assert_allclose(found.reshape(loop.shape), loop, rtol=0, atol=1e-14)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_maps_of_other_pixels_than_those_of_a_patch_are_refused(function):
    operators = build_pyramid(4, cell_ids=PATCHES["ragged"])
    npix = operators.levels[1].cells.size if function is upsample_map else 70
    for wrong in (192, npix - 1):
        with pytest.raises(ValueError, match=rf"maps: got .*\({wrong},\).* \(\.\.\., {npix}\)"):
            function(np.zeros(wrong), operators)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_numpy_and_jax_arrays_are_alike(pyramid, function):
    map = random_maps(function)
    assert np.array_equal(function(map, pyramid), function(jnp.asarray(map), pyramid))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("scale", [0, 1])
def test_derivative_is_the_function_itself(pyramid, function, scale):
    map, change = (random_maps(function, scale=scale, seed=seed) for seed in (0, 1))
    value, slope = jax.jvp(lambda x: function(x, pyramid, scale), (map,), (change,))
    np.testing.assert_allclose(value, function(map, pyramid, scale), rtol=0, atol=1e-14)
    np.testing.assert_allclose(slope, function(change, pyramid, scale), rtol=0, atol=1e-14)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("scale", [0, 1])
def test_gradient_is_the_finite_difference(pyramid, function, scale):
    @jax.jit
    def total(map):
        return jnp.sum(jnp.sin(jnp.abs(function(map, pyramid, scale)) ** 2))

    map, change = (random_maps(function, scale=scale, seed=seed) for seed in (2, 3))
    step = 1e-5
    difference = float(total(map + step * change) - total(map - step * change)) / (2 * step)
    slope = float(jnp.vdot(jax.grad(total)(map), change))
    assert slope == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("scale", [0, 1])
def test_float32_stays_float32(pyramid, function, scale):
    single = build_pyramid(8, orientations=2)
    map = random_maps(function, scale=scale)
    found = np.asarray(function(map.astype(np.float32), single, scale))
    assert found.dtype in (np.float32, np.complex64)
    np.testing.assert_allclose(found, function(map, pyramid, scale), rtol=0, atol=2e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("scale", [0, 1])
@pytest.mark.parametrize(("of_map", "of_tables"), [("float32", "float64"), ("float64", "float32")])
def test_maps_and_tables_may_differ_in_precision(function, scale, of_map, of_tables):
    operators = build_pyramid(8, orientations=2, dtype=of_tables)
    map = random_maps(function, scale=scale)
    expected = function(map, build_pyramid(8, orientations=2, dtype="float64"), scale)
    found = function(map.astype(of_map), operators, scale)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("bad", ["integers", "complex", "pixels", "scalar", "other nside"])
def test_maps_that_do_not_fit_are_refused_with_the_shape(pyramid, function, bad):
    npix = pixels_read(function)
    maps = {
        "integers": np.zeros(npix, int),
        "complex": np.zeros(npix, complex),
        "pixels": np.zeros((2, npix + 1)),
        "scalar": np.float64(1),
        "other nside": np.zeros(4 * npix),
    }[bad]
    with pytest.raises(ValueError, match=rf"maps: got {maps.dtype} of shape .*\(\.\.\., {npix}\)"):
        function(maps, pyramid)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("scale", [-1, 4])
def test_scale_that_is_not_there_is_refused(pyramid, function, scale):
    last = 3 if function is convolve_map else 2
    with pytest.raises(ValueError, match=f"scale: got {scale}, expected 0 to {last}"):
        function(random_maps(function), pyramid, scale)


@pytest.mark.parametrize("function", [downsample_map, upsample_map])
def test_coarsest_scale_has_no_step(pyramid, function):
    with pytest.raises(ValueError, match="scale: got 3, expected 0 to 2"):
        function(np.zeros(12), pyramid, 3)
    with pytest.raises(ValueError, match="scale: got 0, expected a pyramid of two scales or more"):
        function(random_maps(function), build_pyramid(8, scales=1))


# From two orientations on there are four sectors; the rounded geometry has one.
@pytest.mark.parametrize(
    ("orientations", "geometry"), [(1, "exact"), (2, "exact"), (4, "exact"), (4, "foscat")]
)
def test_faces_are_rows_in_another_order(orientations, geometry):
    rows, faces = (
        build_pyramid(
            16,
            orientations=orientations,
            scales=3,
            geometry=geometry,
            dtype="float64",
            layout=layout,
        )
        for layout in ("rows", "faces")
    )
    assert isinstance(faces.levels[0].stencil, FaceTable)
    for scale, function in [(0, f) for f in FUNCTIONS] + [(1, f) for f in FUNCTIONS]:
        npix = (3 if function is upsample_map else 12) * (16 >> scale) ** 2
        maps = np.random.default_rng(scale).standard_normal((2, npix))
        found, expected = (function(maps, operators, scale) for operators in (faces, rows))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradients_of_faces_are_those_of_rows(function):
    maps = np.random.default_rng(5).standard_normal(768 if function is upsample_map else 3072)

    def total(maps, operators):
        return jnp.sum(jnp.sin(jnp.abs(function(maps, operators)) ** 2))

    slopes = [
        jax.grad(total)(
            maps, build_pyramid(16, orientations=1, scales=2, dtype="float64", layout=layout)
        )
        for layout in ("rows", "faces")
    ]
    np.testing.assert_allclose(*slopes, rtol=0, atol=1e-13)
