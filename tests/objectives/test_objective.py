"""Objectives are weighted sums of named terms; what is none is refused by name."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives.objective import Objective, as_objective, check_objective
from jaxscat.objectives.scattering import MeanScattering, Scattering, map_loss, mean_loss
from jaxscat.objectives.term import Term

MAP = jax.ShapeDtypeStruct((12,), np.float64)


class Square(Term):
    scale: float = 1.0

    def __call__(self, maps):
        return jnp.mean((maps / self.scale) ** 2)


class Difference(eqx.Module):
    """A term that is a module of one's own, of two maps."""

    def __call__(self, maps):
        return jnp.sum(maps["a"] - maps["b"])


def test_an_objective_is_the_weighted_sum_of_its_terms():
    map = np.arange(12.0)
    loss = Objective({"one": Square(), "two": Square(2.0)}, {"two": 3.0})
    values = loss.values(map)
    assert list(values) == ["one", "two"]
    assert values["one"] == pytest.approx((map**2).mean())
    assert values["two"] == pytest.approx((map**2).mean() / 4)
    assert loss(map) == pytest.approx((map**2).mean() * (1 + 3 / 4))
    slopes = jax.grad(loss)(map)
    np.testing.assert_allclose(slopes, 2 * map / 12 * (1 + 3 / 4), rtol=1e-13)


def test_weights_and_terms_are_operands():
    traces = []

    @jax.jit
    def evaluate(objective, map):
        traces.append(1)
        return objective(map)

    for scale, weight in ((1.0, 2.0), (3.0, 0.5)):
        found = evaluate(Objective({"square": Square(scale)}, {"square": weight}), np.ones(12))
        assert found == pytest.approx(weight / scale**2)
    assert len(traces) == 1


def test_scattering_is_the_loss_of_a_map(pyramid, target, original):
    maps = np.random.default_rng(3).gamma(2.0, size=(2, 192))
    term, mean = Scattering.of(target, pyramid), MeanScattering.of(target, pyramid)
    assert term(maps[0]) == map_loss(maps[0], pyramid, target)
    assert mean(maps) == mean_loss(maps, pyramid, target)
    # Of several maps, one is chosen, or made of them.
    chosen = Scattering.of(target, pyramid, selection="b")
    assert chosen({"a": maps[0], "b": maps[1]}) == term(maps[1])
    added = Scattering.of(target, pyramid, selection=lambda maps: maps["a"] + maps["b"])
    assert added({"a": maps[0], "b": maps[1]}) == term(maps[0] + maps[1])


def test_a_single_term_is_an_objective_with_its_name():
    assert list(as_objective(Square()).terms) == ["square"]
    assert list(as_objective(jnp.sum).terms) == ["loss"]
    whole = Objective({"x": Square()})
    assert as_objective(whole) is whole
    for other in (3, None, Square):
        with pytest.raises(ValueError, match=r"^objective: got .*, expected an Objective"):
            as_objective(other)


@pytest.mark.parametrize(
    ("terms", "weights", "message"),
    [
        ({}, None, r"terms: got \{\}, expected a dictionary with at least one term"),
        ([Square()], None, "terms: got"),
        ({"x": 3.0}, None, r"terms\['x'\]: got 3.0, expected a Term"),
        ({"x": Square}, None, r"terms\['x'\]: got .*, expected a Term"),
        ({1: Square()}, None, "terms: got the name 1"),
        ({"x": Square()}, {"y": 1.0}, "weights: got 'y', expected names of terms: x"),
        ({"x": Square()}, {"x": -1.0}, r"weights\['x'\]: got -1.0, expected a positive number"),
        ({"x": Square()}, {"x": 0}, r"weights\['x'\]: got 0, expected a positive number"),
        ({"x": Square()}, {"x": np.nan}, r"weights\['x'\]: got nan"),
        ({"x": Square()}, {"x": np.ones(2)}, r"weights\['x'\]: got array"),
        ({"x": Square()}, {"x": "1"}, r"weights\['x'\]: got '1'"),
        ({"x": Square()}, [1.0], r"weights: got \[1.0\], expected a dictionary"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_objectives_are_refused(terms, weights, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Objective(terms, weights)


@pytest.mark.parametrize(
    ("term", "maps", "message"),
    [
        (lambda maps: maps, MAP, r"got float64 of shape \(12,\) for maps of \(12,\), expected a"),
        (lambda maps: jnp.sum(maps) * 1j, MAP, r"got complex128 of shape \(\)"),
        (lambda maps: jnp.argmax(maps), MAP, r"got int64 of shape \(\)"),
        (lambda maps: (maps.sum(), 1), MAP, "got tuple for maps"),
        (lambda maps: None, MAP, "got NoneType for maps"),
        (lambda maps: jnp.dot(maps, np.ones(5)), MAP, "expected a term of maps of .*TypeError"),
        (Difference(), MAP, "expected a term of maps of"),
        (Difference(), {"a": MAP}, r"expected a term of maps of \{'a': \(12,\)\}, but.*KeyError"),
    ],
    ids="map complex integer tuple none size structure key".split(),
)
def test_terms_that_return_no_real_scalar_are_named(term, maps, message):
    with pytest.raises(ValueError, match=rf"^terms\['mine'\]: {message}"):
        check_objective(Objective({"mine": term, "square": lambda maps: jnp.zeros(())}), maps)
    check_objective(Objective({"difference": Difference()}), {"a": MAP, "b": MAP})
