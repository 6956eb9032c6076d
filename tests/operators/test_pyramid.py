import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators.apply import convolve_map
from jaxscat.operators.pyramid import PyramidSpec, build_pyramid, check_spec


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


REFUSED = {
    "nside": [0, -8, 3, 12, 8.0, "8", None, True],
    "orientations": [0, -1, 2.5, 4.0, "4", True, None],
    "kernel_size": [1, 2, 4, 0, -3, "3"],
    "scales": [0, -1, 5, 2.0, "2", True],
    "geometry": ["cosmo", "Exact", "", None],
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


def test_scales_that_are_too_many_are_told_how_many_there_are():
    with pytest.raises(ValueError, match=r"scales: got 5, expected 1 to 4 .* at nside 8"):
        check_spec(8, scales=5)


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
def test_levels_go_from_fine_to_coarse(scales, geometry):
    operators = build_pyramid(8, scales=scales, geometry=geometry)
    expected = [8, 4, 2, 1][:scales]
    assert [level.nside for level in operators.levels] == expected
    assert [level.downsampling is None for level in operators.levels] == [
        nside == expected[-1] for nside in expected
    ]
    assert operators.spec.scales == len(expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_have_the_type_of_the_spec_and_indices_are_int32(dtype):
    leaves = jax.tree.leaves(build_pyramid(16, dtype=dtype))
    assert {leaf.dtype.name for leaf in leaves} == {dtype, "int32"}


def test_float32_weights_are_those_of_float64_rounded():
    single, double = build_pyramid(16), build_pyramid(16, dtype="float64")
    for one, other in zip(jax.tree.leaves(single), jax.tree.leaves(double), strict=True):
        assert np.array_equal(one, np.asarray(other).astype(one.dtype))


@pytest.mark.parametrize(("nside", "scales"), [(8, None), (8, 2), (1, None)])
def test_progress_reaches_its_total(nside, scales):
    calls = []
    build_pyramid(nside, scales=scales, progress=lambda *call: calls.append(call))
    pixels = [12 * (nside >> j) ** 2 for j in range(scales or 4) if nside >> j]
    assert calls == [(done, sum(pixels)) for done in np.cumsum(pixels)]


def test_building_twice_gives_the_same_tables():
    first, second = build_pyramid(16), build_pyramid(16)
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert np.array_equal(one, other)


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
