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
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.indices import covariance_scales
from jaxscat.statistics.storage import StoredStatistics, spec_differences
from jaxscat.statistics.stored_groups import Coefficients


class GroupDifference(NamedTuple):
    """Difference between two groups of coefficients.

    Attributes:
        group: "S0" to "S4".
        number: number of coefficients, of all masks together.
        relative_rms: root of sum |difference|^2 / sum |first|^2; None if the first is zero.
        chi_square: mean of |difference / error|^2; None if there are no nonzero errors.
        largest: maximum |difference / error|.
        name: name of the coefficient of that maximum.
        pair: of several fields, the name of the pair such as "TE"; else None.
    """

    group: str
    number: int
    relative_rms: float | None
    chi_square: float | None
    largest: float | None
    name: str | None
    pair: str | None = None


def compare_statistics(one: StoredStatistics, other: StoredStatistics) -> list[GroupDifference]:
    """Compare two sets of coefficients group by group, in float64.

    Differences are in units of the errors of the first or, if it has none, of the other;
    coefficients with zero error are ignored there. Where one has more scales than the other, the
    finest that both have are compared (see `common_scales`). Warns where hidden pixels alone make
    a difference. Of several fields, all groups of one pair are followed by those of the next.

    Raises:
        ValueError: the two differ in pyramid, kind, pairs or masks; precisions may differ.
    """
    for name, stored in (("one", one), ("other", other)):
        check_kind(
            stored, StoredStatistics, name, "StoredStatistics from load_statistics, errors included"
        )
    if (said := _describe_hidden(one, other)) is not None:
        warnings.warn(f"coefficients: {said}", stacklevel=2)
    one, other = common_scales(one, other)
    first, second = _by_pair(one), _by_pair(other)
    if list(first) != list(second):
        got, also = (
            f"pairs {', '.join(map(str, pairs))}" if None not in pairs else "no pairs of fields"
            for pairs in (first, second)
        )
        raise ValueError(f"coefficients: got {got} and {also}, expected the same in both files")
    rows = []
    for pair, stored in first.items():
        rows += _compare_groups(stored, second[pair], pair)
    return rows


def _compare_groups(
    one: StoredStatistics, other: StoredStatistics, pair: str | None
) -> list[GroupDifference]:
    """Return the rows of one map, of two maps, or of a pair of fields."""
    _check_alike(one, other)
    errors: Any = choose_errors(one, other)
    whole, others = _of_maps(one.statistics), _of_maps(other.statistics)
    names, theirs = whole.names(), others.groups()
    rows, start = [], 0
    for group, reference in whole.groups().items():
        reference = np.asarray(reference).astype(np.complex128)
        difference = np.abs(np.asarray(theirs[group]).astype(np.complex128) - reference)
        scale = (np.abs(reference) ** 2).sum()
        relative = float(np.sqrt((difference**2).sum() / scale)) if scale > 0 else None
        size = reference.size // (whole.masks or 1)
        sigma = None if errors is None else errors.groups()[group]
        in_errors = _in_errors(difference, sigma, names[start : start + size])
        rows.append(GroupDifference(group, reference.size, relative, *in_errors, pair))
        start += size
    return rows


def _by_pair(stored: StoredStatistics) -> dict[str | None, StoredStatistics]:
    """Return the coefficients and errors of every pair of fields; of maps, those there are."""
    if not isinstance(stored.statistics, FieldCovariances):
        return {None: stored}
    errors: Any = stored.errors
    return {
        pair: stored._replace(statistics=one, errors=None if errors is None else errors[pair])
        for pair, one in stored.statistics.items()
    }


def _of_maps(statistics: Any) -> ScatteringCovariance:
    return statistics


def common_scales(
    one: StoredStatistics, other: StoredStatistics
) -> tuple[StoredStatistics, StoredStatistics]:
    """Return two sets of coefficients at the finest scales that both have, for S3 and S4 too.

    Scales are missing where a pyramid has fewer, or hidden pixels have left too little.
    """
    sets = [_of_maps(part.statistics) for of in (one, other) for part in _by_pair(of).values()]
    scales = min(statistics.scales for statistics in sets)
    pairs = min(covariance_scales(len(statistics.pairs)) for statistics in sets)
    first, second = (
        stored._replace(
            statistics=_finest(stored.statistics, scales, pairs),
            errors=None if stored.errors is None else _finest(stored.errors, scales, pairs),
            spec=replace(stored.spec, scales=scales),
        )
        for stored in (one, other)
    )
    return first, second


def _finest(statistics: Coefficients, scales: int, pairs: int) -> Coefficients:
    if not isinstance(statistics, FieldCovariances):
        return statistics.finest(scales, pairs)
    parts = tuple(_of_maps(one).finest(scales, pairs) for one in statistics.statistics)
    return replace(statistics, statistics=parts)


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


def choose_errors(one: StoredStatistics, other: StoredStatistics) -> Coefficients | None:
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
