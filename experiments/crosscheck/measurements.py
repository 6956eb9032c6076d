"""Numbers that one package gives for the maps of one case, and those of jaxscat."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxscat
from experiments.crosscheck.cases import Case, Inputs, patch_scales
from experiments.foscat_reference.conventions import FOSCAT_LOSS, Geometry, Groups, Map


@dataclass(frozen=True)
class Numbers:
    """Numbers of one package for one map.

    Attributes:
        mean: coefficients by their groups.
        sigma: FOSCAT's standard errors of them; empty where there are none.
        loss: seed loss at the start map; None where it is not compared.
        gradient: of that loss.
    """

    mean: Groups
    sigma: Groups
    loss: float | None = None
    gradient: Map | None = None


@lru_cache(maxsize=16)
def _pyramid(
    wavelets: tuple[int, int, int], geometry: Geometry, cells: tuple[int, ...] | None
) -> jaxscat.Pyramid:
    nside, orientations, kernel_size = wavelets
    patch = {}
    if cells is not None:
        patch = {"cell_ids": np.array(cells), "scales": patch_scales(nside, len(cells))}
    return jaxscat.build_pyramid(
        nside,
        orientations=orientations,
        kernel_size=kernel_size,
        dtype=np.float64,
        geometry=geometry,
        **patch,
    )


def jaxscat_numbers(
    case: Case, geometry: Geometry, inputs: Inputs, given: Numbers | None = None
) -> Numbers:
    """Return the numbers of jaxscat; the target of the loss is `given` where it is there."""
    cells = None if inputs.cell_ids is None else tuple(inputs.cell_ids.tolist())
    pyramid = _pyramid(case.wavelets, geometry, cells)
    options: dict[str, Any] = {}
    if inputs.second is not None:
        options["second"] = jnp.asarray(inputs.second)
    if inputs.mask is not None:
        options |= {"mask": jnp.asarray(inputs.mask), "hidden": "include"}
    if case.threshold:
        options["mask_threshold"] = case.mask_threshold
    if case.aligned:
        options["alignment"] = jaxscat.align_orientations(
            jnp.asarray(inputs.alignment_guide), pyramid, compatibility="foscat"
        )
    original = jnp.asarray(inputs.original)
    if case.loss:
        return _with_loss(original, pyramid, options, jnp.asarray(inputs.start), given)
    mean = jaxscat.measure(original, pyramid, **options)
    if case.treatment == "normalized":
        powers = [original] if inputs.second is None else [original, options.pop("second")]
        power = (jaxscat.measure(field, pyramid, **options).s2 for field in powers)
        return Numbers(_arrays(jaxscat.normalize(mean, *power)), {})
    if case.treatment == "spread":
        return Numbers(_arrays(jaxscat.isotropic_spread(mean, compatibility="foscat")), {})
    sigma = jaxscat.standard_error(original, pyramid, formula="foscat", **options)
    if case.treatment is None:
        return Numbers(_arrays(mean), _arrays(sigma))
    reduction = (
        jaxscat.IsotropicMean(compatibility="foscat")
        if case.treatment == "isotropic mean"
        else jaxscat.FourierHarmonics(harmonics=1, imaginary=True)
    )
    return Numbers(_arrays(reduction.mean(mean)), _arrays(reduction.sigma(sigma)))


def _with_loss(
    original: jax.Array,
    pyramid: jaxscat.Pyramid,
    options: dict[str, Any],
    start: jax.Array,
    given: Numbers | None,
) -> Numbers:
    own = target = jaxscat.make_target(original, pyramid, **FOSCAT_LOSS, **options)
    if given is not None:
        target = replace(
            own,
            mean=replace(own.mean, **_jax_arrays(given.mean)),
            sigma=replace(own.sigma, **_jax_arrays(given.sigma)),
        )
    loss, gradient = _loss_and_gradient(start, pyramid, target)
    return Numbers(_arrays(own.mean), _arrays(own.sigma), float(loss), np.asarray(gradient))


_loss_and_gradient = jax.jit(jax.value_and_grad(jaxscat.map_loss))


def _arrays(coefficients: Any) -> Groups:
    return {name.lower(): np.asarray(group) for name, group in coefficients.groups().items()}


def _jax_arrays(groups: Groups) -> dict[str, jax.Array]:
    return {name: jnp.asarray(group) for name, group in groups.items()}
