"""Measure whether coefficients of maps with different masks agree: `hidden="interior"`.

Run from the repository: python -m experiments.studies masks (5 minutes on two cores; --quick is
the same in small). Homogeneous non-Gaussian fields are measured under five masks and on the whole
sky. The difference is compared with its scatter over other fields of the same kind (one, if the
area is all that differs), and with the standard errors that take pixels as independent, which are
too small for fields with large structures. Writes masks.json.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from rich.console import Console
from rich.table import Table

import jaxscat
from experiments.studies.masked_skies import five_masks, red_field
from experiments.studies.options import add_size_options, study_parser
from jaxscat.run.folder import write_json

GROUPS = ("S1", "S2", "S3", "S4")


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    console, nside = Console(width=160), options.nside or 32
    pyramid = jaxscat.build_pyramid(nside)
    count = options.fields + options.others
    fields = [jnp.asarray(homogeneous_field(nside, seed)) for seed in range(count)]
    whole = [jaxscat.measure(field, pyramid) for field in fields]
    table = Table(title=f"mean |difference / error|^2, nside {nside}, hidden = {options.hidden!r}")
    for heading in ("mask", "group", "scales", "left", "scatter", "bias", "pixels"):
        table.add_column(heading, justify="left" if heading in ("mask", "group") else "right")
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scales that are left out, which the table names
        for name, mask in five_masks(nside).items():
            for row in compare_mask(fields, whole, mask, pyramid, options):
                rows.append({"mask": name, **row})
                numbers = [f"{row[key]:.2f}" for key in ("left", "scatter", "bias", "pixels")]
                table.add_row(name, row["group"], str(row["scales"]), *numbers)
    console.print(table)
    options.output.mkdir(parents=True, exist_ok=True)
    write_json(options.output / "masks.json", rows)
    console.print(f"wrote {options.output / 'masks.json'}")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = study_parser("masks", "Compare coefficients under masks with the whole sky's.")
    parser.add_argument("--fields", type=int, default=20, help="fields that are compared")
    parser.add_argument("--others", type=int, default=60, help="fields for the scatter")
    parser.add_argument("--hidden", choices=("interior", "exclude", "include"), default="interior")
    add_size_options(parser, "runs/masks", nside_help="default 32")
    options = parser.parse_args(arguments)
    if options.quick:
        options.fields, options.others, options.nside = 5, 10, 16
    return options


def homogeneous_field(nside: int, seed: int) -> Float[np.ndarray, " p"]:
    """Draw a skewed field that is the same everywhere on average: a lognormal one and noise."""
    lognormal = np.exp(0.4 * red_field(nside, seed, slope=-2.0))
    noise = np.random.default_rng([seed, 1]).standard_normal(lognormal.size)
    return lognormal / lognormal.std() + 0.2 * noise


def compare_mask(
    fields: list[Float[Array, " p"]],
    whole: list[jaxscat.ScatteringCovariance],
    mask: np.ndarray,
    pyramid: jaxscat.Pyramid,
    options: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Return, for every group, the mean squared difference to the whole sky in units of errors."""
    how: dict[str, Any] = {"mask": mask, "hidden": options.hidden}
    masked = [jaxscat.measure(field, pyramid, **how) for field in fields]
    errors = [jaxscat.standard_error(field, pyramid, **how) for field in fields[: options.fields]]
    left = jaxscat.coverage(mask, pyramid)
    scales, pairs = masked[0].scales, len(masked[0].pairs)
    rows = []
    for group in GROUPS:
        count = masked[0].groups()[group].shape[0]
        difference = np.array(
            [
                np.asarray(one.groups()[group]) - np.asarray(other.groups()[group])[:count]
                for one, other in zip(masked, whole, strict=True)
            ]
        )
        tried, others = difference[: options.fields], difference[options.fields :]
        variance = np.var(others, axis=0, ddof=1)
        of_pixels = np.array([np.asarray(error.groups()[group]) for error in errors])
        single = group in ("S1", "S2")
        share = left.coefficients if single else left.pairs
        rows.append(
            {
                "group": group,
                "scales": scales if single else int(np.sqrt(2 * pairs)),
                "left": float(share[scales - 1]),
                "scatter": float(np.mean(np.abs(tried) ** 2 / variance)),
                "bias": float(np.mean(np.abs(difference.mean(axis=0)) ** 2 / variance)),
                "pixels": float(np.mean(np.abs(tried) ** 2 / of_pixels**2)),
            }
        )
    return rows
