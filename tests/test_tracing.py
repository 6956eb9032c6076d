"""How often functions are traced, and that tables of operators are arguments, never constants."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.minimization.lane import build_limits
from jaxscat.minimization.lanes import advance, begin
from jaxscat.minimization.lbfgs import LBFGS
from jaxscat.minimization.problem import Problem, build_problem
from jaxscat.objectives.chi_square import chi_square
from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.objective import Objective
from jaxscat.objectives.scattering import Scattering, map_loss
from jaxscat.objectives.target import Target
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.parametrizations.pixels import Pixels
from jaxscat.statistics.angular import IsotropicMean, isotropic_spread
from jaxscat.statistics.normalization import normalize
from jaxscat.statistics.scattering import measure, measure_scales
from jaxscat.synthesis.synthesize import synthesize, synthesize_many

# Matrices that put orientations into one gauge are constants; tables of nside 16 are far larger.
LARGEST_CONSTANT = 16_000  # bytes


def counted(function):
    """The function under `jax.jit`, and a list that grows whenever it is traced."""
    traces = []

    def traced(*arguments, **options):
        traces.append(1)
        return function(*arguments, **options)

    return jax.jit(traced), traces


@pytest.fixture(scope="module")
def generator():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def twins():
    """Two pyramids of one spec with other weights."""
    first = build_pyramid(4, dtype="float64")
    second = jax.tree.map(
        lambda leaf: leaf * 2 if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf,
        build_pyramid(4, dtype="float64"),
    )
    return first, second


def test_measure_is_traced_once_per_shape(generator, twins):
    function, traces = counted(measure)
    for pyramid in twins:
        for map in generator.standard_normal((2, 192)):
            function(map, pyramid)
    assert len(traces) == function._cache_size() == 1
    # The weights are read from the argument: another pyramid gives another result.
    first, second = (function(map, pyramid).s1[0] for pyramid in twins)
    np.testing.assert_allclose(second, 2 * first, rtol=1e-12)
    function(map, twins[0], mask=np.ones(192))
    function(map, twins[1], mask=np.full(192, 0.5))
    assert len(traces) == 2
    function(map, twins[0], mask=np.ones((3, 192)))
    assert len(traces) == 3


def test_measure_of_plain_arrays_compiles_itself_once_per_shape(generator):
    pyramids = [build_pyramid(4, orientations=2, dtype="float64") for _ in range(2)]
    measure_scales.clear_cache()  # of what other modules have compiled
    before = measure_scales._cache_size()
    for pyramid in pyramids:
        measure(generator.standard_normal(192), pyramid)
        measure(generator.standard_normal(192).astype(np.float32), pyramid)
        measure(jnp.asarray(generator.standard_normal(192)), pyramid)
    assert measure_scales._cache_size() - before == 1
    measure(generator.standard_normal(192), build_pyramid(4, orientations=2, dtype="float32"))
    assert measure_scales._cache_size() - before == 2


def test_gradient_is_traced_once_for_all_maps_targets_and_pyramids(generator, twins):
    function, traces = counted(jax.grad(map_loss))
    for pyramid in twins:
        for original in generator.gamma(2.0, size=(2, 192)):
            target = make_target(original, pyramid, coarsest_nside=1)
            function(generator.standard_normal(192), pyramid, target)
    assert len(traces) == function._cache_size() == 1
    other = make_target(original, pyramid, sigma="foscat", sigma_floor=0, coarsest_nside=1)
    function(generator.standard_normal(192), pyramid, other)
    assert len(traces) == 1
    fewer = make_target(original, pyramid, coarsest_nside=2)
    function(generator.standard_normal(192), pyramid, fewer)
    assert len(traces) == 2


def test_coefficients_that_are_known_take_a_program_for_each_function(generator, compilations):
    pyramid = build_pyramid(1, orientations=11, dtype="float64")  # a shape of this test alone
    map, other = generator.gamma(2.0, size=(2, 12))
    target = make_target(map, pyramid, coarsest_nside=1)
    statistics = measure(map, pyramid)
    steps = {
        "normalize": lambda found: normalize(found, statistics.s2),
        "mean": lambda found: IsotropicMean().mean(found),
        "spread": lambda found: isotropic_spread(found),
        "chi_square": lambda found: chi_square(found, target),
    }
    for name, step in steps.items():
        compilations.clear()
        jax.block_until_ready(step(statistics))
        # The scales that count are another program than their distance.
        assert 1 <= len(compilations) <= (2 if name == "chi_square" else 1), name
    compilations.clear()
    changed = measure(other, pyramid)
    for step in steps.values():
        step(changed)
    make_target(other, pyramid, coarsest_nside=1, sigma_floor=0.03)
    assert compilations == []


def build(pyramid, target, tolerance=1e-6):
    return build_problem(
        Objective({"scattering": Scattering.of(target, pyramid)}),
        Pixels(192, np.float64(1)),
        LBFGS(np.float64(tolerance), memory=3),
        build_limits(9),
        np.float64,
    )


def test_advance_is_compiled_once_for_all_values(generator, twins):
    advance.clear_cache()
    before = advance._cache_size()
    for pyramid, count, tolerance in zip(twins, (2, 1), (1e-6, 1e-3), strict=True):
        target = make_target(generator.gamma(2.0, size=192), pyramid)
        problem = build(pyramid, target, tolerance)
        lanes = begin(jnp.asarray(generator.standard_normal((1, 192))), None, problem.minimizer)
        for _ in range(2):
            lanes, _ = advance(lanes, problem, np.int32(count), 2)
    assert advance._cache_size() - before == 1
    # From the host: other limits, tolerances, starts and seeds, one after the other, add nothing.
    for max_steps, tolerance in ((5, 1e-6), (3, 0.1)):
        options = {
            "max_steps": max_steps,
            "memory": 3,
            "gradient_tolerance": tolerance,
            "chunk_steps": 2,
        }
        synthesize(target, pyramid, generator.standard_normal(192), **options)
        synthesize_many(target, pyramid, 2, batch_size=1, **options)
    assert advance._cache_size() - before == 1
    with_mask = make_target(generator.gamma(2.0, size=192), pyramid, mask=np.ones(192))
    masked = build(pyramid, with_mask)
    advance(begin(jnp.ones((1, 192)), None, masked.minimizer), masked, np.int32(1), 2)
    assert advance._cache_size() - before == 2
    synthesize_many(target, pyramid, 3, **options)
    assert advance._cache_size() - before == 3


def constants_of_jaxpr(closed) -> list[int]:
    """Bytes of all constants of a program, those of the programs inside it too."""
    sizes = [constant.nbytes for constant in closed.consts if hasattr(constant, "nbytes")]
    for equation in closed.jaxpr.eqns:
        for leaf in jax.tree.leaves(
            equation.params, is_leaf=lambda value: isinstance(value, jax.extend.core.ClosedJaxpr)
        ):
            if isinstance(leaf, jax.extend.core.ClosedJaxpr):
                sizes += constants_of_jaxpr(leaf)
    return sizes


def constants_of_text(text: str) -> list[int]:
    """Bytes of all constants of a lowered program but those of one repeated value."""
    sizes = []
    for value, shape, bits in re.findall(
        r"stablehlo\.constant dense(?:_resource)?<(.*?)> : tensor<([\dx]*?)x?[a-z]+(\d+)>", text
    ):
        if value.startswith(("[", '"', "__")):
            sizes.append(int(np.prod([int(n) for n in shape.split("x")])) * int(bits) // 8)
    return sizes


@pytest.fixture(scope="module")
def sixteen():
    """A pyramid whose sparse tables take megabytes."""
    return build_pyramid(16, scales=2, dtype="float64")


def programs(pyramid):
    """Functions and (shapes of) arguments of all jitted entry points."""
    map = jnp.ones(3072)
    mean = jax.eval_shape(measure, map, pyramid)
    sigma = jax.tree.map(lambda group: jax.ShapeDtypeStruct(group.shape, map.dtype), mean)
    target = Target(mean, sigma, None)
    problem = Problem(
        Objective({"scattering": Scattering(pyramid, target)}),
        Pixels(3072, np.float64(1)),
        LBFGS(np.float64(0.1), memory=3),
        build_limits(9),
    )
    lanes = jax.eval_shape(lambda starts: begin(starts, None, problem.minimizer), map[None])
    return {
        "measure": (measure, (map, pyramid)),
        "gradient": (jax.grad(map_loss), (map, pyramid, target)),
        "advance": (
            lambda lanes, problem, count: advance(lanes, problem, count, 2),
            (lanes, problem, np.int32(1)),
        ),
    }


@pytest.mark.parametrize("name", ["measure", "gradient", "advance"])
def test_no_table_is_a_constant(sixteen, name):
    function, arguments = programs(sixteen)[name]
    tables = sum(leaf.nbytes for leaf in jax.tree.leaves(sixteen))
    assert tables > 100 * LARGEST_CONSTANT
    traced = constants_of_jaxpr(jax.make_jaxpr(function)(*arguments))
    lowered = constants_of_text(jax.jit(function).lower(*arguments).as_text())
    for sizes in (traced, lowered):
        assert sizes, "the small constant matrices were not found"
        assert max(sizes) <= LARGEST_CONSTANT


def test_a_table_that_is_a_constant_is_found(sixteen):
    def closed_over(map):
        return measure(map, sixteen)

    map = jnp.ones(3072)
    assert max(constants_of_jaxpr(jax.make_jaxpr(closed_over)(map))) > 10 * LARGEST_CONSTANT
    text = jax.jit(closed_over).lower(map).as_text()
    assert max(constants_of_text(text)) > 10 * LARGEST_CONSTANT
