"""Compare ways to make maps of the whole sky from a map with holes, where the whole map is known.

Run from the repository: python -m experiments.studies whole-sky (some ten minutes on two cores;
--quick is the same in small). Writes whole_sky.json, and the table of docs/quality.md as
whole_sky.md.

A band and discs are cut out of a map. New maps are made with a target of the whole map; of the
map whose holes `inpaint` has filled; with the coefficients under the mask as a target for the whole
sphere; and with the target under the mask, which leaves the start in the holes (`hidden_part =
"free"`). All are compared with the whole map, on the whole sky and in the holes.
"""

from __future__ import annotations

import argparse
import functools
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from rich.console import Console

import jaxscat
from experiments.studies.masked_skies import five_masks
from experiments.studies.options import add_size_options, study_parser
from jaxscat.io.archive import write_text
from jaxscat.run.folder import write_json

Map = Float[np.ndarray, " p"]

DISTANCES = {
    "power_spectrum": "$C_\\ell$ in bins",
    "wasserstein": "Wasserstein",
    "V0": "V0",
    "V1": "V1",
    "V2": "V2",
    "peaks": "peaks",
    "minima": "minima",
}
IN_HOLES = {"V1": "V1 in the holes", "V2": "V2 in the holes"}


def new_maps(
    truth: Map, seen: Bool[np.ndarray, " p"], pyramid: jaxscat.Pyramid, seeds: int, steps: int
) -> dict[str, Float[np.ndarray, "seed p"]]:
    """Make new maps of the whole sky in every way, float64 [seed, p]."""
    holed = np.where(seen, truth, np.nan)
    filled = np.asarray(jaxscat.inpaint(holed, pyramid, ~seen).map, np.float64)
    under_mask = jaxscat.target_from_statistics(
        jaxscat.measure(holed, pyramid, mask=seen),
        jaxscat.standard_error(holed, pyramid, mask=seen),
        pyramid,
    )
    draw_seen = functools.partial(jaxscat.gaussian_noise, holed, footprint=seen)
    ways = {
        "whole map known": (jaxscat.make_target(truth, pyramid), truth),
        "statistics under the mask": (under_mask, None),
        "filled first": (jaxscat.make_target(filled, pyramid), filled),
        "start left in the holes": (jaxscat.make_target(holed, pyramid, mask=seen), None),
    }
    made = {}
    for name, (target, of) in ways.items():
        draw = draw_seen if of is None else functools.partial(jaxscat.gaussian_noise, of)
        many = jaxscat.synthesize_many(target, pyramid, seeds=seeds, start=draw, max_steps=steps)
        made[name] = np.asarray(many.map, np.float64)
    return made


def compare(
    truth: Map, seen: Bool[np.ndarray, " p"], maps: Float[np.ndarray, "seed p"], pyramid: Any
) -> dict[str, list[float]]:
    """Return mean and scatter of the distances of new maps, by the heading of their column."""
    whole = jaxscat.validate(truth, maps, pyramid=pyramid, controls=2)["maps"]
    holes = jaxscat.validate(truth, maps, mask=~seen, controls=2)["maps"]
    found = {}
    for reports, names in ((whole, DISTANCES), (holes, IN_HOLES)):
        for key, heading in names.items():
            values = [report["distances"][key]["synthesized"] for report in reports]
            found[heading] = [float(np.mean(values)), float(np.std(values, ddof=1))]
    return found


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    console = Console(width=200)
    headings = [*DISTANCES.values(), *IN_HOLES.values()]
    lines = ["| | " + " | ".join(headings) + " |", "|---|" + " ---: |" * len(headings)]
    rows: list[dict[str, Any]] = []
    pyramid = jaxscat.build_pyramid(options.nside)
    seen = five_masks(options.nside)["band and discs"]
    for name in options.skies:
        truth = jaxscat.load_map(name, options.nside)
        lines.append(f"| *{name}* |" + " |" * len(headings))
        for way, maps in new_maps(truth, seen, pyramid, options.seeds, options.steps).items():
            found = compare(truth, seen, maps, pyramid)
            rows.append({"map": name, "way": way, "distances": found})
            numbers = " | ".join(f"{found[at][0]:.3f} ± {found[at][1]:.3f}" for at in headings)
            lines.append(f"| {way} | {numbers} |")
            console.print(lines[-1], highlight=False, soft_wrap=True)
    options.output.mkdir(parents=True, exist_ok=True)
    about = {"nside": options.nside, "seeds": options.seeds, "seen": float(seen.mean())}
    write_json(options.output / "whole_sky.json", {**about, "steps": options.steps, "rows": rows})
    write_text(options.output / "whole_sky.md", "\n".join(lines) + "\n")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = study_parser("whole-sky", __doc__ or "")
    add_size_options(parser, "outputs/whole-sky", nside_help="resolution of the maps")
    parser.add_argument("--skies", nargs="+", default=["cosmic-web", "lss"], help="datasets")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--steps", type=int)
    options = parser.parse_args(arguments)
    options.nside = options.nside or (8 if options.quick else 32)
    options.seeds = options.seeds or (2 if options.quick else 8)
    options.steps = options.steps or (5 if options.quick else 100)
    return options
