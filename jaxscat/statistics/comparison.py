"""Comparison of two sets of measured coefficients, group by group."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxscat.maps import check_kind
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.indices import covariance_scales
from jaxscat.statistics.storage import StoredStatistics, spec_differences


class GroupDifference(NamedTuple):
    """Difference between two groups of coefficients.

    Attributes:
        group: "S0" to "S4".
        number: number of coefficients, of all masks together.
        relative_rms: root of sum |difference|^2 / sum |first|^2; None if the first is zero.
        chi_square: mean of |difference / error|^2; None if there are no nonzero errors.
        largest: maximum |difference / error|.
        name: name of the coefficient of that maximum.
    """

    group: str
    number: int
    relative_rms: float | None
    chi_square: float | None
    largest: float | None
    name: str | None


def compare_statistics(one: StoredStatistics, other: StoredStatistics) -> list[GroupDifference]:
    """Compare two sets of coefficients group by group, in float64.

    Differences are in units of the errors of the first or, if it has none, of the other;
    coefficients with zero error are ignored there. Where one has more scales than the other, the
    finest that both have are compared (see `common_scales`). Warns where hidden pixels alone make
    a difference.

    Raises:
        ValueError: the two differ in pyramid, kind or masks; precisions may differ.
    """
    for name, stored in (("one", one), ("other", other)):
        check_kind(
            stored, StoredStatistics, name, "StoredStatistics from load_statistics, errors included"
        )
    if (said := _describe_hidden(one, other)) is not None:
        warnings.warn(f"coefficients: {said}", stacklevel=2)
    one, other = common_scales(one, other)
    _check_alike(one, other)
    errors = choose_errors(one, other)
    names = one.statistics.names()
    theirs, rows, start = other.statistics.groups(), [], 0
    for group, reference in one.statistics.groups().items():
        reference = np.asarray(reference).astype(np.complex128)
        difference = np.abs(np.asarray(theirs[group]).astype(np.complex128) - reference)
        scale = (np.abs(reference) ** 2).sum()
        relative = float(np.sqrt((difference**2).sum() / scale)) if scale > 0 else None
        size = reference.size // (one.statistics.masks or 1)
        sigma = None if errors is None else errors.groups()[group]
        in_errors = _in_errors(difference, sigma, names[start : start + size])
        rows.append(GroupDifference(group, reference.size, relative, *in_errors))
        start += size
    return rows


def common_scales(
    one: StoredStatistics, other: StoredStatistics
) -> tuple[StoredStatistics, StoredStatistics]:
    """Return two sets of coefficients at the finest scales that both have, for S3 and S4 too.

    Scales are missing where a pyramid has fewer, or hidden pixels have left too little.
    """
    scales = min(stored.statistics.scales for stored in (one, other))
    pairs = min(covariance_scales(len(stored.statistics.pairs)) for stored in (one, other))
    first, second = (
        stored._replace(
            statistics=stored.statistics.finest(scales, pairs),
            errors=None if stored.errors is None else stored.errors.finest(scales, pairs),
            spec=replace(stored.spec, scales=scales),
        )
        for stored in (one, other)
    )
    return first, second


def _describe_hidden(one: StoredStatistics, other: StoredStatistics) -> str | None:
    """Say why two sets may differ by their hidden pixels alone; None if they do not."""
    first, second = (
        None if stored.sky is None else stored.sky.get("hidden") for stored in (one, other)
    )
    if first != second:
        names = [f"{name!r}" if name else "none are hidden" for name in (first, second)]
        return f"hidden pixels are treated differently: {names[0]} and {names[1]}"
    if first in ("exclude", "include", "patch") and one.sky != other.sky:
        return (
            f"both have hidden pixels of their own, which leave their mark with {first!r}; measure "
            "both with 'interior' to compare them"
        )
    return None


def choose_errors(one: StoredStatistics, other: StoredStatistics) -> ScatteringCovariance | None:
    """Return the errors for comparing two sets: those of the first set that has any."""
    return one.errors if one.errors is not None else other.errors


def _in_errors(
    difference: Float[np.ndarray, "*shape"], sigma: Any, names: list[str]
) -> tuple[float | None, float | None, str | None]:
    """Return mean square and maximum of difference / error, and the name of the maximum."""
    if sigma is None:
        return None, None, None
    sigma = np.asarray(sigma, dtype=np.float64).reshape(-1)
    known = np.flatnonzero(sigma > 0)
    if known.size == 0:
        return None, None, None
    ratio = difference.reshape(-1)[known] / sigma[known]
    at = int(known[ratio.argmax()])
    name = names[at % len(names)]
    if sigma.size > len(names):
        name += f" (mask {at // len(names)})"
    return float((ratio**2).mean()), float(ratio.max()), name


def _check_alike(one: StoredStatistics, other: StoredStatistics) -> None:
    different: Mapping[str, tuple[Any, Any]] = {
        **spec_differences(one.spec, other.spec),
        **{
            name: values
            for name in ("kind", "both_triangles", "masks")
            if (values := (getattr(one.statistics, name), getattr(other.statistics, name)))[0]
            != values[1]
        },
    }
    # The precision does not matter.
    different = {name: values for name, values in different.items() if name != "dtype"}
    if different:
        listed = "; ".join(f"{name} {a!r} and {b!r}" for name, (a, b) in different.items())
        raise ValueError(f"coefficients: got {listed}, expected the same in both files")
