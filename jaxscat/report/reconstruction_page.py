"""The HTML page of a reconstruction: what was won over which baseline, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxscat.report.comparison import comparison_groups
from jaxscat.report.rendering import embed_figure, number, render_template
from jaxscat.validation.agreement import describe_agreement
from jaxscat.validation.recovery_words import LABELS
from jaxscat.validation.rows import format_multipoles

CAPTIONS: Mapping[str, str] = {
    "summary": "Maps and the same patch of each, larger; power, correlation with the truth, pixel "
    "values and scattering coefficients of all estimates. Linear filters have the correlation of "
    "the data on the whole sky, whatever their power.",
    "agreement": "One solution, the mean of all and their spread from pixel to pixel; below, at "
    "which scales solutions agree with one another and with the truth.",
}
_TASKS = {"denoise": "denoising", "inpaint": "filling of gaps", "separate": "separation"}
_FACTS = {
    "data": "data",
    "nside": "nside",
    "status": "status",
    "precision": "precision",
    "device": "device",
    "elapsed_seconds": "reconstruction [s]",
}
_SEED_COLUMNS = {
    "seed": "seed",
    "status": "status",
    "evaluations": "evaluations",
    "renewals": "renewals",
}
_DIGITS = 3


def build_reconstruction_page(
    *,
    title: str,
    task: str,
    lines: Sequence[str],
    results: Mapping[str, Any],
    recovery: Mapping[str, Any],
    figures: Mapping[str, bytes],
    provenance: Mapping[str, Any],
    config_text: str,
    chi2: Mapping[str, Any] | None = None,
    agreement: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Render the page of a reconstruction as self-contained HTML.

    Args:
        title: title of the page.
        task: "denoise", "inpaint" or "separate".
        lines: what is to be said first, from `describe_recovery`.
        results: content of results.json; keys that are missing are left out.
        recovery: content of `Recovery.to_json`.
        figures: PNG files by name, in the order of the page; those in `CAPTIONS` get a caption.
        provenance: content of run.json.
        config_text: content of config.toml.
        chi2: values of every term after each renewal, as `Reconstruction.chi2`.
        agreement: result of `jaxscat.validation.agreement.agreement` on several seeds.
        notes: caveats.

    Returns:
        the page.

    Source: `docs/reconstruction.md`, "Comparison".
    """
    said = [*lines, *([] if agreement is None else describe_agreement(dict(agreement)))]
    names = recovery["names"]
    facts = {"task": _TASKS.get(task, task)}
    facts |= {name: number(results[key]) for key, name in _FACTS.items() if key in results}
    seeds = results.get("seeds", [])
    return render_template(
        "reconstruction.html",
        title=title,
        facts=facts,
        verdict=[
            *({"name": "", "text": line} for line in said),
            *({"name": "Mind", "text": note} for note in notes),
        ],
        figures=[
            embed_figure(name, content, CAPTIONS.get(name, name))
            for name, content in figures.items()
        ],
        with_truth=recovery["truth"] is not None,
        scatter=any("scatter" in row for row in recovery["rows"].values()),
        columns=[LABELS.get(name, name) for name in names],
        groups=comparison_groups(recovery, task),
        tables=[
            table
            for table in (_agreement(agreement), renewals_table(chi2, seeds), seeds_table(seeds))
            if table is not None
        ],
        provenance=provenance,
        config_text=config_text,
    )


def _agreement(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the table of the agreement of several solutions."""
    if found is None:
        return None
    columns = {
        "pairs": "two solutions",
        "chance": "two solutions, by chance",
        "single": "a solution and the truth",
        "mean": "their mean and the truth",
    }
    shown = {
        key: name
        for key, name in columns.items()
        if any(row[key] is not None for row in found["bins"])
    }
    return {
        "heading": "Agreement of the seeds",
        "sees": "Correlation in bins of multipoles: structures are known where solutions agree; "
        "where they do not, only their statistics are. By chance: standard deviation of the "
        "correlation of two independent maps that have the mean spectrum of the solutions (in the "
        "table above, chance is that of maps with the spectrum of the truth).",
        "columns": ["multipoles", *shown.values()],
        "rows": [
            [format_multipoles(row), *(number(row[key], _DIGITS) for key in shown)]
            for row in found["bins"]
        ],
    }


def renewals_table(
    chi2: Mapping[str, Any] | None, seeds: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return the table of the terms after every renewal, None without any."""
    if not chi2:
        return None
    rows = []
    longest = 0
    for name, values in chi2.items():
        each = np.atleast_2d(np.asarray(values, np.float64))
        for at, of in enumerate(each):
            seed = seeds[at].get("seed", at) if at < len(seeds) else at
            shown = f"{name}, seed {seed}" if len(each) > 1 else name
            kept = of[: np.flatnonzero(np.isfinite(of)).max(initial=0) + 1]
            rows.append([shown, *(number(float(value), _DIGITS) for value in kept)])
            longest = max(longest, len(kept))
    return {
        "heading": "χ² after every renewal",
        "sees": "Mean of |difference from the target / σ|² of every term, when targets were "
        "measured anew; in noise, the truth has one on average.",
        "columns": ["term", *map(str, range(longest))],
        "rows": [[*row, *([""] * (longest + 1 - len(row)))] for row in rows],
    }


def seeds_table(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the table of how the solutions ended, None where nothing is known of them."""
    columns = {key: name for key, name in _SEED_COLUMNS.items() if any(key in one for one in seeds)}
    if not columns:
        return None
    return {
        "heading": "Seeds",
        "sees": "",
        "columns": list(columns.values()),
        "rows": [[number(one.get(key)) for key in columns] for one in seeds],
    }
