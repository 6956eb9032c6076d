import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.operators import windows
from jaxscat.operators.product import collect, spread
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.operators.rows import BLOCK

# Blocks of a group, of the 192 blocks of a sector at nside 16: whole groups, and a rest.
SIZES = [64, 50]
RAGGED = np.random.default_rng(0).permutation(3072)[:1500]


@pytest.fixture(scope="module", params=SIZES)
def table(request):
    return _stencil(request.param)


def _stencil(size, **arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "BLOCKS_OF_A_GROUP", size)
        return build_pyramid(16, scales=1, dtype="float64", **arguments).levels[0].stencil


def _join(table, groups):
    """Join what every group made of its own rows."""
    kept = []
    for group, fields in enumerate(groups):
        fresh = table.fresh_rows(jnp.asarray(group))
        kept.append(fields if fresh is None else fields[..., np.asarray(fresh)])
    rows = np.concatenate(kept, axis=-1)
    return rows if table.slots is None else rows[..., table.slots]


def _spread_in_groups(table, field):
    read = table.gather_windows(field)
    return [table.spread_group(window, jnp.asarray(at)) for at, window in enumerate(read)]


def test_blocks_find_in_their_window_what_they_read(table):
    indices = np.asarray(table.indices)
    groups, own, _ = table.places.shape
    starts = np.minimum(own * np.arange(groups), len(indices) - own)
    for start, window, places in zip(starts, table.windows, table.places, strict=True):
        assert np.array_equal(window[places], indices[start : start + own])
        assert np.unique(places).size <= window.size < indices.size
    assert table.windows.dtype == table.places.dtype == np.int32


def test_small_stencils_and_downsampling_have_no_windows():
    assert _stencil(97).windows is None
    assert _stencil(96).windows is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "BLOCKS_OF_A_GROUP", 8)
        pyramid = build_pyramid(16, scales=2)
    assert pyramid.levels[0].downsampling.windows is None


@pytest.mark.parametrize("pixels", ["full sky", "ragged patch"])
def test_groups_make_what_the_matrix_makes(table, pixels):
    if pixels == "ragged patch":
        table = _stencil(table.places.shape[1], cell_ids=RAGGED)
    shape = 2, table.halo.shape[0], table.in_rows
    field = jnp.asarray(np.random.default_rng(1).standard_normal(shape))
    found = _join(table, _spread_in_groups(table, field))
    np.testing.assert_allclose(found, spread(table, field), rtol=0, atol=1e-14)


def test_their_transpose_is_that_of_the_matrix(table):
    generator = np.random.default_rng(2)
    field = jnp.asarray(generator.standard_normal((2, table.halo.shape[0], table.in_rows)))
    outputs = jnp.asarray(generator.standard_normal(spread(table, field).shape))
    split = table.split_in_groups(outputs)

    def product(field):
        groups = []
        for at, fields in enumerate(_spread_in_groups(table, field)):
            fresh = table.fresh_rows(jnp.asarray(at))
            groups.append(fields if fresh is None else jnp.where(fresh, fields, 0))
        return jnp.vdot(jnp.stack(groups), split)

    found = jax.grad(product)(field)
    np.testing.assert_allclose(found, collect(table, outputs), rtol=0, atol=1e-13)


def test_fields_are_split_as_the_groups_stand(table):
    rows = jnp.arange(2 * table.rows).reshape(2, table.rows)
    split = table.split_in_groups(rows)
    assert split.shape == (len(table.windows), 2, BLOCK * table.places.shape[1])
    assert np.array_equal(_join(table, split), rows)


def test_fields_of_patches_are_zero_where_blocks_have_no_pixel():
    table = _stencil(50, cell_ids=RAGGED)
    split = np.asarray(table.split_in_groups(jnp.ones(table.rows)))
    assert _join(table, split).all()
    fresh = [np.asarray(table.fresh_rows(jnp.asarray(at))) for at in range(len(split))]
    assert split[np.stack(fresh)].sum() == table.rows
