"""Maps from coarse to fine: what is kept of the coarse map, and what of the start."""

from functools import partial

import healpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.fields.starts import white_noise
from jaxscat.minimization.checkpoints import Checkpoints
from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.scattering import map_loss
from jaxscat.operators.apply import downsample_map
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.parametrizations.parametrization import Parametrization
from jaxscat.synthesis.levels import prolong, synthesize_levels
from jaxscat.synthesis.synthesize import synthesize_many

OPTIONS = {"max_steps": 12, "memory": 5, "chunk_steps": 5}


@pytest.fixture(scope="module")
def pyramids():
    return [build_pyramid(nside, dtype="float64") for nside in (1, 2, 4)]


@pytest.fixture(scope="module")
def targets(pyramids, original):
    two = np.asarray(downsample_map(original, pyramids[2]))
    one = np.asarray(downsample_map(two, pyramids[1]))
    return [make_target(map, p) for map, p in zip((one, two, original), pyramids, strict=True)]


@pytest.fixture(scope="module")
def start(original):
    return partial(white_noise, original)


@pytest.fixture(scope="module")
def made(targets, pyramids, start):
    return synthesize_levels(targets, pyramids, 3, start=start, **OPTIONS)


def test_refined_is_what_dense_matrices_give(reference, pyramids):
    generator = np.random.default_rng(1)
    start, two, one = (generator.normal(size=size) for size in (192, 48, 12))
    down = {nside: reference.downsampling_matrix(nside) for nside in (4, 2)}
    up = {nside: reference.upsampling_matrix(nside) for nside in (4, 2)}
    found = prolong(start, two, pyramids[2])
    expected = up[4] @ two + (start - up[4] @ down[4] @ start)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    found = prolong(start, one, pyramids[2])
    expected = start + up[4] @ up[2] @ (one - down[2] @ down[4] @ start)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_refined_patch_is_what_dense_matrices_give(reference):
    cells = np.random.default_rng(2).permutation(np.arange(64, 144))
    pyramid = build_pyramid(4, scales=2, dtype="float64", cell_ids=cells)
    ascending = tuple(sorted(cells.tolist()))
    down = reference.downsampling_matrix(4, ascending)
    up = reference.upsampling_matrix(4, ascending)
    start, coarse = np.random.default_rng(3).normal(size=80), pyramid.pixels(1) * 0.1
    found = prolong(start, coarse, pyramid)
    order = np.argsort(cells)
    expected = up @ coarse + (start[order] - up @ down @ start[order])
    np.testing.assert_allclose(found[order], expected, atol=1e-12)


def test_refined_with_large_kernels(reference):
    """Their finest scale is at twice the nside of the maps."""
    pyramid = build_pyramid(4, kernel_size=5, dtype="float64")
    start, coarse = (np.random.default_rng(4).normal(size=size) for size in (192, 48))
    down, up = reference.downsampling_matrix(4), reference.upsampling_matrix(4)
    expected = up @ coarse + (start - up @ down @ start)
    np.testing.assert_allclose(prolong(start, coarse, pyramid), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_both_maps_share_is_not_even_rounded(dtype):
    pyramid = build_pyramid(8, dtype=dtype)
    start = np.random.default_rng(5).normal(size=768).astype(dtype)
    coarse = np.asarray(downsample_map(downsample_map(start, pyramid), pyramid, 1))
    found = prolong(start, coarse, pyramid)
    assert isinstance(found, np.ndarray) and found.dtype == dtype
    np.testing.assert_array_equal(found, start)
    # In a type of higher precision, the start keeps it.
    assert prolong(start.astype(np.float64), coarse, pyramid).dtype == np.float64


def test_large_scales_are_those_of_the_coarse_map_and_small_ones_those_of_the_start():
    """By healpy's multipoles, at nside 32 from 8."""
    pyramid = build_pyramid(32, dtype="float32")
    red = 1 / (1 + np.arange(96.0)) ** 2
    np.random.seed(7)
    sky, other = (healpy.synfast(red, 32, lmax=95) for _ in range(2))
    coarse = healpy.reorder(healpy.ud_grade(sky, 8), r2n=True)
    start = healpy.reorder(other, r2n=True).astype(np.float32)
    found = prolong(start, coarse, pyramid)

    def correlation(left, right, lowest, highest):
        left, right = (
            healpy.map2alm(healpy.reorder(map, n2r=True), lmax=95) for map in (left, right)
        )
        degree, _ = healpy.Alm.getlm(95)
        some = (degree >= lowest) & (degree <= highest)
        product = np.vdot(left[some], right[some]).real
        return product / np.linalg.norm(left[some]) / np.linalg.norm(right[some])

    sky = healpy.reorder(sky, r2n=True)
    assert correlation(found, sky, 1, 4) > 0.95
    assert correlation(found, start, 30, 80) > 0.99
    assert correlation(start, sky, 1, 4) < 0.8


@pytest.mark.parametrize(
    ("start", "coarse", "message"),
    [
        (np.ones(191), np.ones(48), "start: got"),
        (np.full(192, np.nan), np.ones(48), "start: got"),
        (np.ones(192), np.ones(192), r"coarse: got 192 pixels, .* have \[48, 12\]"),
        (np.ones(192), np.ones(768), "coarse: got 768 pixels"),
        (np.ones(192), np.ones((1, 48)), "coarse: got"),
        (np.ones(192), np.full(48, np.inf), "coarse: got"),
        (np.ones(192), np.ones(48, complex), "coarse: got"),
    ],
    ids="short NaN same finer axes infinite complex".split(),
)
def test_what_cannot_be_prolong(pyramids, start, coarse, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        prolong(start, coarse, pyramids[2])


def by_hand(targets, pyramids, seeds, start, **options):
    """The levels one after the other, from starts that are given as maps."""
    starts = {len(pyramids) - 1: np.stack([start(seed).astype(float) for seed in seeds])}
    for level in range(len(pyramids) - 1, 0, -1):
        starts[level - 1] = np.asarray(downsample_map(starts[level], pyramids[level]))
    result = synthesize_many(targets[0], pyramids[0], seeds, start=starts[0], **options)
    for level in range(1, len(pyramids)):
        pairs = zip(starts[level], result.map, strict=True)
        begun = np.stack([prolong(own, coarse, pyramids[level]) for own, coarse in pairs])
        result = synthesize_many(targets[level], pyramids[level], seeds, start=begun, **options)
    return result


def test_levels_are_syntheses_one_after_the_other(made, targets, pyramids, start):
    expected = by_hand(targets, pyramids, [0, 1, 2], start, **OPTIONS)
    assert made.map.shape == (3, 192) and made.seeds == (0, 1, 2)
    np.testing.assert_allclose(made.losses, expected.losses, rtol=1e-6)
    np.testing.assert_allclose(made.map, expected.map, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(made.steps, 12)
    for seed in range(3):
        loss = float(map_loss(made.map[seed], pyramids[2], targets[2]))
        assert made.loss[seed] == pytest.approx(loss, rel=1e-9)


def test_one_level_is_a_synthesis(targets, pyramids, start):
    found = synthesize_levels(targets[2:], pyramids[2:], [4, 2], start=start, **OPTIONS)
    expected = synthesize_many(targets[2], pyramids[2], [4, 2], start=start, **OPTIONS)
    np.testing.assert_array_equal(found.map, expected.map)


def test_a_level_may_be_left_out_and_starts_may_be_given(targets, pyramids, start, original):
    some = [targets[0], targets[2]], [pyramids[0], pyramids[2]]
    found = synthesize_levels(*some, [5, 6], start=start, **OPTIONS)
    given = np.stack([start(seed) for seed in (5, 6)])
    same = synthesize_levels(*some, [5, 6], start=given, **OPTIONS)
    np.testing.assert_array_equal(found.map, same.map)
    default = synthesize_levels(*some, [5, 6], **OPTIONS)
    np.testing.assert_allclose(default.losses[:, 0], found.losses[:, 0], rtol=1e-3)


def test_map_of_a_seed_depends_on_the_seed_only(made, targets, pyramids, start):
    found = synthesize_levels(targets, pyramids, [2, 0], start=start, batch_size=1, **OPTIONS)
    np.testing.assert_allclose(found.of_seed(0).map, made.of_seed(0).map, rtol=1e-6, atol=1e-8)


def test_coupled_maps_have_levels_too(targets, pyramids, start):
    found = synthesize_levels(targets, pyramids, 2, start=start, coupled=True, **OPTIONS)
    assert found.map.shape == (2, 192) and len(set(found.loss.tolist())) == 1


def test_callback_hears_every_level(made, targets, pyramids, start):
    seen = []
    found = synthesize_levels(targets, pyramids, 3, start=start, **OPTIONS, callback=seen.append)
    np.testing.assert_array_equal(found.map, made.map)
    ends = [progress for progress in seen if progress.finished == 3]
    assert len(ends) == 3
    assert all(progress.step <= progress.max_steps == 36 for progress in seen)


def test_limits_hold_for_each_level(targets, pyramids, start):
    seen = []
    options = OPTIONS | {"max_evaluations": 5}
    found = synthesize_levels(targets, pyramids, 2, start=start, **options, callback=seen.append)
    assert found.status == ("evaluation limit",) * 2 and found.evaluations.max() <= 5
    assert sum(progress.finished == 2 for progress in seen) == 3


def looks(targets, pyramids, start):
    """For every look from the host, how many maps of its level were finished."""
    seen = []
    synthesize_levels(targets, pyramids, 2, start=start, **OPTIONS, callback=seen.append)
    return [progress.finished for progress in seen]


def test_an_interrupt_before_the_finest_level_is_not_caught(targets, pyramids, start):
    """Also one at the last look, after which the level is whole."""
    ends = [look for look, finished in enumerate(looks(targets, pyramids, start)) if finished == 2]
    assert len(ends) == 3
    for last in (0, ends[0], ends[0] + 1, ends[1]):
        seen = []

        def interrupt(progress, seen=seen, last=last):
            seen.append(progress)
            if len(seen) == last + 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            synthesize_levels(targets, pyramids, 2, start=start, **OPTIONS, callback=interrupt)
        assert len(seen) == last + 1


def test_an_interrupt_at_the_finest_level_keeps_the_best_maps(made, targets, pyramids, start):
    finished = looks(targets, pyramids, start)
    first = [look for look, number in enumerate(finished) if number == 2][1] + 1
    calls = []

    def interrupt(progress):
        calls.append(progress)
        if len(calls) == first + 1:
            raise KeyboardInterrupt

    done = synthesize_levels(targets, pyramids, 2, start=start, **OPTIONS, callback=interrupt)
    assert done.map.shape == (2, 192) and done.status == ("interrupted",) * 2
    for seed in range(2):
        steps = done.of_seed(seed).steps
        assert 0 < steps < 12
        np.testing.assert_allclose(
            done.of_seed(seed).losses, made.losses[seed, : steps + 1], rtol=1e-6
        )


def test_resumed_levels_are_the_uninterrupted_ones_bit_for_bit(
    made, targets, pyramids, start, tmp_path
):
    """Two lanes for three seeds: the last start is refined after the checkpoint."""
    options = OPTIONS | {"batch_size": 2}
    whole = synthesize_levels(targets, pyramids, 3, start=start, **options)

    def stop(progress):
        if Checkpoints(tmp_path).steps():
            assert progress.finished == 0
            raise RuntimeError("killed")

    kept = {"every_steps": 1, "every_minutes": None}
    with pytest.raises(RuntimeError, match="killed"):
        synthesize_levels(
            targets,
            pyramids,
            3,
            start=start,
            **options,
            checkpoints=Checkpoints(tmp_path, **kept),
            callback=stop,
        )
    again = Checkpoints(tmp_path, **kept)
    with pytest.raises(ValueError, match="got levels = "):
        synthesize_levels(targets[1:], pyramids[1:], 3, start=start, **options, checkpoints=again)
    found = synthesize_levels(targets, pyramids, 3, start=start, **options, checkpoints=again)
    for name in ("map", "loss", "losses", "evaluations", "steps"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


class Scaled(Parametrization):
    factors: jax.Array

    @property
    def size(self):
        return self.factors.size

    def maps(self, parameters):
        return self.factors * parameters

    def parameters(self, maps):
        return maps / np.asarray(self.factors)


def test_a_form_is_that_of_the_finest_level(targets, pyramids, start):
    form = Scaled(jnp.linspace(0.5, 2.0, 192))
    found = synthesize_levels(targets, pyramids, 2, start=start, form=form, **OPTIONS)
    plain = synthesize_levels(targets, pyramids, 2, start=start, **OPTIONS)
    # Both begin with the same maps, and take other steps from there.
    np.testing.assert_allclose(found.losses[:, 0], plain.losses[:, 0], rtol=1e-9)
    assert np.abs(found.map - plain.map).max() > 1e-3
    loss = float(map_loss(found.map[1], pyramids[2], targets[2]))
    assert found.loss[1] == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": []}, "targets, pyramids: got 0 and 3"),
        ({"targets": [], "pyramids": []}, "targets, pyramids: got 0 and 0"),
        ({"order": [1, 0, 2]}, "pyramids: got nside 2 before 1, expected from coarse to fine"),
        ({"order": [0, 2, 2]}, "pyramids: got nside 4 before 4"),
        ({"order": [0, 1, 1]}, "pyramids: got nside 2 before 2"),
        ({"mixed": True}, "target: got"),
        ({"form": Scaled(jnp.ones(48))}, "form: "),
        ({"seeds": []}, "seeds: got none"),
        ({"start": np.ones((2, 48))}, "start of seed 0: got"),
        ({"start": np.ones(192)}, "start: got shape"),
        ({"max_evaluations": 0}, "max_evaluations: got 0"),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_anything_is_compiled(
    monkeypatch, targets, pyramids, changes, message
):
    monkeypatch.setattr("jaxscat.minimization.lanes.advance", None)
    changes = dict(changes)
    order = changes.pop("order", [0, 1, 2])
    arguments = {
        "targets": [targets[i] for i in order],
        "pyramids": [pyramids[i] for i in order],
        "seeds": 2,
    }
    if changes.pop("mixed", False):
        arguments["targets"] = targets[:2] + targets[:1]
    with pytest.raises(ValueError, match=f"^{message}"):
        synthesize_levels(**arguments | changes)


def test_a_pyramid_without_the_scale_of_the_level_before_is_refused(targets, pyramids):
    fine = build_pyramid(4, scales=2, dtype="float64")
    target = make_target(np.random.default_rng(0).gamma(2.0, size=192), fine)
    with pytest.raises(ValueError, match="pyramids: got nside 1 before 4"):
        synthesize_levels([targets[0], target], [pyramids[0], fine], 2)


def test_a_patch_has_levels(original):
    cells = np.arange(64, 144)
    fine = build_pyramid(4, scales=2, dtype="float64", cell_ids=cells)
    coarse = build_pyramid(2, scales=1, dtype="float64", cell_ids=fine.pixels(1))
    map = original[cells]
    lowered = np.asarray(downsample_map(map, fine))
    both = [make_target(lowered, coarse), make_target(map, fine)]
    found = synthesize_levels(both, [coarse, fine], 2, **OPTIONS)
    assert found.map.shape == (2, 80) and (found.loss < found.losses[:, 0]).all()
    turned = build_pyramid(2, scales=1, dtype="float64", cell_ids=fine.pixels(1)[::-1])
    with pytest.raises(ValueError, match="pyramids: got nside 2 before 4"):
        synthesize_levels(both, [turned, fine], 2)
