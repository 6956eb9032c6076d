import time

import healpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators import pyramid
from jaxscat.operators.apply import convolve_map, upsample_map
from jaxscat.operators.faces import FaceTable
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.operators.rows import RowTable
from jaxscat.operators.spec import PyramidSpec, check_spec


@pytest.fixture
def no_x64():
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)


def test_spec_says_what_was_asked_for():
    spec = check_spec(np.int64(8), np.int32(3), 3, np.int64(2), jnp.float64, "foscat")
    assert spec == PyramidSpec(8, 3, 3, 2, "foscat", "float64")
    assert all(type(value) is int for value in (spec.nside, spec.orientations, spec.scales))
    assert spec.npix == 768
    assert spec.sectors == 1


@pytest.mark.parametrize(("nside", "scales"), [(1, 1), (2, 2), (8, 4), (1024, 11), (8192, 14)])
def test_scales_go_down_to_nside_1(nside, scales):
    assert check_spec(nside) == PyramidSpec(nside, 4, 3, scales, "exact", "float32")


@pytest.mark.parametrize(("orientations", "sectors"), [(4, 4), (2, 4), (3, 2), (1, 2)])
def test_sectors_of_a_spec(orientations, sectors):
    assert check_spec(8, orientations).sectors == sectors
    assert check_spec(8, orientations, geometry="foscat").sectors == 1


@pytest.mark.parametrize("kernel_size", [5, 7])
@pytest.mark.parametrize(("nside", "scales"), [(1, 2), (2, 3), (8, 5), (1024, 12)])
def test_larger_kernels_start_at_twice_the_nside_and_have_one_more_scale(
    kernel_size, nside, scales
):
    spec = check_spec(nside, kernel_size=kernel_size)
    assert spec == PyramidSpec(nside, 4, kernel_size, scales, "exact", "float32")
    assert spec.upsampled and spec.finest_nside == 2 * nside
    assert spec.npix == 12 * nside**2
    smallest = check_spec(nside)
    assert not smallest.upsampled and smallest.finest_nside == nside


@pytest.mark.parametrize(
    ("kernel_size", "count", "scales"),
    [(3, 63, 1), (3, 64, 2), (3, 256, 3), (3, 500, 3), (5, 15, 1), (5, 16, 2), (7, 64, 3)],
)
def test_patch_stops_at_about_16_pixels_unless_scales_are_named(kernel_size, count, scales):
    cells = np.arange(count) + 7
    spec = check_spec(8, kernel_size=kernel_size, cells=cells)
    assert spec.scales == scales
    most = 4 if kernel_size == 3 else 5
    for named in (1, most):
        found = check_spec(8, kernel_size=kernel_size, scales=named, cells=cells)
        assert found.scales == named
    with pytest.raises(ValueError, match=f"scales: got {most + 1}, expected 1 to {most}"):
        check_spec(8, kernel_size=kernel_size, scales=most + 1, cells=cells)


def test_spec_of_a_patch_names_its_pixels():
    cells = np.arange(20, 90)
    spec = check_spec(8, cells=cells)
    assert (spec.npix, spec.cell_count, spec.sectors) == (70, 70, 1)
    others = [
        check_spec(8, cells=cells + 1),
        check_spec(8, cells=cells[:-1]),
        check_spec(16, cells=cells),
        check_spec(8),
    ]
    assert len({spec, *others}) == 5
    assert check_spec(8, cells=cells) == spec


REFUSED = {
    "nside": [0, -8, 3, 12, 8.0, "8", None, True],
    "orientations": [0, -1, 2.5, 4.0, "4", True, None],
    "kernel_size": [1, 2, 4, 6, 9, 0, -3, "3"],
    "scales": [0, -1, 5, 2.0, "2", True],
    "geometry": ["cosmo", "Exact", "", None],
    "layout": ["columns", "Rows", "", None, 1],
    "dtype": ["float16", "int32", "complex64", bool, "bfloat16", "nonsense", None],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values]
)
@pytest.mark.parametrize("function", [check_spec, build_pyramid])
def test_argument_out_of_range_is_named(function, name, value):
    arguments = {"nside": 8, name: value}
    with pytest.raises(ValueError, match=rf"^{name}: got .*, expected "):
        function(**arguments)


@pytest.mark.parametrize("cells", [[0], range(100)])
def test_patches_have_no_faces(cells):
    with pytest.raises(ValueError, match=r"^layout: got 'faces' for a patch, expected 'rows' \(or"):
        build_pyramid(8, cell_ids=cells, layout="faces")
    assert build_pyramid(8, cell_ids=cells).spec.layout == "rows"


def test_all_pixels_in_any_order_are_no_patch_and_have_faces():
    ids = np.random.default_rng(0).permutation(192)
    operators = build_pyramid(4, cell_ids=ids, layout="faces")
    assert operators.spec.layout == "faces"
    assert np.array_equal(operators.pixels(), ids)


@pytest.mark.parametrize(
    ("backend", "expected"), [("cpu", "rows"), ("gpu", "rows"), ("tpu", "faces")]
)
def test_layout_is_that_of_the_device_unless_it_is_named(monkeypatch, backend, expected):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert check_spec(8, layout="auto").layout == expected
    assert check_spec(8, layout="auto", cells=np.arange(9)).layout == "rows"
    assert build_pyramid(2).spec.layout == expected
    for layout in ("rows", "faces"):
        assert check_spec(8, layout=layout).layout == layout
        assert check_spec(8, layout=layout).row_major == (layout == "faces")


def test_layouts_have_their_tables():
    kinds = {"rows": RowTable, "faces": FaceTable}
    for layout, kind in kinds.items():
        level = build_pyramid(32, scales=2, layout=layout).levels[0]
        assert isinstance(level.stencil, kind) and isinstance(level.downsampling, kind)


def test_scales_that_are_too_many_are_told_how_many_there_are():
    with pytest.raises(ValueError, match=r"scales: got 5, expected 1 to 4 .* at nside 8"):
        check_spec(8, scales=5)
    with pytest.raises(ValueError, match="scales: got 6, expected 1 to 5 with kernel_size 7 at"):
        check_spec(8, kernel_size=7, scales=6)


def test_float64_without_x64_is_refused(no_x64):
    with pytest.raises(ValueError, match=r"dtype: got float64, expected float32 unless .*x64"):
        build_pyramid(8, dtype="float64")
    assert build_pyramid(2).spec.dtype == "float32"


def test_float64_without_x64_is_refused_without_a_warning_beside(no_x64, recwarn):
    with pytest.raises(ValueError, match="dtype"):
        check_spec(8, dtype="float64")
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("scales", [1, 3, None])
@pytest.mark.parametrize("geometry", ["exact", "foscat"])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_levels_go_from_fine_to_coarse(scales, geometry, kernel_size):
    operators = build_pyramid(4, scales=scales, geometry=geometry, kernel_size=kernel_size)
    expected = ([4, 2, 1] if kernel_size == 3 else [8, 4, 2, 1])[:scales]
    assert [level.nside for level in operators.levels] == expected
    # The step from the finest level raises maps, even where it is the only level.
    steps = max(len(expected) - 1, int(kernel_size == 5))
    assert [level.downsampling is not None for level in operators.levels] == [
        position < steps for position in range(len(expected))
    ]
    assert operators.spec.scales == len(expected)
    assert operators.order is None
    assert all(level.cells is None for level in operators.levels)
    tables = [table for level in operators.levels for table in (level.stencil, level.downsampling)]
    assert all(table.slots is None for table in tables if isinstance(table, RowTable))


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_levels_of_a_patch_have_every_parent(kernel_size):
    ids = np.random.default_rng(0).permutation(768)[:100]
    operators = build_pyramid(8, kernel_size=kernel_size, cell_ids=ids, scales=3)
    expected = sorted(ids)
    if kernel_size == 5:
        expected = sorted(4 * pixel + child for pixel in ids for child in range(4))
    for level in operators.levels:
        assert np.array_equal(level.cells, expected)
        assert level.stencil.rows == len(expected)
        expected = sorted({pixel // 4 for pixel in expected})
    assert np.array_equal(ids[operators.order], sorted(ids))


def test_single_scale_of_a_large_kernel_raises_maps(reference):
    operators = build_pyramid(2, kernel_size=5, scales=1, dtype="float64")
    map = np.random.default_rng(0).standard_normal(48)
    upsampled = upsample_map(map, operators)
    expected = reference.upsampling_matrix(4) @ map
    np.testing.assert_allclose(upsampled, expected, rtol=0, atol=1e-14)
    assert convolve_map(upsampled, operators).shape == (4, 192)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_have_the_type_of_the_spec_and_indices_are_int32(dtype):
    leaves = jax.tree.leaves(build_pyramid(16, dtype=dtype))
    assert {leaf.dtype.name for leaf in leaves} == {dtype, "int32"}


def test_float32_weights_are_those_of_float64_rounded():
    for arguments in ({"nside": 16}, {"nside": 4, "kernel_size": 5, "cell_ids": [*range(60)]}):
        single, double = build_pyramid(**arguments), build_pyramid(**arguments, dtype="float64")
        for one, other in zip(jax.tree.leaves(single), jax.tree.leaves(double), strict=True):
            assert np.array_equal(one, np.asarray(other).astype(one.dtype))


@pytest.mark.parametrize(("nside", "scales"), [(8, None), (8, 2), (1, None)])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_progress_reaches_its_total(nside, scales, kernel_size):
    calls = []
    build_pyramid(
        nside,
        scales=scales,
        kernel_size=kernel_size,
        progress=lambda *call: calls.append(call),
    )
    finest = nside if kernel_size == 3 else 2 * nside
    pixels = [12 * (finest >> j) ** 2 for j in range(scales or 5) if finest >> j]
    made = [done for done, _ in calls]
    assert {total for _, total in calls} == {sum(pixels)}
    assert made == sorted(set(made)) and made[-1] == sum(pixels)
    assert set(np.cumsum(pixels)) <= set(made)  # scales are made one after the other
    assert len(made) <= len(pixels) + 1  # large ones in pieces


def test_progress_of_a_patch_counts_its_pixels():
    calls = []
    build_pyramid(
        8,
        kernel_size=7,
        scales=3,
        cell_ids=np.arange(3, 43),
        progress=lambda *call: calls.append(call),
    )
    # 40 pixels, their 160 children and 11 parents.
    assert calls == [(160, 211), (200, 211), (211, 211)]


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for first, second in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize("ids", [None, np.arange(300, 1500)])
def test_building_twice_gives_the_same_tables(ids):
    assert_same(build_pyramid(16, cell_ids=ids), build_pyramid(16, cell_ids=ids))


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_patch_of_all_pixels_is_the_full_sky(kernel_size):
    whole = build_pyramid(4, kernel_size=kernel_size)
    assert_same(build_pyramid(4, kernel_size=kernel_size, cell_ids=range(192)), whole)
    ids = np.random.default_rng(0).permutation(192)
    shuffled = build_pyramid(4, kernel_size=kernel_size, cell_ids=ids)
    assert shuffled.spec == whole.spec
    assert np.array_equal(ids[shuffled.order], np.arange(192))
    assert_same(shuffled.levels, whole.levels)
    assert np.array_equal(shuffled.pixels(shuffled.spec.upsampled), ids)


@pytest.mark.parametrize("kernel_size", [3, 7])
def test_order_of_the_pixels_of_a_patch_is_no_part_of_its_operators(kernel_size):
    ids = np.random.default_rng(1).permutation(192)[:70]
    first, second, ascending = (
        build_pyramid(4, kernel_size=kernel_size, cell_ids=cells)
        for cells in (ids, ids[::-1], np.sort(ids))
    )
    assert first.spec == second.spec == ascending.spec
    for operators in (second, ascending):
        assert_same(operators.levels, first.levels)
    assert ascending.order is None
    assert not np.array_equal(first.order, second.order)


def test_pixels_stand_in_the_order_of_the_cells_at_the_nside_of_the_maps_only():
    ids = np.array([50, 3, 2, 40, 0])
    operators = build_pyramid(4, cell_ids=ids, scales=2)
    assert operators.pixels().tolist() == [50, 3, 2, 40, 0]
    assert operators.pixels(1).tolist() == [0, 10, 12]
    upsampled = build_pyramid(4, cell_ids=ids, kernel_size=5, scales=3)
    assert upsampled.pixels(0).tolist() == [4 * p + k for p in sorted(ids) for k in range(4)]
    assert upsampled.pixels(1).tolist() == [50, 3, 2, 40, 0]
    assert upsampled.pixels(2).tolist() == [0, 10, 12]
    assert [level.npix for level in upsampled.levels] == [20, 5, 3]
    whole = build_pyramid(2, kernel_size=5)
    assert [level.npix for level in whole.levels] == [192, 48, 12]
    assert [whole.pixels(scale).tolist() for scale in (0, 1, 2)] == [
        [*range(192)],
        [*range(48)],
        [*range(12)],
    ]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([4, 4], "got pixel 4 twice"),
        ([768], "got 768, expected 0 to 767 at nside 8"),
        ([-1], "got -1, expected 0 to 767"),
        ([], r"got float64 of shape \(0,\)"),
        (np.ones(768, bool), r"got bool of shape \(768,\)"),
    ],
)
def test_bad_cell_ids_are_refused_before_anything_is_built(monkeypatch, ids, message):
    def never(*_, **__):
        raise AssertionError("something was built")

    monkeypatch.setattr(pyramid, "build_stencil", never)
    monkeypatch.setattr(pyramid, "build_downsampling", never)
    with pytest.raises(ValueError, match=f"^cell_ids: {message}"):
        build_pyramid(8, cell_ids=ids)


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_small_patch_of_a_large_sphere_takes_seconds(kernel_size):
    nside = 1024
    centre = healpy.ang2vec(1.0, 2.0)
    ids = healpy.query_disc(nside, centre, np.radians(1.45), nest=True)[:2000]
    start = time.process_time()
    operators = build_pyramid(nside, kernel_size=kernel_size, cell_ids=ids)
    assert time.process_time() - start < 20  # the full sky has 6000 times as many pixels
    assert [level.nside for level in operators.levels][-1] == 128
    assert operators.levels[-1].stencil.rows < 60
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(operators)) < 1e8


def test_one_pixel_is_a_patch():
    for kernel_size in (3, 5, 7):
        operators = build_pyramid(8, kernel_size=kernel_size, cell_ids=[100], scales=3)
        assert operators.spec.npix == 1
        assert [level.stencil.rows for level in operators.levels] == (
            [1, 1, 1] if kernel_size == 3 else [4, 1, 1]
        )


def test_pyramids_of_one_spec_share_a_trace():
    traces = []

    @jax.jit
    def convolved(map, operators):
        traces.append(operators.spec)
        return convolve_map(map, operators)

    map = np.ones(768, np.float32)
    for _ in range(2):
        convolved(map, build_pyramid(8))
    assert len(traces) == 1
    convolved(map, build_pyramid(8, scales=2))
    assert len(traces) == 2
    assert traces[0] != traces[1]


@pytest.mark.parametrize("scale", [-1, 2])
def test_pixels_of_a_scale_that_is_not_there_are_refused(scale):
    with pytest.raises(ValueError, match=r"^scale: got .*, expected 0 to 1$"):
        build_pyramid(2).pixels(scale)
