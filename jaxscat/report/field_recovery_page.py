"""The HTML page of denoised polarization: what was won over which baseline, by field and pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxscat.report.comparison import comparison_groups, comparison_row, heading_of
from jaxscat.report.reconstruction_page import renewals_table, seeds_table
from jaxscat.report.rendering import embed_figure, number, render_template
from jaxscat.validation.recovery import ERRORS
from jaxscat.validation.recovery_words import LABELS
from jaxscat.validation.rows import format_multipoles

CAPTIONS: Mapping[str, str] = {
    "summary": "Skies on the colours of the first, with the orientation of polarization, and the "
    "same place of each, larger; below, spectra up to the band limit and how near estimates are, "
    "scale by scale and pair by pair.",
}
_FACTS = {
    "data": "data",
    "nside": "nside",
    "lmax": "last multipole of E and B",
    "status": "status",
    "precision": "precision",
    "device": "device",
    "elapsed_seconds": "denoising [s]",
}
_DIGITS = 3


def build_field_recovery_page(
    *,
    title: str,
    lines: Sequence[str],
    results: Mapping[str, Any],
    figures: Mapping[str, bytes],
    provenance: Mapping[str, Any],
    config_text: str,
    chi2: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> str:
    """Render the page of denoised polarization as self-contained HTML.

    Args:
        title: title of the page.
        lines: what is to be said first, from `describe_field_recovery`.
        results: content of results.json.
        figures: PNG files by name, in the order of the page; those in `CAPTIONS` get a caption.
        provenance: content of run.json.
        config_text: content of config.toml.
        chi2: values of the term after each renewal, as `FieldReconstruction.chi2`.
        notes: caveats.

    Returns:
        the page.

    Source: `docs/polarization.md`, "Denoising".
    """
    recovery, seeds = results["recovery"], results["seeds"]
    fields = recovery["fields"]
    facts = {"task": "denoising of polarization"}
    facts |= {name: number(results[key]) for key, name in _FACTS.items() if key in results}
    facts |= {"pairs imposed": ", ".join(results["pairs_of_target"])}
    facts |= {"template": "T" if results["template"] else "none"}
    first = next(iter(fields.values()))
    tables = (renewals_table(chi2, seeds), _noise(recovery), seeds_table(seeds))
    return render_template(
        "reconstruction.html",
        title=title,
        facts=facts,
        verdict=[
            *({"name": "", "text": line} for line in lines),
            *({"name": "Mind", "text": note} for note in notes),
        ],
        figures=[
            embed_figure(name, content, CAPTIONS.get(name, name))
            for name, content in figures.items()
        ],
        with_truth=first["truth"] is not None,
        scatter=any("scatter" in row for row in first["rows"].values()),
        columns=[LABELS.get(name, name) for name in recovery["names"]],
        groups=[
            group
            for field, one in fields.items()
            for group in comparison_groups(one, "denoise", of=field)
        ]
        + [
            group
            for pair, one in recovery["pairs"].items()
            if one["chance"] is not None
            for group in _of_pair(pair, one, recovery, pair in results["pairs_of_target"])
        ],
        tables=[table for table in tables if table is not None],
        provenance=provenance,
        config_text=config_text,
    )


def _of_pair(
    pair: str, one: Mapping[str, Any], recovery: Mapping[str, Any], imposed: bool
) -> list[dict[str, Any]]:
    """Return the groups of rows of two different fields: errors, and their correlation in bins."""
    table = {"names": recovery["names"], "rows": one["rows"]}
    free = "" if imposed else " Not imposed."
    errors = [comparison_row(table, key, key, better=abs) for key in ERRORS]
    bins = []
    for at, bin in enumerate(recovery["bins"]):
        wanted = None if one["truth"] is None else one["truth"][at]
        better = None if wanted is None else lambda value, wanted=wanted: abs(value - wanted)
        name = f"{format_multipoles(bin)} (chance {number(one['chance'][at], 2)})"
        row = comparison_row(table, "correlation", name, at=at, better=better)
        bins.append(row and {**row, "truth": number(wanted, _DIGITS)})
    listed = [
        (
            "Scattering coefficients",
            f"Rms difference from the truth's, over their rms.{free}",
            errors,
        ),
        (
            f"Correlation of {' and '.join(pair)}",
            "Cross power over the root of the product of the powers.",
            bins,
        ),
    ]
    found = []
    for heading, sees, rows in listed:
        known = [row for row in rows if row is not None]
        if known:
            found.append({"heading": heading_of(pair, heading), "sees": sees, "rows": known})
    return found


def _noise(recovery: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the table of the part of the data's power that is noise."""
    shares = recovery["noise_share"]
    if not shares:
        return None
    rows = [
        [format_multipoles(bin), *(number(share[at], _DIGITS) for share in shares.values())]
        for at, bin in enumerate(recovery["bins"])
    ]
    return {
        "heading": "Noise",
        "sees": "Power of the noise over that of the data, in bins of multipoles.",
        "columns": ["multipoles", *shares],
        "rows": rows,
    }
