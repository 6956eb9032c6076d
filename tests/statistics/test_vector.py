import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.fields import measure_fields
from jaxscat.statistics.reduction import Reduction
from jaxscat.statistics.scattering import measure

# Skewed, so that no group vanishes on average.
MAPS = np.random.default_rng(0).gamma(1.0, size=(800, 2, 48))
ONE, OTHER = MAPS[0]
REDUCTIONS = [
    None,
    IsotropicMean(),
    IsotropicMean("foscat"),
    FourierHarmonics(1),
    FourierHarmonics(1, imaginary=False),
]


class Halves(Reduction):
    """A reduction of one's own: sums over both halves of the orientations, the whole, and zero."""

    def mean_of_group(self, name, group):
        one = group[..., : group.shape[-1] // 2].sum(-1)
        whole = group.sum(-1)
        return jnp.stack([one, whole - one, whole, 0 * whole], axis=-1)

    def sigma_of_group(self, name, group):
        return self.mean_of_group(name, group)

    def labels(self, orientations):
        return [{"part": part} for part in range(4)]


class Squares(Halves):
    def mean_of_group(self, name, group):
        return super().mean_of_group(name, group**2)


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(2, orientations=3)


@pytest.fixture(scope="module")
def ensembles(pyramid):
    """Coefficients of many maps alone, and of many pairs of maps, on a leading axis."""

    @jax.jit
    def measure_all(pyramid, maps):
        def of_pair(pair):
            one, other = pair
            crossed = measure(one, pyramid, second=other, both_triangles=True)
            return measure(one, pyramid), crossed

        return jax.lax.map(of_pair, maps, batch_size=50)

    alone, pairs = measure_all(pyramid, MAPS)
    return {"auto": alone, "cross": pairs}


def expected_length(kind, scales, orientations):
    """Count the independent numbers from the definitions."""
    triples = [
        (j1, j2, j3)
        for j3 in range(scales)
        for j2 in range(j3 + 1)
        for j1 in range((j3 if kind == "cross" else j2) + 1)
    ]
    s3 = 2 * scales * (scales + 1) // 2 * orientations**2 * (2 if kind == "cross" else 1)
    of_hermitian = orientations**3  # at each l3, as many numbers as a matrix has entries
    s4 = sum(
        of_hermitian if kind == "auto" and j1 == j2 else 2 * orientations**3
        for j1, j2, _ in triples
    )
    return 2 + 2 * scales * orientations + s3 + s4


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=repr)
@pytest.mark.parametrize("kind", ["auto", "cross"])
def test_every_number_is_there_once(ensembles, kind, reduction):
    """The covariance of twice as many maps as there are numbers has full rank."""
    all_of_them = ensembles[kind]
    if reduction is not None:
        all_of_them = reduction.mean(all_of_them)
    vectors = np.asarray(all_of_them.to_vector())
    size = vectors.shape[1]
    if reduction is None:
        assert size == expected_length(kind, 2, 3)
    names = jax.tree.map(lambda group: group[0], all_of_them).vector_names()
    assert len(set(names)) == len(names) == size
    assert len(vectors) >= 2 * size
    vectors = vectors[: 2 * size]
    scatter = np.std(vectors, axis=0)
    assert (scatter > 1e-7).all()  # none is zero but for rounding
    spectrum = np.linalg.eigvalsh(np.corrcoef(vectors.T))
    assert spectrum[0] > 1e-9 * spectrum[-1]


@pytest.mark.parametrize("reduction", [*REDUCTIONS, Halves()], ids=repr)
@pytest.mark.parametrize("kind", ["auto", "cross"])
def test_coefficients_are_restored_from_a_vector(ensembles, kind, reduction):
    some = jax.tree.map(lambda group: group[:2], ensembles[kind])
    some = some if reduction is None else reduction.mean(some)
    like = jax.tree.map(jnp.zeros_like, some)
    restored = like.from_vector(some.to_vector())
    for one, other in zip(jax.tree.leaves(restored), jax.tree.leaves(some), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-15)
    # Any vector is that of some coefficients, which have the symmetry of measured ones.
    numbers = np.random.default_rng(1).normal(size=some.to_vector().shape)
    np.testing.assert_allclose(like.from_vector(numbers).to_vector(), numbers, atol=1e-12)


def test_names_tell_what_stands_where(ensembles):
    statistics = jax.tree.map(lambda group: group[0], ensembles["auto"])
    values = dict(zip(statistics.names(), np.asarray(statistics.ravel()), strict=True))
    vector = np.asarray(statistics.to_vector())
    parts = {"Re": np.real, "Im": np.imag}
    for name, number in zip(statistics.vector_names(), vector, strict=True):
        part, _, rest = name.partition(" ")
        expected = parts[part](values[rest]) if part in parts else values[name].real
        assert number == expected, name
    assert "Re S4 j1=0 j2=0 j3=1 l1=1 l2=1 l3=2" in statistics.vector_names()
    assert "Im S4 j1=0 j2=0 j3=1 l1=1 l2=1 l3=2" not in statistics.vector_names()


def test_masks_and_fewer_scales(pyramid):
    masks = np.stack([np.ones(48), np.arange(48) % 2 + 0.5])
    both = measure(ONE, pyramid, mask=masks)
    vectors = both.to_vector()
    assert vectors.shape == (2, expected_length("auto", 2, 3))
    for at in range(2):
        one = jax.tree.map(lambda group, at=at: group[at], both)
        np.testing.assert_array_equal(vectors[at], one.to_vector())
        assert one.vector_names() == both.vector_names()
    few = both.finest(1)
    assert few.to_vector().shape[-1] == len(few.vector_names())
    np.testing.assert_allclose(few.from_vector(few.to_vector()).s4, few.s4, rtol=0, atol=1e-15)
    kept = [name in few.vector_names() for name in both.vector_names()]
    np.testing.assert_array_equal(few.to_vector(), vectors[:, kept])


def test_fields_have_the_vectors_of_their_pairs(pyramid):
    found = measure_fields({"T": ONE, "E": OTHER}, pyramid)
    vector, names = found.to_vector(), found.vector_names()
    assert vector.shape == (len(names),) == (len(set(names)),)
    parts = [one.to_vector() for _, one in found.items()]
    np.testing.assert_array_equal(vector, jnp.concatenate(parts))
    assert names[0] == "TT S0 mean" and names[-1].startswith("TE Im S4")
    restored = jax.tree.map(jnp.zeros_like, found).from_vector(vector)
    for one, other in zip(jax.tree.leaves(restored), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-15)


def test_standard_errors_are_all_in_their_vector(pyramid):
    errors = standard_error(ONE, pyramid)
    np.testing.assert_array_equal(errors.to_vector(), errors.ravel())
    assert errors.vector_names() == errors.names()


def test_vectors_have_derivatives_and_pass_through_transformations(ensembles):
    statistics = jax.tree.map(lambda group: group[0], ensembles["auto"])
    reduction = FourierHarmonics(1)
    size = statistics.to_vector().size
    weights = np.random.default_rng(2).normal(size=size)

    def total(scale):
        return jnp.vdot(weights, (scale * statistics).to_vector())

    np.testing.assert_allclose(jax.grad(total)(1.0), np.vdot(weights, statistics.to_vector()))

    # Each number of a vector is independent of the others after the way there and back.
    def there_and_back(vector):
        return statistics.from_vector(vector).to_vector()

    derivative = jax.jit(jax.jacfwd(there_and_back))(statistics.to_vector())
    np.testing.assert_array_equal(derivative, np.eye(size))
    some = jax.tree.map(lambda group: group[:3], ensembles["auto"])
    each = jax.jit(jax.vmap(lambda one: reduction.mean(one).to_vector()))(some)
    np.testing.assert_allclose(each, reduction.mean(some).to_vector(), rtol=1e-12, atol=1e-16)


def test_what_is_not_finite_stays_where_it_is(ensembles):
    statistics = jax.tree.map(lambda group: group[0], ensembles["auto"])
    vector = np.asarray(statistics.to_vector()).copy()
    vector[0] = np.nan
    restored = statistics.from_vector(vector)
    assert np.isnan(restored.s0[0])
    assert np.isfinite(restored.ravel()).sum() == statistics.ravel().size - 1


def test_bad_vectors_are_refused(ensembles):
    statistics = jax.tree.map(lambda group: group[0], ensembles["auto"])
    size = statistics.to_vector().size
    for bad, said in (
        (np.ones(size - 1), rf"got float64 of shape \({size - 1},\), expected {size} real numbers"),
        (np.ones(size, complex), "got complex128 of shape"),
        (1.0, "got float64 of shape"),
        (np.ma.masked_array(np.ones(size), np.arange(size) < 2), "got a masked array"),
    ):
        with pytest.raises(ValueError, match=f"^vector: {said}"):
            statistics.from_vector(bad)
    reduced = Squares().mean(statistics)
    with pytest.raises(ValueError, match="^reduction: got one that is not linear"):
        reduced.to_vector()
