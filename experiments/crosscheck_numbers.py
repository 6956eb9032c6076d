"""What each package says about the maps of one case."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from crosscheck_cases import Case, Inputs, Map, patch_scales
from foscat_loss import FOSCAT_LOSS
from foscat_reference import Foscat, Geometry, Groups

import jaxscat


@dataclass(frozen=True)
class Numbers:
    """What one package says about one map.

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


def foscat_numbers(
    case: Case, geometry: Geometry, inputs: Inputs, cache: Path | None = None
) -> Numbers:
    """Return what FOSCAT says; `cache` keeps its operators."""
    patch = {} if inputs.cell_ids is None else {"nside": case.nside, "cell_ids": inputs.cell_ids}
    foscat = Foscat(
        case.orientations,
        case.kernel_size,
        mask_threshold=case.mask_threshold,
        geometry=geometry,
        cache=cache,
        **patch,
    )
    original = inputs.original
    options: dict[str, Any] = {"mask": inputs.mask, "second": inputs.second}
    if case.treatment == "normalized":
        return Numbers(_normalized_foscat(foscat, inputs), {})
    if case.treatment is not None:
        reduced = foscat.reductions(original, **options)
        return {
            "isotropic mean": Numbers(reduced.mean, reduced.mean_of_sigma),
            "harmonics": Numbers(reduced.harmonics, reduced.harmonics_sigma),
            "spread": Numbers(reduced.spread, {}),
        }[case.treatment]
    if case.aligned:
        options["alignment"] = foscat.align(inputs.alignment_guide)
    numbers = Numbers(*foscat.measure_with_sigma(original, **options))
    if not case.loss:
        return numbers
    loss, gradient = foscat.seed_loss(original, **options).value_and_grad(inputs.start)
    return replace(numbers, loss=loss, gradient=gradient)


def _normalized_foscat(foscat: Foscat, inputs: Inputs) -> Groups:
    """Return coefficients in units of the power of the same maps.

    FOSCAT divides S2 only. The other groups are divided here, by the powers that it measures.
    """
    first = foscat.measure(inputs.original, inputs.mask)["s2"]
    second = first
    if inputs.second is not None:
        second = foscat.measure(inputs.second, inputs.mask)["s2"]
    mean = foscat.measure(inputs.original, inputs.mask, second=inputs.second, norm="auto")
    pairs = [(j2, j3) for j3 in range(first.shape[-2]) for j2 in range(j3 + 1)]
    triples = [(j1, j2) for j2, _ in pairs for j1 in range(j2 + 1)]
    mean["s1"] = mean["s1"] / (first * second) ** 0.25
    for name, modulus, field in (("s3", second, first), ("s3p", first, second)):
        if name in mean:
            units = [modulus[..., j2, :, None] * field[..., j3, None, :] for j2, j3 in pairs]
            mean[name] = mean[name] / np.sqrt(np.stack(units, axis=-3))
    units = [second[..., j2, :, None] * first[..., j1, None, :] for j1, j2 in triples]
    mean["s4"] = mean["s4"] / np.sqrt(np.stack(units, axis=-3))[..., None]
    return mean


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
    """Return what jaxscat says; the loss has the coefficients and errors of `given` as target."""
    cells = None if inputs.cell_ids is None else tuple(inputs.cell_ids.tolist())
    pyramid = _pyramid(case.wavelets, geometry, cells)
    options: dict[str, Any] = {}
    if inputs.second is not None:
        options["second"] = jnp.asarray(inputs.second)
    if inputs.mask is not None:
        options["mask"] = jnp.asarray(inputs.mask)
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
