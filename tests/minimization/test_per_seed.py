"""Seeds with arrays of the loss for themselves: each has the map of a minimization of its own."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscat
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.minimization.devices import Devices
from jaxscat.minimization.lanes import advance
from jaxscat.minimization.lbfgs import LBFGS
from jaxscat.minimization.minimize import Batching, minimize
from jaxscat.objectives.objective import Objective
from jaxscat.objectives.scattering import Scattering, map_loss

NPIX, COUNT = 48, 7


class Bowl(jaxscat.Term):
    """A paraboloid: its centre, and how steep it is along every pixel."""

    centre: np.ndarray
    steepness: np.ndarray

    def __call__(self, maps):
        return jnp.sum(self.steepness * (maps - self.centre) ** 2)


def loss_of(centre, steepness):
    """Every seed has a bowl of its own, beside one for all."""
    shared = Bowl(np.linspace(-1, 1, NPIX), np.full(NPIX, 0.3))
    return Objective({"own": Bowl(centre, steepness), "shared": shared}, {"shared": 2.0})


def own_bowl(objective):
    return [objective.terms["own"].centre, objective.terms["own"].steepness]


def minimum(centre, steepness):
    """Where the derivative of the sum is zero: twice 0.3 of the shared bowl."""
    return (steepness * centre + 0.6 * np.linspace(-1, 1, NPIX)) / (steepness + 0.6)


@pytest.fixture(scope="module")
def bowls():
    generator = np.random.default_rng(0)
    return generator.normal(size=(COUNT, NPIX)), generator.gamma(1.0, size=(COUNT, NPIX)) + 0.01


@pytest.fixture(scope="module")
def starts():
    return np.random.default_rng(1).normal(size=(COUNT, NPIX))


def run(centre, steepness, starts, size=None, **options):
    minimizer = LBFGS(gradient_tolerance=1e-8, memory=6)
    defaults = {"minimizer": minimizer, "max_steps": 60, "seeds": len(starts), "per_seed": own_bowl}
    options = defaults | options
    batching = Batching(batch_size=size, chunk_steps=4)
    return minimize(loss_of(centre, steepness), starts, batching=batching, **options)


@pytest.fixture(scope="module")
def together(bowls, starts):
    return run(*bowls, starts)


@pytest.fixture(scope="module")
def one_by_one(bowls, starts):
    return [
        run(centre, steepness, start, per_seed=None, seeds=None)
        for centre, steepness, start in zip(*bowls, starts, strict=True)
    ]


def assert_alike(found, one):
    """The gradient is below 1e-8 of the first, which is below 100, and twice the distance above."""
    assert found.status == one.status == "converged"
    np.testing.assert_allclose(found.map, one.map, atol=1e-6)
    for name in ("own", "shared"):
        np.testing.assert_allclose(found.terms[name][:9], one.terms[name][:9], rtol=1e-8)


def test_every_seed_has_the_minimum_of_its_own_loss(together, one_by_one, bowls):
    assert together.seeds == tuple(range(COUNT)) and set(together.status) == {"converged"}
    for number, one in enumerate(one_by_one):
        assert_alike(together.of_seed(number), one)
        wanted = minimum(*[part[number] for part in bowls])
        np.testing.assert_allclose(together.map[number], wanted, atol=1e-6)
        assert one.steps > 9
    assert np.std(together.map, axis=0).min() > 0.1


@pytest.mark.parametrize("size", [1, 2, 3])
def test_lanes_that_are_given_to_others_get_the_arrays_of_their_seed(
    one_by_one, bowls, starts, size
):
    found = run(*bowls, starts, size)
    for number, one in enumerate(one_by_one):
        assert_alike(found.of_seed(number), one)


def test_numbers_of_seeds_are_names_and_arrays_are_in_their_order(one_by_one, bowls, starts):
    seeds = [50, 3, 2**32 - 1, 0, 1, 9, 4]
    found = run(*bowls, starts, 2, seeds=seeds)
    for place, seed in enumerate(seeds):
        assert_alike(found.of_seed(seed), one_by_one[place])


def test_arrays_stay_with_their_seed_in_a_smaller_batch(bowls, starts, one_by_one, monkeypatch):
    """All but two seeds end at once; the others go on in lanes that are moved."""
    centre = 1e300 * bowls[0]
    centre[[4, 6]] = bowls[0][[4, 6]]
    advanced, widths = Devices.advance, []

    def watched(self, lanes, *others):
        widths.append(lanes.loss.shape[0])
        return advanced(self, lanes, *others)

    monkeypatch.setattr(Devices, "advance", watched)
    found = run(centre, bowls[1], starts)
    assert widths[:2] == [7, 2] and set(found.status[:4]) == {"not finite: own"}
    for number in (4, 6):
        assert_alike(found.of_seed(number), one_by_one[number])


@pytest.mark.parametrize("chunks", [1, 3, 5])
def test_resumed_seeds_are_the_uninterrupted_ones_bit_for_bit(bowls, starts, tmp_path, chunks):
    whole = run(*bowls, starts, 2)
    looks = []

    def stop(progress):
        looks.append(progress)
        if len(looks) == chunks:
            raise RuntimeError("killed")

    kept = {"every_steps": 1, "every_minutes": None}
    with pytest.raises(RuntimeError, match="killed"):
        run(*bowls, starts, 2, callback=stop, checkpoints=Checkpoints(tmp_path / "kept", **kept))
    for place in (0, 1):
        others = [part.copy() for part in bowls]
        others[place][6, 5] += 1e-9
        with pytest.raises(ValueError, match="^checkpoint in .*: got parametrization = "):
            run(*others, starts, 2, checkpoints=Checkpoints(tmp_path / "kept", **kept))
    again = []
    found = run(
        *bowls, starts, 2, callback=again.append, checkpoints=Checkpoints(tmp_path / "kept", **kept)
    )
    assert again[0].step > looks[0].step if chunks > 1 else again
    assert found.status == whole.status
    for name in ("map", "losses", "evaluations"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


def test_other_arrays_need_no_other_program(together, bowls, starts):
    before = advance._cache_size()
    other = run(2 * bowls[0], bowls[1][::-1], starts[::-1] + 1)
    assert advance._cache_size() == before
    expected = np.stack([minimum(2 * a, b) for a, b in zip(bowls[0], bowls[1][::-1], strict=True)])
    np.testing.assert_allclose(other.map, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("per_seed", "as_jax"),
    [
        (lambda objective: objective.terms["own"], False),
        (lambda objective: objective.terms["own"], True),
        (lambda objective: (own_bowl(objective)[1], own_bowl(objective)[0]), False),
    ],
    ids=["a whole term", "of JAX", "in another order"],
)
def test_arrays_are_selected_in_any_structure(together, bowls, starts, per_seed, as_jax):
    before = advance._cache_size()
    parts = [jnp.asarray(part) if as_jax else part for part in bowls]
    found = run(*parts, starts, per_seed=per_seed)
    np.testing.assert_array_equal(found.map, together.map)
    assert advance._cache_size() == before


def test_seeds_may_have_one_array_each_and_share_the_rest(bowls, starts):
    centre, steepness = bowls
    found = run(centre, steepness[0], starts, per_seed=lambda loss: loss.terms["own"].centre)
    expected = np.stack([minimum(part, steepness[0]) for part in centre])
    np.testing.assert_allclose(found.map, expected, atol=1e-6)


def test_terms_that_fail_are_named_for_their_seed_alone(bowls, starts, together):
    centre, steepness = bowls[0].copy(), bowls[1]
    centre[5, 3] = np.inf
    found = run(centre, steepness, starts)
    assert found.status[5] == "not finite: own"
    for number in (0, 6):
        assert_alike(found.of_seed(number), together.of_seed(number))


def test_every_seed_has_a_target_of_its_own(pyramids):
    pyramid, generator = pyramids(2, scales=1, orientations=2), np.random.default_rng(2)
    originals, starts = generator.gamma(2.0, size=(2, 2, NPIX))
    targets = [
        jaxscat.make_target(map, pyramid, coarsest_nside=1, weights="plain") for map in originals
    ]
    mean, sigma = [
        jax.tree.map(lambda *parts: np.stack(parts), *pair)
        for pair in zip(*[(of.mean, of.sigma) for of in targets], strict=True)
    ]
    term = Scattering.of(targets[0], pyramid).calibrated(mean, sigma)
    found = minimize(
        term,
        starts,
        seeds=2,
        per_seed=lambda objective: objective.terms["scattering"].calibration,
        max_steps=5,
    )
    for number, target in enumerate(targets):
        for at, map in ((0, starts[number]), (-1, found.map[number])):
            loss = float(map_loss(map, pyramid, target))
            assert found.losses[number, at] == pytest.approx(loss, rel=1e-8)
    assert (found.losses[:, -1] < found.losses[:, 0] / 2).all()


BAD = {
    "nothing": (lambda loss: [], "got no array of the objective, expected at least one"),
    "no arrays": (lambda loss: loss.weights and {}, "got no array of the objective"),
    "another name": (lambda loss: loss.terms["other"], "expected a function .*, got 'other'"),
    "another field": (lambda loss: loss.terms["own"].mean, "expected a function that returns"),
    "values": (lambda loss: 2 * loss.terms["own"].centre, "expected a function that returns"),
    "None": (lambda loss: None, "expected a function that returns arrays"),
    "no argument": (lambda: [], "expected a function that returns arrays"),
    "no function": (3, "expected a function that returns arrays"),
    "shared": (
        lambda loss: loss.terms["shared"].centre,
        r"got terms['shared'].centre of shape (48,), expected a leading axis of 7 seeds",
    ),
    "a number": (
        lambda loss: loss.weights["shared"],
        r"got weights['shared'] of shape (), expected a leading axis of 7 seeds",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_selection_is_refused_before_anything_is_compiled(monkeypatch, bowls, starts, name):
    monkeypatch.setattr("jaxscat.minimization.lanes.advance", None)
    per_seed, message = BAD[name]
    message = re.escape(message) if "[" in message else message
    with pytest.raises(ValueError, match=f"^per_seed: {message}"):
        run(*bowls, starts, per_seed=per_seed)


def test_a_selection_without_seeds_is_refused(bowls, starts):
    with pytest.raises(ValueError, match="^per_seed: got a function without seeds, expected None"):
        run(*bowls, starts[0], seeds=None)


def test_other_numbers_of_seeds_than_of_arrays_are_refused(bowls, starts):
    with pytest.raises(ValueError, match=r"^per_seed: .*centre of shape \(7, 48\), expected .* 6"):
        run(*bowls, starts[:6])


def test_arrays_of_a_seed_have_to_fit_the_term(bowls, starts):
    with pytest.raises(ValueError, match=r"^terms\['own'\]: expected a term of maps of \(48,\)"):
        run(bowls[0][:, :40], bowls[1][:, :40], starts)
