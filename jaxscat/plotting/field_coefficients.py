"""The figure of the coefficients of several fields: a column for every pair, by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from jaxscat.fields.pairs import Pair, changes_sign, pair_name
from jaxscat.maps import check_kind, describe
from jaxscat.plotting.curve_panels import GROUPS as STYLES_OF_GROUPS
from jaxscat.plotting.saving import as_label
from jaxscat.plotting.summary import STYLES
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.validation.coherence import Bounds, coherence, coherence_bounds
from jaxscat.validation.curves import PERCENTILES, Curve
from jaxscat.validation.forms import Form
from jaxscat.validation.scattering import by_scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Most columns beside each other, and their size in inches.
_COLUMNS, _WIDTH, _HEIGHT = 6, 2.65, 2.15
_TITLE, _LABEL = 13, 10
_ODD = "#FBF3E4"
# New maps can hide the original, which is wider.
_ORIGINAL = {**STYLES["original"], "linewidth": 3.4}
_LABELS: Mapping[str, str] = {
    "S1": "S1, mean modulus",
    "S2": "S2, power",
    "S3": "|S3|, rms coherence",
    "S4": "|S4|, rms coherence",
    "S3P": "|S3|, rms coherence",
}


class _Panel(NamedTuple):
    """A group of coefficients of a pair: its curve, and whether a mirror changes its sign."""

    pair: Pair
    group: str
    curve: Curve
    odd: bool


def plot_field_coefficients(
    statistics: Mapping[str, Sequence[FieldCovariances]],
    *,
    form: Form | None = None,
    title: str = "",
    unit: str = "map units",
) -> Figure:
    """Plot the coefficients of several fields against the scale, with a column for every pair.

    S1 and S2 are means over orientations, of two different fields over the largest value that the
    original's fields allow, so that they are between -1 and 1. S3 and S4 are root mean squares
    over all coefficients of a scale j3, as parts of the largest that the original's fields allow;
    over isotropic means or even parts where the form of the target has these.
    Groups of several skies are drawn as their median, in a band from the 16th to the 84th
    percentile. Panels of coefficients whose sign a mirror changes are tinted and say so.

    Args:
        statistics: coefficients of every sky of a group, as `FieldsValidation.statistics`: of
            "original" one, of "synthesized", "gaussian" and "start" any number. All have the same
            pairs, those of each field alone included; of several masks the first is drawn.
        form: in which coefficients were imposed; None for all of them, whole.
        title: title of the figure.
        unit: unit of the fields.

    Returns:
        figure without a window.

    Raises:
        ValueError: not one original, an unknown group, or other pairs than the original has.

    Source: `docs/conventions.md`, "Validation" and "Statistics".
    """
    from jaxscat.plotting.layout import new_figure

    original = _check(statistics)
    check_kind(title, str, "title", "text")
    check_kind(unit, str, "unit", "text")
    pairs = original.pairs
    blocks = [pairs[at : at + _COLUMNS] for at in range(0, len(pairs), _COLUMNS)]
    groups = [g for g in _LABELS if g != "S3P" or any(one != other for one, other in pairs)]
    widest = max(map(len, blocks))
    height = _HEIGHT * len(groups) * len(blocks) + 1.0
    figure: Any = new_figure(max(_WIDTH * widest, 7.0), height)
    if title:
        figure.suptitle(as_label(title), fontsize=_TITLE + 2)
    parts = np.atleast_1d(figure.subfigures(len(blocks), 1))
    for part, block in zip(parts, blocks, strict=True):
        axes = part.subplots(len(groups), widest, squeeze=False)
        for axis in axes.ravel():
            axis.set_axis_off()
        for column, pair in zip(axes.T, block, strict=False):
            panels = _panels(pair, statistics, groups, form)
            for axis, group in zip(column, groups, strict=True):
                if group in panels:
                    axis.set_axis_on()
                    _draw(axis, panels[group], as_label(unit))
    _draw_legend(parts[0], statistics)
    figure.supxlabel("scale $j$ (0 is the finest); of S3 and S4 the coarsest, $j_3$", fontsize=11)
    return figure


def _check(statistics: Any) -> FieldCovariances:
    """Return the coefficients of the original."""
    check_kind(statistics, Mapping, "statistics", "coefficients of skies by group")
    known = ("original", *STYLES_OF_GROUPS)
    if any(name not in known for name in statistics) or "original" not in statistics:
        raise ValueError(
            f"statistics: got the groups {', '.join(map(str, statistics)) or 'of no name'}, "
            f"expected original, and others of {', '.join(known[1:])}"
        )
    if len(statistics["original"]) != 1:
        raise ValueError(f"statistics: got {len(statistics['original'])} originals, expected one")
    (original,) = statistics["original"]
    for group, skies in statistics.items():
        for one in skies:
            if not isinstance(one, FieldCovariances) or one.pairs != original.pairs:
                got = describe(one)
                if isinstance(one, FieldCovariances):
                    got = ", ".join(one.keys())
                raise ValueError(
                    f"statistics[{group!r}]: got {got}, expected coefficients of the pairs "
                    f"{', '.join(original.keys())}"
                )
    fields = dict.fromkeys(field for pair in original.pairs for field in pair)
    missing = [pair_name((f, f)) for f in fields if (f, f) not in original.pairs]
    if missing:
        raise ValueError(
            f"statistics: got the pairs {', '.join(original.keys())}, expected those of each "
            f"field alone too: {', '.join(missing)}"
        )
    return original


def _panels(
    pair: Pair,
    statistics: Mapping[str, Sequence[FieldCovariances]],
    groups: Sequence[str],
    form: Form | None,
) -> dict[str, _Panel]:
    """Return the panels of a pair by group; of a field alone there is no S3P."""
    (sky,) = statistics["original"]
    bounds = coherence_bounds(*(_of_pair(sky, (field, field)) for field in pair))
    wanted = [group for group in groups if group in _of_pair(sky, pair).groups()]
    rows = {
        name: [_values(_of_pair(one, pair), pair, bounds, wanted, form) for one in skies]
        for name, skies in statistics.items()
        if skies
    }
    found = {}
    for group in wanted:
        of_groups = {name: np.stack([one[group] for one in of]) for name, of in rows.items()}
        original = of_groups.pop("original")[0]
        curve = Curve(np.arange(original.size, dtype=float), original, of_groups)
        even = form is not None and form.parity == "even" and group not in ("S1", "S2")
        found[group] = _Panel(pair, group, curve, changes_sign(pair, group) and not even)
    return found


def _of_pair(sky: FieldCovariances, pair: Pair) -> ScatteringCovariance:
    """Return the coefficients of a pair, of several masks those of the first."""
    one: Any = sky[pair_name(pair)]
    masked = one.s0.ndim > 1
    return jax.tree.map(lambda group: np.asarray(group)[0] if masked else np.asarray(group), one)


def _values(
    statistics: ScatteringCovariance,
    pair: Pair,
    bounds: Bounds,
    groups: Sequence[str],
    form: Form | None,
) -> dict[str, Float[np.ndarray, " scales"]]:
    """Return one number for every scale, of every group."""
    parts = coherence(statistics, bounds)
    if form is not None:  # S1 and S2 are means over orientations anyway
        formed = coherence(form.bring(pair, statistics), form.bound(bounds, statistics))
        parts |= {group: formed[group] for group in formed if group not in ("S1", "S2")}
    found = {}
    for group in groups:
        if group in ("S1", "S2"):
            alone = pair[0] == pair[1]
            found[group] = by_scale(statistics, group) if alone else parts[group].mean(axis=-1)
            continue
        places = statistics.triples if group == "S4" else statistics.pairs
        coarsest = np.array([place[-1] for place in places])
        squares = np.abs(parts[group].reshape(len(places), -1)) ** 2
        scales = range(coarsest.max() + 1)
        found[group] = np.sqrt([squares[coarsest == j].mean() for j in scales])
    return found


def _draw(axis: Any, panel: _Panel, unit: str) -> None:
    """Draw the curves of a panel, the original in front of starts and controls."""
    pair, group, curve, odd = panel
    options: dict[str, Any] = {"marker": "o", "markersize": 3.0}
    signed = group in ("S1", "S2") and pair[0] != pair[1]
    for depth, (name, style) in enumerate(STYLES_OF_GROUPS.items()):
        if name not in curve.groups:
            continue
        rows = curve.groups[name]
        low, middle, high = np.percentile(rows, PERCENTILES, axis=0)
        if len(rows) > 1 and style.shade:
            axis.fill_between(
                curve.places, low, high, color=style.line["color"], alpha=style.shade, linewidth=0.0
            )
        axis.plot(curve.places, middle, zorder=2.0 + 0.1 * depth, **options, **style.line)
    assert curve.original is not None
    axis.plot(curve.places, curve.original, zorder=2.05, **(options | _ORIGINAL))
    if signed:
        axis.axhline(0.0, color="0.35", linewidth=0.8, zorder=0.8)
    elif group in ("S1", "S2"):
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0.0)
    axis.set_xticks(curve.places, [f"{place:.0f}" for place in curve.places])
    axis.set_xlim(-0.4, curve.places[-1] + 0.4)
    axis.tick_params(labelsize=_LABEL - 2)
    axis.grid(alpha=0.3, linewidth=0.5)
    said = [*(["exchanged"] if group == "S3P" else []), *(["odd"] if odd else [])]
    named = ", ".join([group[:2], *said])
    axis.set_title(f"{as_label(pair_name(pair))}: {named}", fontsize=_TITLE - 2)
    axis.set_ylabel(_label(group, signed, unit), fontsize=_LABEL - 1)
    if odd:
        axis.set_facecolor(_ODD)


def _label(group: str, signed: bool, unit: str) -> str:
    if signed:
        return f"{group}, coherence"
    if group not in ("S1", "S2"):
        return _LABELS[group]
    squared = f"({unit})$^2$" if " " in unit else f"{unit}$^2$"
    return f"{_LABELS[group]} [{unit if group == 'S1' else squared}]"


def _draw_legend(part: Any, statistics: Mapping[str, Sequence[FieldCovariances]]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Line2D([], [], **_ORIGINAL)]
    labels = ["original"]
    for name in ("synthesized", "start", "gaussian", "filtered"):
        if not statistics.get(name):
            continue
        style, count = STYLES_OF_GROUPS[name], len(statistics[name])
        line = Line2D([], [], **style.line)
        band = Patch(color=style.line["color"], alpha=style.shade, linewidth=0.0)
        handles.append((band, line) if count > 1 and style.shade else line)
        label = "new map" if name == "synthesized" else style.label
        labels.append(f"{label}s ({count})" if count > 1 else label)
    handles.append(Patch(facecolor=_ODD, edgecolor="0.7", linewidth=0.6))
    labels.append("odd: its sign changes in a mirror")
    part.legend(
        handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=11
    )
