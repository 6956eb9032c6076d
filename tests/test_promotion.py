"""Everything works in programs that forbid promotion of types and of ranks in JAX."""

import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import sys
import jax
import jax.numpy as jnp
import numpy as np

# Both precisions at once: arrays of the other one are about.
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

import jaxscat
from jaxscat import *

(folder,) = sys.argv[1:]
generator = np.random.default_rng(0)
map, other = generator.gamma(2.0, size=(2, 192))
masks = generator.uniform(0.1, 1, (2, 192))
"""

STATISTICS = """
for dtype, options in (
    ("float32", {"scales": 2}),
    ("float64", {"scales": 2, "kernel_size": 5}),
    ("float64", {"scales": 2, "cell_ids": np.arange(191, 64, -1)}),
):
    pyramid = build_pyramid(4, orientations=2, dtype=dtype, **options)
    pixels = slice(0, pyramid.spec.npix)
    one, two, many = map[pixels], other[pixels], masks[:, pixels]
    hidden = np.arange(one.size) > 20
    statistics, errors = measure(one, pyramid), standard_error(one, pyramid)
    measure(one + 1e4, pyramid, second=two, mask=many, mask_threshold=0.1, both_triangles=True)
    standard_error(one, pyramid, second=two + 1e4, mask=many[0], formula="foscat")
    for mode in "exclude", "include", "interior":
        jax.jit(lambda x, mask: measure(x, pyramid, mask=mask, hidden=mode))(one, hidden)
    alignment = align_orientations(one, pyramid, compatibility="foscat")
    measure(one, pyramid, alignment=align_orientations(one, pyramid), mask=many)
    measure(one, pyramid, alignment=alignment)
    coefficient_maps(one, pyramid, second=two)
    wavelet_power(one, pyramid, mask=many)
    normalize(measure(one, pyramid, mask=many), statistics.s2)
    for reduction in IsotropicMean(), IsotropicMean("foscat"), FourierHarmonics(1):
        reduction.mean(statistics), reduction.sigma(errors)
    isotropic_spread(statistics), isotropic_spread(statistics, "foscat")
    statistics.table()
    scale = pyramid.spec.own_scale
    convolve_map(one, pyramid, scale)
    if scale == 0:
        upsample_map(downsample_map(one, pyramid), pyramid)
    target = make_target(one, pyramid)
    start = jnp.asarray(np.roll(two, 3), dtype)
    jax.value_and_grad(map_loss)(start, pyramid, target), chi_square(statistics, target)
    jax.jvp(lambda x: measure(x, pyramid).s4, (start,), (start,))
    grouped_vmap(jax.value_and_grad(map_loss))(jnp.stack([start] * 4), pyramid, target)
    mean_loss(np.stack([one, two]), pyramid, target)
    synthesize_many(target, pyramid, 2, batch_size=1, max_steps=2)
"""

TARGETS = """
dtype = "float32"
pyramid = build_pyramid(4, orientations=2, dtype=dtype)
three = np.stack([map, other, other[::-1]])
for given, options in (
    (map, {"second": other + 1e4, "normalization": "own", "mask": masks}),
    (three, {"sigma": "ensemble", "reduction": FourierHarmonics(1), "normalization": "target"}),
    (three, {"normalization": "own", "alignment": align_orientations(map, pyramid)}),
    (map, {"sigma": "foscat", "weights": "plain", "reduction": IsotropicMean()}),
):
    made = make_target(given, pyramid, **options)
    jax.grad(map_loss)(jnp.asarray(other, dtype), pyramid, made)
target = make_target(map, pyramid)
for hold in True, False:
    form = harmonic_form(map, dtype=dtype, hold_spectrum=hold)
    synthesize(target, pyramid, gaussian_noise(map, 1), form=form, max_steps=2)
coarse = build_pyramid(2, orientations=2, dtype=dtype)
small = make_target(np.asarray(downsample_map(map, pyramid)), coarse)
checkpoints = Checkpoints(folder, every_steps=1)
synthesize_levels(
    [small, target], [coarse, pyramid], 2, coupled=True, checkpoints=checkpoints, max_steps=2
)
terms = {"a": Scattering.of(target, pyramid), "b": lambda x: jnp.mean(x**2)}
free = FreePixels(map.astype(dtype), np.arange(20))
minimize(Objective(terms, {"b": 2}), other.astype(dtype), parametrization=free, max_steps=2)
both = {"x": other.astype(dtype), "y": other.astype(dtype)}
lbfgs = LBFGS(stagnation=0.1)
picked = Objective({"a": Scattering.of(target, pyramid, selection="x")})
minimize(picked, both, minimizer=lbfgs, max_steps=2, max_evaluations=9)
validate(map, other, pyramid=pyramid, start=other, controls=2, mask=masks[0])
normal, relation = gaussianize(map.astype(dtype))
jax.vmap(relation.forward)(three)
jax.grad(lambda x: relation.inverse(relation.forward(x)).sum())(jnp.asarray(map, dtype))
"""


@pytest.mark.parametrize("calls", [STATISTICS, TARGETS], ids=["statistics", "targets"])
def test_no_promotion_is_needed(tmp_path, calls):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BEGIN + calls, str(tmp_path / "checkpoints")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr[-3000:]
