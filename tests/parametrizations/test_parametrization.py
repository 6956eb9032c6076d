"""A synthesis of parameters: the map that they make is what the loss sees and what is returned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.fields.starts import white_noise
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.devices import Devices
from jaxscat.minimization.lane import build_limits
from jaxscat.minimization.lanes import advance
from jaxscat.minimization.lbfgs import LBFGS
from jaxscat.minimization.problem import build_problem, describe_problem
from jaxscat.objectives.objective import Objective
from jaxscat.objectives.scattering import Scattering, map_loss, mean_loss
from jaxscat.objectives.target import unit_of
from jaxscat.parametrizations.parametrization import Parametrization
from jaxscat.parametrizations.pixels import Pixels
from jaxscat.synthesis.synthesize import synthesize, synthesize_many

NPIX = 192
OPTIONS = {"max_steps": 20, "memory": 10, "chunk_steps": 7}


class Diagonal(Parametrization):
    """Each pixel with a factor of its own, and a constant."""

    factors: jax.Array
    constant: jax.Array

    @property
    def size(self):
        return NPIX

    def maps(self, parameters):
        return self.factors * parameters + self.constant

    def parameters(self, maps):
        return (maps - np.asarray(self.constant)) / np.asarray(self.factors)


def diagonal(factors, constant=0.0):
    return Diagonal(jnp.broadcast_to(jnp.asarray(factors), (NPIX,)), jnp.asarray(constant))


@pytest.fixture(scope="module")
def uneven():
    return diagonal(np.exp(np.random.default_rng(5).normal(size=NPIX)), 1.5)


def build(target, pyramid, form, memory=5):
    return build_problem(
        Objective({"scattering": Scattering.of(target, pyramid)}),
        form,
        LBFGS(memory=memory),
        build_limits(9),
        np.float64,
    )


@pytest.fixture(scope="module")
def start(original):
    return white_noise(original, 3).astype(float)


def test_a_form_that_scales_by_the_unit_changes_nothing(target, pyramid, start):
    """It is what a synthesis without one does to its map."""
    unit = unit_of(target, pyramid)
    plain = synthesize(target, pyramid, start, **OPTIONS)
    found = synthesize(target, pyramid, start, **OPTIONS, form=diagonal(unit))
    np.testing.assert_array_equal(found.evaluations, plain.evaluations)
    np.testing.assert_allclose(found.losses, plain.losses, rtol=1e-8)
    np.testing.assert_allclose(found.map, plain.map, rtol=1e-8, atol=1e-10)


def test_gradients_are_those_of_the_chain_rule(target, pyramid, uneven):
    fields = np.random.default_rng(6).normal(size=(2, NPIX))
    (loss, terms), gradient = build(target, pyramid, uneven).losses_and_gradients(fields)
    np.testing.assert_array_equal(terms["scattering"], loss)
    both = jax.jit(jax.value_and_grad(map_loss))
    for lane, field in enumerate(fields):
        value, slopes = both(uneven.maps(field), pyramid, target)
        assert loss[lane] == pytest.approx(float(value), rel=1e-12)
        np.testing.assert_allclose(gradient[lane], uneven.factors * slopes, rtol=1e-9, atol=1e-12)


def test_the_map_of_the_best_field_is_returned(target, pyramid, start, uneven):
    found = synthesize(target, pyramid, start, **OPTIONS, form=uneven)
    assert found.status == "step limit" and found.map.dtype == np.float64
    assert found.losses[0] == pytest.approx(float(map_loss(start, pyramid, target)), rel=1e-9)
    assert found.loss == found.losses.min() < found.losses[0] / 2
    assert found.loss == pytest.approx(float(map_loss(found.map, pyramid, target)), rel=1e-9)
    # Another metric takes other steps.
    plain = synthesize(target, pyramid, start, **OPTIONS)
    assert np.abs(found.map - plain.map).max() > 1e-2


def test_first_step_is_along_the_gradient_of_the_field(target, pyramid, start, uneven):
    one = {**OPTIONS, "max_steps": 1}
    found = synthesize(target, pyramid, start, **one, form=uneven)
    gradient = uneven.factors * jax.jit(jax.grad(map_loss))(start, pyramid, target)
    moved = uneven.parameters(found.map) - uneven.parameters(start)
    across = moved - (moved @ gradient) / (gradient @ gradient) * gradient
    assert np.linalg.norm(across) <= 1e-9 * np.linalg.norm(moved)


def test_many_maps_have_a_field_each(target, pyramid, original, uneven):
    starts = np.stack([white_noise(original, seed).astype(float) for seed in range(4)])
    found = synthesize_many(target, pyramid, 4, start=starts, batch_size=2, **OPTIONS, form=uneven)
    for seed in range(4):
        one = found.of_seed(seed)
        assert one.loss == pytest.approx(float(map_loss(one.map, pyramid, target)), rel=1e-9)
        alone = synthesize(target, pyramid, starts[seed], **OPTIONS, form=uneven)
        assert np.abs(one.map - alone.map).max() <= 1e-7 * np.abs(alone.map).max()


def test_coupled_maps_have_a_field_each_in_one_lane(target, pyramid, uneven):
    found = synthesize_many(target, pyramid, 3, coupled=True, **OPTIONS, form=uneven)
    assert found.map.shape == (3, NPIX)
    assert found.loss[0] == pytest.approx(float(mean_loss(found.map, pyramid, target)), rel=1e-9)
    assert found.loss[0] < found.losses[0, 0] / 2


@pytest.mark.parametrize("coupled", [False, True])
def test_resumed_synthesis_is_the_uninterrupted_one_bit_for_bit(
    target, pyramid, tmp_path, uneven, coupled
):
    options = {"max_steps": 9, "memory": 5, "chunk_steps": 4, "coupled": coupled, "form": uneven}
    kept = Checkpoints(tmp_path / "kept", every_steps=4, every_minutes=None)
    expected = synthesize_many(target, pyramid, 2, **options, checkpoints=kept)
    (tmp_path / "kept" / f"{kept.steps()[-1]:09}.npz").unlink()
    again = Checkpoints(tmp_path / "kept", every_steps=4, every_minutes=None)
    found = synthesize_many(target, pyramid, 2, **options, checkpoints=again)
    for name in ("map", "loss", "losses", "evaluations", "steps"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for form in (None, diagonal(2.0)):
        with pytest.raises(ValueError, match="got (structure of the problem|parametrization) = "):
            synthesize_many(target, pyramid, 2, **options | {"form": form}, checkpoints=again)


def test_identity_is_the_class_and_the_arrays(target, pyramid, uneven):
    class Other(Diagonal):
        pass

    def identity(form):
        return describe_problem(build(target, pyramid, form))

    factors = np.asarray(uneven.factors)
    assert identity(diagonal(factors, 1.5)) == identity(uneven)
    others = [
        diagonal(factors, 1.25),
        diagonal(factors[::-1], 1.5),
        Other(uneven.factors, uneven.constant),
    ]
    found = [identity(form)["parametrization"] for form in (uneven, *others)]
    assert all(left != right for i, left in enumerate(found) for right in found[:i])


def test_interrupted_run_keeps_the_map_of_its_best_field(target, pyramid, start, uneven):
    def interrupt(progress):
        raise KeyboardInterrupt

    done = synthesize(target, pyramid, start, **OPTIONS, form=uneven, callback=interrupt)
    assert done.status == "interrupted" and done.steps > 0
    assert done.loss == pytest.approx(float(map_loss(done.map, pyramid, target)), rel=1e-9)


def test_other_arrays_of_a_form_need_no_other_program(target, pyramid, start):
    synthesize(target, pyramid, start, **OPTIONS, form=diagonal(1.0))
    before = advance._cache_size()
    synthesize(target, pyramid, start, **OPTIONS, form=diagonal(2.0, 1.0))
    assert advance._cache_size() == before


class Filtered(Parametrization):
    """A dense matrix and its inverse."""

    matrix: jax.Array
    inverse: jax.Array

    @property
    def size(self):
        return NPIX

    def maps(self, parameters):
        return self.matrix @ parameters

    def parameters(self, maps):
        return np.asarray(self.inverse) @ maps


def test_memory_of_a_batch_counts_what_a_form_takes_and_not_its_tables(pyramid, target):
    matrix = jnp.eye(NPIX)
    devices = Devices()
    starts = jax.ShapeDtypeStruct((4, NPIX), np.dtype(np.float64))
    plain, formed = (
        devices.step_bytes(starts, build(target, pyramid, form), 3)
        for form in (Pixels(NPIX), Filtered(matrix, matrix))
    )
    assert plain is not None and abs(formed - plain) < matrix.nbytes / 2


# What is refused, before anything is compiled.


class Halved(Diagonal):
    def maps(self, parameters):
        return parameters[: NPIX // 2]


class Rotated(Diagonal):
    def maps(self, parameters):
        return 1j * parameters


class Unbounded(Diagonal):
    def parameters(self, maps):
        return np.full(NPIX, np.nan)


class Short(Diagonal):
    def parameters(self, maps):
        return maps[:-1]


class Twins(Diagonal):
    def maps(self, parameters):
        return parameters, parameters


class Empty(Diagonal):
    @property
    def size(self):
        return 0


class Plain:
    """No pytree."""

    size = NPIX

    def maps(self, parameters):
        return parameters

    def parameters(self, maps):
        return maps


ONE = jnp.ones(NPIX), jnp.ones(())


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (3, "form: got int, expected a Parametrization such as Pixels"),
        (lambda parameters: parameters, "form: got function, expected a Parametrization"),
        (Plain(), "form: got Plain, expected a Parametrization"),
        (Diagonal(jnp.ones(NPIX), "x"), r"form\.constant: got str, expected an array"),
        (Diagonal(jnp.ones(48), jnp.ones(())), "form: expected real maps of 192 parameters, but"),
        (Halved(*ONE), r"form: got maps of shape \(96,\), expected one of shape \(192,\)"),
        (Twins(*ONE), r"form: got maps of shape \(\(192,\), \(192,\)\), expected one of"),
        (Empty(*ONE), r"form\.size: got 0, expected a positive number"),
        (Rotated(*ONE), "form: got maps of complex128"),
        (
            Unbounded(*ONE),
            r"parametrization: got parameters of float64 of shape \(192,\) for the start, exp",
        ),
        (Short(*ONE), r"parametrization: got parameters of float64 of shape \(191,\) for the"),
    ],
    ids="number function object leaf nside short pair none complex NaN parameters".split(),
)
def test_what_is_no_form_is_refused(monkeypatch, target, pyramid, start, form, message):
    monkeypatch.setattr("jaxscat.minimization.lanes.advance", None)
    with pytest.raises(ValueError, match=f"^{message}"):
        synthesize(target, pyramid, start, form=form)


def test_numbers_of_python_are_taken_as_arrays(target, pyramid, start):
    found, expected = (
        synthesize(target, pyramid, start, **OPTIONS | {"max_steps": 2}, form=form)
        for form in (Diagonal(2.0, 1.0), diagonal(2.0, 1.0))
    )
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-12)


class Raised(Parametrization):
    """A form with a plain number among its leaves, as an `equinox.Module` may have."""

    offset: float
    pixels: Pixels

    @property
    def size(self):
        return self.pixels.size

    def maps(self, parameters):
        return self.pixels.maps(parameters) + self.offset

    def parameters(self, maps):
        return self.pixels.parameters(np.asarray(maps) - self.offset)


@pytest.mark.parametrize("coupled", [False, True])
def test_numbers_of_python_are_leaves_like_arrays(target, pyramid, coupled):
    start = np.random.default_rng(3).normal(size=(1, 192))
    found = [
        synthesize_many(
            target,
            pyramid,
            [0],
            start=start,
            form=Raised(offset, Pixels(192)),
            coupled=coupled,
            max_steps=2,
        ).map
        for offset in (1.5, np.asarray(1.5))
    ]
    np.testing.assert_array_equal(*found)


def test_a_leaf_that_is_no_number_is_named(target, pyramid):
    form = Raised("high", Pixels(192))
    with pytest.raises(ValueError, match=r"^form.offset: got str, expected an array"):
        synthesize_many(target, pyramid, [0], start=np.ones((1, 192)), form=form)
