"""The HTML page of a run: its results, its validation and its provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from jaxscat.report.rendering import NONE, embed_figure, number, render_template, with_scatter
from jaxscat.validation.rows import format_multipoles
from jaxscat.validation.verdict import classify_distances, copy_verdict

# Names of the control kinds, as in the figures.
CONTROL_NAMES: Mapping[str, str] = {
    "gaussian": "Gaussian control",
    "filtered": "filtered-noise control",
}
CAPTIONS: Mapping[str, str] = {
    "maps": "The original, the map of the first seed and a Gaussian control, on the original's "
    "colour scale.",
    "zoom": "The same patch of these three maps, larger.",
    "spectrum": "The angular power spectrum, and power in bins of multipoles over the original's, "
    "with the tolerance in grey.",
    "distribution": "The histogram of the pixel values.",
    "copies": "The correlation with the original in ranges of multipoles: one for a copy, and by "
    "chance within the grey band in two of three cases.",
    "morphology": "V0 is the fraction of the sky above a threshold, V1 the length of its contours, "
    "V2 how many more islands than holes it has (Minkowski functionals); peaks and minima are "
    "counted above and below thresholds. The lower row shows differences from the original in "
    "percent of its largest magnitude, with the tolerance in grey.",
    "scattering": "Scattering coefficients over those of the original, scale by scale, with the "
    "tolerance in grey. S1 and S2 are strength and power of a scale, S3 and S4 how scales go "
    "together; hatched scales were not imposed.",
    "loss": "The loss of every map against the iteration.",
}
# What the words in the figures and the table mean.
WORDS: Mapping[str, str] = {
    "Gaussian control": "a Gaussian map with the power spectrum of the original. What it matches "
    "as well as the new map is no success.",
    "filtered-noise control": "the same from filtered white noise, with the power of pixels beyond "
    "the last multipole too.",
    "tolerance": "how far from the original a second sky of its kind would be, as its parts differ "
    "from one another; nineteen of twenty would be within.",
    "chance": "the correlation that independent maps have, one standard deviation.",
}
_HALF = {"distribution", "copies"}  # half as wide as the page
_GROUPS = {
    "distribution": "Pixel values",
    "extremes": "Tails of the histogram",
    "correlation_ranges": "Correlation with the original",
    "power_spectrum_bins": "Power in bins",
    "distances": "Distances from the original",
    "scattering": "Scattering coefficients",
}
_FACTS = {
    "data": "original",
    "nside": "nside",
    "status": "status",
    "method": "method",
    "precision": "precision",
    "device": "device",
    "elapsed_seconds": "synthesis [s]",
}
_SEED_COLUMNS = {
    "seed": "seed",
    "status": "status",
    "nsteps": "steps",
    "evaluations": "evaluations",
    "start_loss": "loss at the start",
    "final_loss": "loss at the end",
    "compile_seconds": "compilation [s]",
    "run_seconds": "run [s]",
}


def render_report(
    *,
    title: str,
    results: Mapping[str, Any],
    validation: Mapping[str, Any],
    figures: Mapping[str, bytes],
    provenance: Mapping[str, Any],
    config_text: str,
    notes: Sequence[str] = (),
) -> str:
    """Render the page of a run as self-contained HTML.

    Keys missing from `results`, `validation` or their entries are left out of the page.

    Args:
        title: title of the page.
        results: content of results.json (see `summarize`).
        validation: content of validation.json (see `SeedValidation.as_json`); the lines of its
            `verdict` are on top.
        figures: PNG files by name, in the order of the page; those in `CAPTIONS` get a caption.
        provenance: content of run.json.
        config_text: content of config.toml.
        notes: caveats to the verdict.

    Source: `docs/conventions.md`, "Validation".
    """
    return render_template(
        "page.html",
        title=title,
        lines=validation.get("verdict", []),
        words=WORDS,
        facts=_facts(results, validation),
        verdict=[
            _copies(validation),
            *_separations(validation),
            *({"name": "Mind", "text": note} for note in notes),
        ],
        figures=[
            embed_figure(name, content, CAPTIONS.get(name, name), wide=name not in _HALF)
            for name, content in figures.items()
        ],
        controls=_controls(validation),
        quantities=_quantities(validation),
        made=len(validation.get("seeds", [])),
        seed_columns=_seed_columns(results),
        seeds=results.get("seeds", []),
        provenance=provenance,
        config_text=config_text,
    )


def _facts(results: Mapping[str, Any], validation: Mapping[str, Any]) -> dict[str, str]:
    facts = {name: number(results[key]) for key, name in _FACTS.items() if key in results}
    seeds = [str(seed) for seed in validation.get("seeds", [])]
    if len(seeds) > 12:
        seeds = [*seeds[:3], "…", seeds[-1]]
    if seeds:
        facts["seeds"] = f"{len(validation['seeds'])}: {', '.join(seeds)}"
    counts = validation.get("controls", {})
    drawn = [f"{counts[kind]} × {name}" for kind, name in CONTROL_NAMES.items() if counts.get(kind)]
    return facts | {"controls": ", ".join(drawn) or "none"}


def _controls(validation: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the kinds of controls that were drawn."""
    counts = validation.get("controls", {})
    return {kind: name for kind, name in CONTROL_NAMES.items() if counts.get(kind)}


def _copies(validation: Mapping[str, Any]) -> dict[str, str]:
    """Write the verdict of the copy test."""
    entries = validation.get("copies") or []
    if not entries:
        return {"name": "Copies", "text": "There is no copy test of these maps."}
    listed = ", ".join(
        f"{number(entry['mean'], 2)} (chance {number(entry['by_chance'], 2)}) at "
        f"{format_multipoles(entry)}"
        for entry in entries
    )
    text = f"{copy_verdict(entries)} Mean correlation with the original: {listed}."
    return {"name": "Copies", "text": text}


def _separations(validation: Mapping[str, Any]) -> list[dict[str, str]]:
    """Write the verdict on the separation from Gaussian controls, in up to three sentences."""
    controls = _controls(validation)
    sorted_ = classify_distances(validation.get("quantities") or [])
    count = sum(map(len, sorted_.values()))
    if not count or not controls:
        return [{"name": "Gaussian or not", "text": "No distances can be compared with controls."}]

    def listed(entries: Sequence[Mapping[str, Any]]) -> str:
        parts = [f"{entry['name']} ({_times(_separation(entry, controls))})" for entry in entries]
        return "; ".join(parts)

    nearer, farther, alike = (sorted_[key] for key in ("nearer", "farther", "alike"))
    names = ", ".join(controls.values())
    text = (
        f"In {len(nearer)} of {count} distances the new maps are clearly nearer to the original "
        "than the Gaussian controls: the difference is more than three times the scatter (standard "
        f"deviation) of the controls (how many times, in brackets: {names})"
    )
    sentences = [
        {"name": "Gaussian or not", "text": f"{text}: {listed(nearer)}." if nearer else f"{text}."}
    ]
    if farther:
        text = f"Farther than some control by as much: {listed(farther)}."
        sentences.append({"name": "Farther than controls", "text": text})
    if alike:
        sentences.append({"name": "Not told apart", "text": f"{listed(alike)}."})
    return sentences


def _separation(entry: Mapping[str, Any], controls: Mapping[str, str]) -> dict[str, float | None]:
    """Return the separations of a quantity from the controls; empty if it is not a distance."""
    given = entry.get("separation") or {}
    return {kind: given.get(kind) for kind in controls} if given else {}


def _times(separation: Mapping[str, float | None]) -> str:
    """Format the separations from the controls of every kind, such as "+9.4 and +6.4"."""
    known = [value for value in separation.values() if value is not None]
    return " and ".join(f"{value:+.1f}".replace("-", "−") for value in known)


def _quantities(validation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the groups of the table of quantities, with a heading for groups of several rows."""
    controls = _controls(validation)
    groups = []
    for group, entries in groupby(
        validation.get("quantities") or [], lambda entry: entry.get("group", "")
    ):
        rows = list(entries)
        shared = len(rows) > 1 and len({entry.get("sees") for entry in rows}) == 1
        groups.append(
            {
                "heading": _GROUPS.get(group, group.replace("_", " ")) if len(rows) > 1 else "",
                "sees": rows[0].get("sees", "") if shared else "",
                "rows": [
                    {
                        "name": entry["name"]
                        if entry.get("chance") is None
                        else f"{entry['name']} (chance {number(entry['chance'], 2)})",
                        "sees": "" if shared else entry.get("sees", ""),
                        "cells": _cells(entry, controls),
                    }
                    for entry in rows
                ],
            }
        )
    return groups


def _cells(entry: Mapping[str, Any], controls: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the cells of a row of the table of quantities, with their headings."""
    apart = [number(value, 3) for value in _separation(entry, controls).values()]
    texts = {
        "synthesized": with_scatter(entry.get("mean"), entry.get("std")),
        "original": number(entry.get("original")),
        "tolerance": number(entry.get("tolerance"), 2),
        **{
            name: with_scatter(entry.get(kind), entry.get(f"{kind}_std"))
            for kind, name in controls.items()
        },
        **({"separation": "; ".join(apart) or NONE} if controls else {}),
    }
    mean, tolerance = entry.get("mean"), entry.get("tolerance")
    beyond = entry.get("group") in ("distances", "scattering") and tolerance is not None
    beyond = beyond and mean is not None and mean > tolerance
    classes = {"synthesized": "best" if beyond else ""}
    return [
        {
            "label": label,
            "text": text,
            "class": "none" if text == NONE else classes.get(label, ""),
        }
        for label, text in texts.items()
    ]


def _seed_columns(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the headings of the columns that any seed has in the table of seeds."""
    seeds: Sequence[Mapping[str, Any]] = results.get("seeds", [])
    return {key: name for key, name in _SEED_COLUMNS.items() if any(key in seed for seed in seeds)}
