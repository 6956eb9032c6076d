"""The HTML page of a synthesis of several fields: of each alone, and of pairs of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxscat.fields.pairs import pair_name
from jaxscat.report.rendering import embed_figure, number, render_template, with_scatter
from jaxscat.validation.field_words import is_power_imposed
from jaxscat.validation.rows import format_multipoles
from jaxscat.validation.verdict import SEPARATED

CAPTIONS: Mapping[str, str] = {
    "summary": "The original, a new map and a Gaussian control: intensity (without T the strength "
    "P) with the orientation of polarization, a zoom, and E and B, or Q and U; below, power "
    "spectra and correlations of the fields.",
    "coefficients": "Scattering coefficients by pair of fields, scale by scale; those whose sign a "
    "mirror changes are marked.",
}
_VALIDATION = "validation_"  # and the name of a field
_FACTS = {
    "data": "original",
    "nside": "nside",
    "status": "status",
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
    "written_loss": "loss as written",
    "compile_seconds": "compilation [s]",
    "run_seconds": "run [s]",
}
_DIGITS = 3

Cell = Mapping[str, Any]


def build_polarization_page(
    *,
    title: str,
    lines: Sequence[str],
    results: Mapping[str, Any],
    validation: Mapping[str, Any],
    figures: Mapping[str, bytes],
    provenance: Mapping[str, Any],
    config_text: str,
    notes: Sequence[str] = (),
) -> str:
    """Render the page of a synthesis of several fields as self-contained HTML.

    Args:
        title: title of the page.
        lines: what is to be said first, from `describe_fields`.
        results: content of results.json; keys that are missing are left out.
        validation: content of `FieldsValidation.as_json`.
        figures: PNG files by name, in the order of the page; "summary", "coefficients" and those of
            each field alone ("validation_T", ...) get a caption.
        provenance: content of run.json.
        config_text: content of config.toml.
        notes: caveats.

    Returns:
        the page.

    Source: `docs/conventions.md`, "Validation" and "Ensembles".
    """
    tables = [
        _copies(validation),
        _spectra(validation),
        _correlations(validation),
        _coefficients(validation),
        _seeds(results.get("seeds", [])),
    ]
    return render_template(
        "polarization.html",
        title=title,
        facts=_facts(results, validation),
        verdict=[
            *({"name": "", "text": line} for line in lines),
            *({"name": "Mind", "text": note} for note in notes),
        ],
        figures=[embed_figure(name, content, _caption(name)) for name, content in figures.items()],
        tables=[table for table in tables if table is not None],
        provenance=provenance,
        config_text=config_text,
    )


def _caption(name: str) -> str:
    if name.startswith(_VALIDATION):
        return (
            f"{name.removeprefix(_VALIDATION)} as a map alone: power, pixel values, copies, "
            "topology, peaks and scattering coefficients."
        )
    return CAPTIONS.get(name, name)


def _facts(results: Mapping[str, Any], validation: Mapping[str, Any]) -> dict[str, str]:
    facts = {name: number(results[key]) for key, name in _FACTS.items() if key in results}
    facts["fields"] = ", ".join(validation["fields"])
    facts["pairs imposed"] = ", ".join(validation["imposed"])
    if validation["parity"] == "even":
        facts["pairs imposed"] += " (without what a mirror changes)"
    facts["last multipole"] = str(validation["lmax"])
    seeds = [str(seed) for seed in validation["seeds"]]
    listed = [*seeds[:3], "…", seeds[-1]] if len(seeds) > 12 else seeds
    facts["seeds"] = f"{len(seeds)}: {', '.join(listed)}"
    facts["Gaussian controls"] = str(validation["controls"] or "none")
    return facts


def _cell(text: str, *, marked: bool = False) -> Cell:
    return {"text": text, "marked": marked}


def _table(
    heading: str,
    sees: str,
    columns: Sequence[str],
    groups: Sequence[Mapping[str, Any]],
    mark: tuple[str, str] = ("", ""),
) -> dict[str, Any]:
    """Return a table as the template takes it; `mark` is the sign of marked cells and its name."""
    sign, name = mark
    given = {"heading": heading, "sees": sees, "columns": columns, "groups": groups}
    return given | {"sign": sign, "mark": name}


def _copies(validation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of the copy test: a row for every range, a column for every field."""
    tests = {field: one["copies"] for field, one in validation["fields"].items()}
    rows = []
    for ranges in zip(*tests.values(), strict=True):
        if ranges[0]["l_min"] > validation["lmax"]:
            continue
        cells = []
        for test in ranges:
            text = f"{number(test['mean'], 2)} (chance {number(test['by_chance'], 2)})"
            text += " ?" if test["copied"] is None else ""
            cells.append(_cell(text, marked=bool(test["copied"])))
        rows.append([format_multipoles(ranges[0]), *cells])
    return _table(
        "Copies",
        "Mean correlation of the new maps with the original, and its standard deviation by chance; "
        "marked where it is above three times that, with a question mark where there are too few "
        "modes or seeds to tell.",
        ["multipoles", *tests],
        [{"heading": "", "rows": rows}],
        ("!", "copied"),
    )


def _spectra(validation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of power over the original's: a row per bin, a column for every field."""
    powers = {field: one["power"] for field, one in validation["fields"].items()}
    rows = [
        [
            format_multipoles(bins[0]),
            *(_cell(with_scatter(bin["mean"], bin["std"], _DIGITS)) for bin in bins),
        ]
        for bins in zip(*powers.values(), strict=True)
        if bins[0]["l_min"] <= validation["lmax"]
    ]
    return _table(
        "Power spectra",
        "Power of the new maps over the original's; one is right.",
        ["multipoles", *(pair_name((field, field)) for field in powers)],
        [{"heading": "", "rows": rows}],
    )


def _correlations(validation: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the table of correlations: a group for every pair, a row for every bin."""
    pairs = validation["pairs"]
    if not pairs:
        return None
    bins = [bin for one in pairs.values() for bin in one["correlation"]]
    shown = _columns(bins)
    groups = [
        {
            "heading": name,
            "sees": _imposed(_row_of(one["coherence"], "S2")),
            "rows": [
                [
                    format_multipoles(bin),
                    _cell(number(bin["original"], _DIGITS)),
                    *_groups_of(bin, shown),
                    _cell(number(bin["chance"], 2)),
                ]
                for bin in one["correlation"]
            ],
        }
        for name, one in pairs.items()
    ]
    return _table(
        "Correlations of fields",
        "Cross power over the root of the product of the powers, in bins of multipoles; by chance: "
        "standard deviation for independent fields.",
        ["multipoles", "original", *shown.values(), "by chance"],
        groups,
    )


def _coefficients(validation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of the errors of S1 to S4: a group for every field and every pair."""
    coherences = {
        **{f"{name} alone": one["coherence"] for name, one in validation["fields"].items()},
        **{name: one["coherence"] for name, one in validation["pairs"].items()},
    }
    shown = _columns([row for rows in coherences.values() for row in rows])
    groups = []
    for name, rows in coherences.items():
        listed = [
            [
                _coefficient(row),
                *_groups_of(row, shown),
                _cell(number(row["separation"], 2), marked=(row["separation"] or 0) > SEPARATED),
                _cell(number(row["texture"], 2)),
            ]
            for row in rows
        ]
        sees = "Not imposed." if not any(row["imposed"] for row in rows) else ""
        groups.append({"heading": name, "sees": sees, "rows": listed})
    compared = next(row["compared"] for rows in coherences.values() for row in rows)
    return _table(
        "Scattering coefficients",
        f"Rms difference from the original, of {compared} over the largest magnitude that the "
        "fields allow: of a power 0.01 is one percent, and of a correlation 0.01. Farther: by how "
        "many of their own standard deviations the Gaussian controls are farther from the original "
        "than the new maps are, marked above three. Texture: by how many of them the original is "
        "farther from the controls than these are from one another.",
        ["group", *shown.values(), "controls farther by", "texture of the original"],
        groups,
        ("✓", "nearer than Gaussian controls"),
    )


def _coefficient(row: Mapping[str, Any]) -> str:
    """Return the name of a group with what it is: exchanged, odd, or not imposed."""
    said = ["fields exchanged"] if row["name"] == "S3P" else []
    said += ["parity-odd"] if row["parity"] == "odd" and "even" not in row["compared"] else []
    said += [] if row["imposed"] else ["not imposed"]
    name = "S3" if row["name"] == "S3P" else row["name"]
    return f"{name} ({', '.join(said)})" if said else name


def _imposed(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    odd = "Parity-odd" if row["parity"] == "odd" else ""
    free = "" if is_power_imposed(row) else "not imposed"
    said = ", ".join(part for part in (odd, free) if part)
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def _row_of(rows: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    return next((row for row in rows if row["name"] == name), None)


def _columns(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the headings of the groups of skies that there are."""
    names = {"mean": "new maps", "start": "start", "gaussian": "Gaussian controls"}
    return {key: name for key, name in names.items() if any(key in entry for entry in entries)}


def _groups_of(entry: Mapping[str, Any], shown: Mapping[str, str]) -> list[Cell]:
    """Return the cells of the groups of skies, with the scatter of new maps and of controls."""
    scatter = {"mean": "std", "gaussian": "gaussian_std"}
    return [
        _cell(with_scatter(entry.get(key), entry.get(scatter.get(key, "")), _DIGITS))
        for key in shown
    ]


def _seeds(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    columns = {key: name for key, name in _SEED_COLUMNS.items() if any(key in one for one in seeds)}
    if not columns:
        return None
    rows = []
    for one in seeds:
        first, *others = (number(one.get(key)) for key in columns)
        rows.append([first, *map(_cell, others)])
    return _table("Seeds", "", list(columns.values()), [{"heading": "", "rows": rows}])
