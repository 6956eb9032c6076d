"""What is to be minded of a run of polarized maps, in sentences."""

from __future__ import annotations

import numpy as np

from jaxscat.fields.pairs import all_pairs, changes_sign, pair_name
from jaxscat.run.config import Config
from jaxscat.run.polarized_inputs import PolarizedInputs
from jaxscat.run.polarized_synthesis import PolarizedSynthesis
from jaxscat.run.report import FREE_PART
from jaxscat.validation.fields import FieldsValidation
from jaxscat.validation.sky import sky_sentence

# A loss that rises by this factor is worth a sentence.
_RAISED = 1.5


def polarized_notes(
    config: Config, found: PolarizedSynthesis, validation: FieldsValidation
) -> list[str]:
    """List what the file has said, the part of the sky, and what settings impose on the maps.

    Args:
        config: the settings.
        found: the maps.
        validation: theirs.
    """
    inputs = found.inputs
    notes = [f"{note[:1].upper()}{note[1:]}." for note in inputs.notes]
    if inputs.unit is not None:
        notes.append(f"The maps are in {inputs.unit}, as the original's file states.")
    if validation.sky is not None:
        notes.append(sky_sentence(validation.sky))
        if config.synthesis.hidden_part == "free":
            notes.append(FREE_PART)
    if inputs.lmax is not None:
        notes.append(
            f"E and B have multipoles up to {inputs.lmax}, in the original and in all new maps."
        )
    notes += _written(found)
    if config.target.reduction == "isotropic":
        notes.append(
            "Coefficients are means over all orientations (target.reduction = “isotropic”): new "
            "maps have no preferred direction, whatever the original has."
        )
    if config.synthesis.form == "harmonic":
        notes.append(held_spectra(config, inputs))
    return notes


def _written(found: PolarizedSynthesis) -> list[str]:
    """Say so if the loss of maps rises as they lose what is beyond their band limit."""
    seed, least = max(
        ((seed, float(result.loss)) for seed, result in found.made.items()),
        key=lambda of: found.written_losses[of[0]] / max(of[1], np.finfo(float).tiny),
    )
    if not found.written_losses[seed] > _RAISED * least:
        return []
    return [
        f"Without what the synthesis put beyond l = {found.inputs.lmax} the loss rises, of seed "
        f"{seed} from {least:.3g} to {found.written_losses[seed]:.3g}; synthesis.form = "
        "'harmonic' puts nothing there."
    ]


def held_spectra(config: Config, inputs: PolarizedInputs) -> str:
    """Say which spectra the harmonic form holds, in a sentence or two."""
    chosen = config.polarization.pairs
    even = config.polarization.parity == "even"
    held, none = [], []
    for one, other in all_pairs(tuple(inputs.fields)):
        name = pair_name((one, other))
        if one == other:
            continue
        named = chosen is None or name in chosen or pair_name((other, one)) in chosen
        odd = even and changes_sign((one, other), "S2")
        (held if named and not odd else none).append(name)
    text = "The harmonic form holds the power of every field"
    if held:
        text += f" and the cross spectra {', '.join(held)}"
    text += ": imposed, not found."
    if none:
        text += f" It makes those of {', '.join(none)} zero."
    if inputs.mask is not None:
        text += (
            " They are held on the whole sphere; those inside the mask, which are compared, "
            "scatter about them."
        )
    return text
