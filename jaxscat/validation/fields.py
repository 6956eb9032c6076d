"""Validation of new maps of several fields together: each of them alone, and pairs of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxscat.fields.field_starts import gaussian_fields
from jaxscat.fields.pairs import all_pairs, check_fields, pair_name
from jaxscat.harmonics.spectra import multipole_bins
from jaxscat.maps import check_callable, check_kind, check_mask, describe, is_integer
from jaxscat.objectives.field_target import FieldTarget
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.operators.spec import PyramidSpec
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.hidden import Hidden, check_hidden
from jaxscat.validation.coherence import bounds_of_pairs
from jaxscat.validation.comparison import CONTROLS_OF_A_KIND
from jaxscat.validation.forms import Form
from jaxscat.validation.pairs import (
    CoherenceErrors,
    PairCorrelation,
    compare_pair,
    correlate_pair,
    share_beyond,
)
from jaxscat.validation.seeds import SeedValidation, validate_seeds
from jaxscat.validation.skies import Fields, Map, check_sky, measure_skies

# Seed of the first Gaussian control: none of those that starts usually have.
FIRST_CONTROL = 2**31
_COLUMNS = ("original", "chance", "gaussian", "gaussian_std", "mean", "std")
# What tables say of a group.
NAMES = {"S3P": "S3 (fields exchanged)"}


@dataclass(frozen=True)
class FieldsValidation:
    """The validation of the maps of several fields, for one or more seeds.

    Attributes:
        fields: the validation of every field alone.
        pairs: the correlation of every two different fields, by the name of the pair.
        errors: how far coefficients are from the original's, by the name of every pair, those of a
            field with itself included.
        statistics: coefficients of every sky of a group: "original", "synthesized", and if there
            are such, "start" and "gaussian"; S3 and S4 of the scales that count.
        beyond: of every field the share of the variance beyond `lmax` (see `share_beyond`).
        form: in which coefficients were imposed and are compared.
        lmax: last multipole that is compared.
    """

    fields: Mapping[str, SeedValidation]
    pairs: Mapping[str, PairCorrelation]
    errors: Mapping[str, CoherenceErrors]
    statistics: Mapping[str, Sequence[FieldCovariances]]
    beyond: Mapping[str, dict[str, float] | None]
    form: Form
    lmax: int

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return next(iter(self.fields.values())).seeds

    @property
    def sky(self) -> dict[str, Any] | None:
        """How much of the sky and of every scale is compared (see `describe_sky`), or None."""
        return next(iter(self.fields.values())).sky

    def as_json(self) -> dict[str, Any]:
        """Return everything ready for JSON.

        It has `seeds`; the number of `controls` of pairs; `lmax`, `parity` and the names of the
        pairs that were `imposed`; `sky`; and by their names

        - `fields`: of every field the content of `SeedValidation.as_json`, its `power` in bins
          over the original's, the share of its variance `beyond_lmax` (see `share_beyond`; None if
          there is nothing beyond), and the errors of its coefficients, `coherence` (see
          `CoherenceErrors.as_json`);
        - `pairs`: of every two fields the `correlation` in bins (see `PairCorrelation.as_json`)
          and `coherence`.
        """
        return {
            "seeds": self.seeds,
            "controls": len(self.statistics.get("gaussian", ())),
            "lmax": self.lmax,
            "parity": self.form.parity,
            "imposed": [name for name, errors in self.errors.items() if errors.imposed],
            "sky": self.sky,
            "fields": {
                field: {
                    **(content := one.as_json()),
                    "power": _power_in_bins(content),
                    "beyond_lmax": self.beyond[field],
                    "coherence": self.errors[pair_name((field, field))].as_json(),
                }
                for field, one in self.fields.items()
            },
            "pairs": {
                name: {
                    "correlation": one.as_json(self.seeds),
                    "coherence": self.errors[name].as_json(),
                }
                for name, one in self.pairs.items()
            },
        }

    def as_table(self) -> list[list[str | float | None]]:
        """Return the table of all quantities of fields and of pairs, for a CSV file."""
        content = self.as_json()
        lines: list[list[str | float | None]] = [["field", "quantity", *_COLUMNS]]

        def add(name: str, quantity: str, values: Mapping[str, Any]) -> None:
            lines.append([name, quantity, *(values.get(column) for column in _COLUMNS)])

        for field, one in content["fields"].items():
            for entry in one["quantities"]:
                add(field, entry["name"], entry)
            for entry in one["coherence"]:
                quantity = f"{entry['name']} coherence error of {entry['compared']}"
                add(field, quantity, entry)
        for name, one in content["pairs"].items():
            for entry in one["correlation"]:
                add(name, f"correlation, l = {entry['l_min']} to {entry['l_max']}", entry)
            for entry in one["coherence"]:
                quantity = NAMES.get(entry["name"], entry["name"])
                odd = ", parity-odd" if entry["parity"] == "odd" else ""
                add(name, f"{quantity} coherence error of {entry['compared']}{odd}", entry)
        return lines


def validate_fields(
    originals: Fields,
    made: Mapping[int, Fields],
    pyramid: Pyramid,
    *,
    target: FieldTarget | None = None,
    start_of: Callable[[int], Fields] | None = None,
    mask: Float[np.ndarray, "*M p"] | None = None,
    hidden: Hidden = "exclude",
    controls: int = CONTROLS_OF_A_KIND,
    lmax: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FieldsValidation:
    """Validate new maps of several fields against their originals.

    Every field is validated as a map alone (see `validate_seeds`), and every two fields together:
    their correlation in bins of multipoles, and their coefficients, beside Gaussian skies with all
    power and cross spectra of the originals (`gaussian_fields` of the seeds 2^31, 2^31 + 1, ..., so
    that they are not the starts of the first seeds).

    Args:
        originals: NESTED maps of the whole sphere by field, such as `{"T": t, "E": e, "B": b}`.
        made: new maps of the same fields, by seed.
        pyramid: operators for their nside, or for a patch.
        target: what new maps were asked to share. Coefficients are compared in its form: even
            parts, isotropic means, scales of S3 and S4. All pairs are; those that it does not have
            are marked. None for the default of `make_field_target`.
        start_of: function from a seed to the maps that its synthesis began with, or None.
        mask, hidden: as for `validate`.
        controls: number of Gaussian controls of every kind.
        lmax: last multipole of the correlations and of what is said of power, such as the band
            limit of E and B; None for 3 nside - 1.
        progress: called with the number of steps done and their total.

    Raises:
        ValueError: fields without names or of which one is missing; a map that is not finite and
            real or of another nside; no seed; a target of other fields or operators; `controls` or
            `lmax` that are no such number.

    Source: `docs/conventions.md`, "Validation" and "Ensembles".
    """
    spec, names = check_pyramid(pyramid), check_fields(originals, "originals")
    every, form = all_pairs(names), Form.of(target, pyramid, names)
    last = _check_numbers(controls, lmax, spec)
    if mask is not None:
        mask = check_mask(mask, 12 * spec.nside**2).astype(np.float64)
    check_hidden(hidden, None if mask is None else jnp.asarray(mask))
    shown = None if hidden == "include" else mask
    check_kind(made, Mapping, "made", "maps by field, by seed")
    if not made:
        raise ValueError("made: got no seed, expected maps of at least one")
    first = check_sky(originals, names, "originals", spec, shown)
    new = {seed: check_sky(of, names, f"made[{seed!r}]", spec, shown) for seed, of in made.items()}
    starts: dict[int, dict[str, Map]] = {}
    if start_of is not None:
        check_callable(start_of, 1, "start_of", "a function from a seed to maps by field")
        starts = {s: check_sky(start_of(s), names, f"start_of({s})", spec, shown) for s in new}
    total, done = len(new) * (len(names) + 1), 0
    fields: dict[str, SeedValidation] = {}
    for field in names:
        fields[field] = validate_seeds(
            first[field],
            {seed: of[field] for seed, of in new.items()},
            pyramid,
            start_of=(lambda seed, field=field: starts[seed][field]) if starts else None,
            mask=mask,
            hidden=hidden,
            controls=controls,
            progress=lambda of, _, before=done: progress(before + of, total),
        )
        done += len(new)
    reference = fields[names[0]].comparison.reference
    footprint = reference.footprint

    def skies() -> Iterator[tuple[str, Fields]]:
        yield "original", first
        for number, (seed, maps) in enumerate(new.items(), start=1):
            yield "synthesized", maps
            if starts:
                yield "start", starts[seed]
            progress(done + number, total)
        for number in range(controls):
            yield "gaussian", gaussian_fields(first, FIRST_CONTROL + number, footprint=footprint)

    statistics, spectra = measure_skies(
        skies(), reference.measurement, every, form.scales, footprint=footprint
    )
    alone: dict[str, Any] = {f: statistics["original"][0][pair_name((f, f))] for f in names}
    bins = [(low, min(high, last)) for low, high in multipole_bins(spec.nside) if low <= last]
    bounds = bounds_of_pairs(every, alone)
    return FieldsValidation(
        fields=fields,
        pairs={
            pair_name(pair): correlate_pair(pair, spectra, bins, footprint)
            for pair in every
            if pair[0] != pair[1]
        },
        errors={
            pair_name(pair): compare_pair(pair, statistics, bounds[pair], form) for pair in every
        },
        statistics=statistics,
        beyond={field: share_beyond(field, spectra, last) for field in names},
        form=form,
        lmax=last,
    )


def _check_numbers(controls: Any, lmax: Any, spec: PyramidSpec) -> int:
    """Check the number of controls, and return the last multipole."""
    if not is_integer(controls) or controls < 0:
        raise ValueError(f"controls: got {controls!r}, expected an integer from 0 up")
    if lmax is None:
        return 3 * spec.nside - 1
    if not is_integer(lmax) or not 2 <= lmax < 3 * spec.nside:
        raise ValueError(
            f"lmax: got {describe(lmax)}, expected an integer from 2 to {3 * spec.nside - 1}"
        )
    return int(lmax)


def _power_in_bins(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the summary of power over the original's, for every bin, from that of a field."""
    report = next(iter(content["maps"].values()))
    rows = [row for row in content["quantities"] if row["group"] == "power_spectrum_bins"]
    return [
        {"l_min": bin["l_min"], "l_max": bin["l_max"]}
        | {key: row[key] for key in ("gaussian", "gaussian_std", "mean", "std")}
        for bin, row in zip(report["power_spectrum_bins"], rows, strict=True)
    ]
