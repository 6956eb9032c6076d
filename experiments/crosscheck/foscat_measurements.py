"""Numbers that the installed FOSCAT gives for the maps of one case."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.crosscheck.cases import Case, Inputs
from experiments.crosscheck.measurements import Numbers
from experiments.foscat_reference.conventions import Geometry, Groups
from experiments.foscat_reference.statistics import Foscat


def foscat_numbers(
    case: Case, geometry: Geometry, inputs: Inputs, cache: Path | None = None
) -> Numbers:
    """Return the numbers of FOSCAT; `cache` keeps its operators."""
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
